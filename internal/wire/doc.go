// Package wire is the few bytes that Weir's own binary formats are made of:
// unsigned numbers are varints, signed ones zigzag, floats eight bytes
// little-endian, texts and nested values a length and the bytes.
//
// The one rule: nothing that is read is believed. A length is checked against
// what is left before anything is allocated for it, and the first fault sticks.
package wire
