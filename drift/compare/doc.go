// Package compare tells which columns of a file have moved away from those of another,
// by the tests of drift/stats. `weir compare` is its command line.
//
// The one rule: exact or refused. All values of a column are compared, no sample and no
// sketch of them, a few columns at a time; a column that does not fit into
// Options.Memory is an error that says how much it takes.
//
// What a value is: null and NaN are missing and count for the null-rate test alone;
// infinities are counted and take part in nothing; int64 beyond 2^53 are compared as the
// nearest float64. Times, bytes and lists are compared by their missing values alone.
//
// Read Run first, then Report, then the two methods: weir.go and evidently.go.
package compare
