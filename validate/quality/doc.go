// Package quality watches views' streams: their suites per window of event time,
// and, by the wall clock, whether rows land at all and how many.
//
// A view's feature.Quality says what is watched. Targets count rows for the
// suites (internal/tally has the windows), Judge makes verdicts of them, Rules
// looks at the clock, Alerts tells of what changes.
//
// The one rule: a state and what is told of it are stored in one transaction, so
// that an alert is neither lost nor told twice, whoever restarts and however many watch.
//
// Read Alert (what is told) first, then Judge and Rules (what finds out).
package quality
