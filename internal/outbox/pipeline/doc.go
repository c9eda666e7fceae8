// Package pipeline delivers retraining events to whatever trains: each system's
// request is a template, data and not code, of which those of well-known systems are
// built in.
//
// The one rule: a value of the event cannot become anything but a value. What a
// template puts into a path is escaped for it, what it puts into JSON is JSON, forms
// and queries are encoded; and a field that the event does not have is an error that
// names it, never an empty text.
//
// Read Template first, then Deliverer.
package pipeline
