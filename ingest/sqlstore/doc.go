// Package sqlstore keeps the pauses of views in SQLite or PostgreSQL, so that a
// view that waits for a person does so on whichever worker its partitions are.
//
// The one rule: the column state is the truth; the body is what else is known.
package sqlstore
