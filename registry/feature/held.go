package feature

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Held is the rows of a batch's origin that the suite held back: what was judged
// and is not among the batch's rows, with the view's columns and by ascending
// offset. Events that had no row to judge (they failed to decode, broke the schema
// or have no usable time) are not among them, nor are tombstones, which no suite judges.
//
// Ingestion fills Batch.Held for sinks that ask for it (ingest.HeldTaker) and for no
// others; such a sink also gets a batch without rows where the suite held back all.
// As with a batch, who keeps columns retains Rows; the other slices may be kept.
type Held struct {
	Rows      arrow.RecordBatch
	Offsets   []int64
	EventTime []int64 // microseconds UTC
}

// Len is the number of rows; 0 of none.
func (h *Held) Len() int {
	if h == nil {
		return 0
	}
	return len(h.Offsets)
}

// From is the first row whose offset is at or above next; Len when there is none.
// Rows of a replay are never held: one that is bad again was counted when it came first.
func (h *Held) From(next int64) int {
	if h == nil {
		return 0
	}
	at, _ := slices.BinarySearch(h.Offsets, next)
	return at
}
