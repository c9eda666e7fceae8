// Package offline is the table side of Weir: the rows of each view in sorted
// Parquet files, committed together with the positions they reach, and the
// point-in-time joins that read them.
//
// The one rule: a row is in the table if and only if a commit that landed names
// its file, and that same commit moved the position past the row. Files that no
// commit names do not exist for any reader.
//
// Read Table first: what a store of tables must promise. Writer feeds one (it is
// a sink of ingestion and its committer); Scan and Newest read history back. The
// sub-packages hold the stores: iceberg for production, memory for tests;
// offlinetest is the suite that both must pass.
package offline
