// Package migrate turns rows that another feature store has online into files that
// `weir import` takes: a line of JSON is a row as an event of the view's source.
//
// The one rule: the same rows make the same file, byte for byte, in whatever order
// they were found, for a file is imported once and known by its content.
//
// Read Lines first, then Spool.
package migrate
