// Package sqldb opens the SQL databases that Weir keeps its own state in: one
// SQLite file for a single machine, PostgreSQL for several.
//
// The one rule: whatever is written once must run on both. Statements use "?"
// for arguments (DB.Rebind turns them into $1, $2 for PostgreSQL), ON CONFLICT
// for upserts, BIGINT for times and counters, TEXT for JSON; every room brings
// its tables as embedded migrations with a version table of its own, so rooms
// can share one database without knowing each other.
//
// Read DB first, then DB.Tx.
package sqldb
