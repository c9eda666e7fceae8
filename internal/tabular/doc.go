// Package tabular reads and writes files of rows: CSV, JSON lines, Parquet and
// Arrow IPC in; CSV, JSON lines, Parquet and Arrow IPC out.
//
// There are two ways in. Reader gives typed Arrow batches for those who compute
// with columns (spines, checks, comparisons). Rows gives each row as a JSON
// object for those who must judge every row on its own (imports): there a
// malformed line is a row with an error, and the file goes on.
//
// The one rule: a value is taken exactly or refused with file, line, column and
// the value itself; nothing is rounded, guessed or skipped in silence.
//
// Read Open first, then OpenRows, then Create.
package tabular
