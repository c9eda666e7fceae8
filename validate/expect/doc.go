// Package expect runs Great Expectations suites over Arrow columns: Compile makes of
// a suite and a schema what judges the rows of a stream, a batch at a time (Check),
// CompileTable what judges whole tables (Run), and CompileWindow what judges windows of a
// stream (WindowSuite), by counts that merge.
//
// The one rule: nothing in a suite is ignored. What a suite says is either
// checked as Great Expectations 1.x checks it, or Compile refuses it and says why.
//
// On a stream, rules that look at one row at a time are checked; those that need a
// window, memory of earlier rows or the table's schema are refused by name, and are
// for tables and windows. Rows that are null are left out, as they are there, except by the two rules about
// null itself; NaN is null.
//
// Read Compile first, then rules.go for what there is; for tables table.go, then
// table_run.go; for windows window.go.
package expect
