// Package tally counts the rows of a stream in windows of event time, each row
// once, judges the windows when they end, and remembers what came of them.
// drift's monitors and the windows of data quality stand on it: they say what a
// row adds to a window and what a window is worth; everything else is here.
//
// The one rule: a row counts once. A flush's deltas are staged under the id of
// the table commit that names them and merged into the windows, by that id,
// only after the commit has landed; replays and workers that lost their
// partition change nothing.
//
// Windows that overlap, or have a number of rows, are put together of what is stored when they are judged (panes.go).
//
// Read Tally and Target first (what is counted), then Tap (the way in), Store
// (what must be kept and how exactly), Watch and Judge (the verdicts).
package tally
