package feature

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Origin says which part of which log a batch covers: every offset in
// [First, Next) of the partition is either a row of the batch, a rejected row,
// or does not exist (gaps are normal).
type Origin struct {
	Topic     string
	TopicID   [16]byte // Kafka's topic id; for imports the first half of the file's SHA-256
	Partition int32    // -1 for imports
	First     int64
	Next      int64
}

// ImportPartition is the partition of rows that came from a file.
const ImportPartition int32 = -1

// ReplayPartition is the partition of a view's replays from quarantine in the
// table's positions. No row has it: a replayed row keeps the coordinates of its
// event. (-2 and what lies below -3 are the online room's, for marks of its own.)
const ReplayPartition int32 = -3

// ReplayOrigin is the one part of which replays move the position, before its
// first row. Places there are numbered from the known time of each replay on.
func ReplayOrigin() Origin {
	return Origin{Topic: "replay", TopicID: [16]byte([]byte("weir-replays----")), Partition: ReplayPartition}
}

// Batch is rows of one view from one partition, in offset order. The columns
// of Rows are View.Columns(): join keys (never null), then features.
//
// A Batch belongs to the caller of the function that gets it. Who keeps columns
// after returning retains Rows; the other slices are never written again and may be kept.
type Batch struct {
	View      *View
	Rows      arrow.RecordBatch
	Origin    Origin
	Offsets   []int64
	EventTime []int64 // microseconds UTC
	KnownTime []int64 // microseconds UTC
	// Tombstone marks rows that delete their key; their features are null and
	// both times are the record's timestamp. Nil when there are none.
	Tombstone []bool
	// Replay is set on rows that were replayed from quarantine. They keep the
	// coordinates that Origin and Offsets give them, below the position of their
	// partition; the position that covers them is the one of Replay's partition,
	// where row i stands at Replay.First + i.
	Replay *Origin
	// Held is what the suite held back of Origin; nil when nothing, or when nobody asked.
	Held *Held
}

// Len is the number of rows.
func (b *Batch) Len() int { return len(b.Offsets) }

// Covered is the part of a log whose position covers the rows: Origin, or Replay.
func (b *Batch) Covered() Origin {
	if b.Replay != nil {
		return *b.Replay
	}
	return b.Origin
}

// Place is where row i stands in Covered: its offset, or its number in the replays.
func (b *Batch) Place(i int) int64 {
	if b.Replay != nil {
		return b.Replay.First + int64(i)
	}
	return b.Offsets[i]
}

// From is the first row whose Place is at or above next; Len when there is none.
func (b *Batch) From(next int64) int {
	if b.Replay != nil {
		return int(max(0, min(next-b.Replay.First, int64(b.Len()))))
	}
	at, _ := slices.BinarySearch(b.Offsets, next)
	return at
}

// Stamp is row i's place in the order of its key.
func (b *Batch) Stamp(i int) Stamp {
	return Stamp{Event: b.EventTime[i], Known: b.KnownTime[i], Partition: b.Origin.Partition, Offset: b.Offsets[i]}
}

// Deleted reports whether row i is a tombstone.
func (b *Batch) Deleted(i int) bool { return b.Tombstone != nil && b.Tombstone[i] }

// Schema is the Arrow schema of the view's batches. All fields are nullable
// there but the join keys.
func (v *View) Schema() *arrow.Schema {
	cols := v.Columns()
	fs := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fs[i] = arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: i >= len(v.Keys)}
	}
	return arrow.NewSchema(fs, nil)
}
