// Package parquetfile writes Parquet files out of columns: the data files of
// tables, training sets and exports.
//
// It makes pages itself, out of parquet-go's encodings and its description of
// the format: a writer that takes values of any type one by one spends several
// times as long on boxing them as on encoding them. Every column chunk is encoded as
// suits what is in it, page by page, so that what is worked on stays in the
// processor's cache. Files have a page index, statistics, checksums, and pages
// that are compressed only where it pays.
//
// The one rule: what a file says of itself (counts, bounds, null counts) is so,
// and where it cannot be told it is not said.
//
// Read Encoder first, then columnEncoder.
package parquetfile
