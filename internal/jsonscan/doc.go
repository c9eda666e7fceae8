// Package jsonscan reads a JSON text once, strictly, and leaves a flat list of
// nodes in memory that is used again for the next text. Schema checks and the
// decoder work on that list: the bytes are looked at one time, whatever is
// asked of them afterwards.
//
// The one rule: what Scan accepts is safe to hand on. Nesting is bounded, number
// tokens are bounded, text is valid UTF-8 without lone surrogates, no object has
// a key twice, nothing follows the value. Whoever works on a Doc checks none of
// it again.
//
// An object that has a key twice is refused, not resolved: first-wins and
// last-wins readers would see two different events, and the one that trains
// need not be the one that serves.
//
// Read Scanner first, then Doc and Node.
package jsonscan
