// Package pytime reads times as Great Expectations does, which is as Python
// does: datetime.strptime formats, and the guessing of dateutil's parser.
//
// The one rule: only the answer "is this a time" is Python's. What it depends on
// there and must not here is fixed: the locale is C, digits are ASCII, and parts
// that a text leaves out are taken so that the others fit, not from the wall clock
// ("31" and "Feb 29" are dates in every month and year).
//
// Read Format first.
package pytime
