// Package deadletter tells the others when a destination has entries that were
// given up, and when it no longer has any: they were sent again, or discarded.
//
// The one rule: what is told is derived from what is stored. A process that dies
// between giving an entry up and telling of it loses nothing: whoever looks next
// finds the same entries, and the state's revision has it told once.
//
// Read Watch.Pass first.
package deadletter
