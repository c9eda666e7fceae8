// Package arrowstream puts Arrow IPC streams into the messages of a call and takes
// them out again.
//
// The one rule: a batch that was written has been handed to the call, whole.
//
// Read NewWriter first, then Bytes. Sound is for batches that somebody else has sent.
package arrowstream
