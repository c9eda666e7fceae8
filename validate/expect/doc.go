// Package expect runs Great Expectations suites over Arrow columns, one batch
// at a time. Compile turns a suite and a schema into vector loops, Check runs them.
//
// The one rule: nothing in a suite is ignored. What a suite says is either
// checked as Great Expectations 1.x checks it, or Compile refuses it and says why.
//
// Rules that look at one row at a time are checked; those that need a window,
// memory of earlier rows or the table's schema are refused here by name. Rows
// that are null are left out, as they are there, except by the two rules about
// null itself; NaN is null.
//
// Read Compile first, then rules.go for what there is.
package expect
