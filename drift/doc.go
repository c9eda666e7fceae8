// Package drift watches the stream: it folds rows into small mergeable profiles
// for each monitor and event-time window, compares closed windows with a
// reference, and tells when a view's features have moved away from what a model
// was trained on.
//
// The one rule: a row counts once. A flush's deltas are staged under the id of
// the table commit that names them and merged into the windows, by that id,
// only after the commit has landed; replays and workers that lost their
// partition change nothing.
//
// Read Tap first (the way in), then Profile and Sketch, then Watch (the
// judgement). Store says what must be kept and how exactly.
package drift
