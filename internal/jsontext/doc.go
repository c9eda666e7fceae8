// Package jsontext writes values as JSON text, for events that come in another
// encoding: what it writes is what the same event would be had it come as JSON.
//
// The one rule: nothing is lost on the way. A value that JSON cannot hold (NaN,
// text that is not UTF-8, a time outside the years 1 to 9999) is refused with
// false, never bent.
package jsontext
