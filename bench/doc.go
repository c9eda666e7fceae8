// Command bench measures what Weir promises about speed and prints one table
// with the machine it ran on: `make bench`. The newest full run is kept in
// bench/results.md; docs/benchmarks.md says how each line is measured.
//
// The one rule: nothing is measured that a user does not get. Lines about
// start, serving and ingestion run the built binary as a process of its own;
// only decoding, checks and table commits, which have no command, run in here,
// through the calls that ingestion makes. A target that is not met is printed
// as MISSED, with where the time went.
//
// Read Line first, then the list of measurements in main.go.
package main
