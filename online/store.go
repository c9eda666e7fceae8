package online

import (
	"context"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Store keeps values by key. All methods may be called in parallel. Errors are
// feature.Error; a store that cannot be reached, is loading or read-only is Unavailable.
//
// Besides rows a store keeps, for each view, marks (how far each partition's
// rows have been put) and the schemas of its values.
type Store interface {
	// Get fills vals[i] with the value of keys[i], nil where there is none. Where
	// it could not find out it sets failed[i] instead, and returns the (first)
	// error: part of the answer may be good all the same. An error of kind Exhausted means that it
	// was not asked at all, for it has too much to do. Values must not be changed.
	// vals and failed have the length of keys and come zeroed.
	Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error
	// Put stores each row unless the store holds a newer one for its key, by the
	// order section of the values; an equal one is written again. Keys are distinct
	// within a call. Afterwards it moves the mark that adv names (nil: none).
	// After an error any part may have happened; the same call again is right.
	// Nothing of rows is kept.
	Put(ctx context.Context, rows []Row, adv *Advance) (Result, error)
	// Fill stores each row whose key the store does not have, and leaves the others
	// as they are, newer or not.
	Fill(ctx context.Context, rows []Row) error
	// Scan calls fn with the rows of a span, some hundred at a time, in no order. A
	// key that is there all the while comes, perhaps more than once; one that is
	// made or dropped meanwhile may come or not. vals[i] is nil where a key was
	// gone when its value was read. fn may keep keys and values, but not the slices.
	Scan(ctx context.Context, span Span, fn func(keys []string, vals [][]byte) error) error
	// Remove drops each row whose key still has exactly that value, and returns how
	// many. Keys are distinct within a call.
	Remove(ctx context.Context, rows []Row) (int, error)
	// Marks returns the marks of a view and the ttl its rows were written under,
	// in microseconds. On a cluster each is the worst over all shards.
	Marks(ctx context.Context, view string) (Marks, error)
	// Settle records where the table stands, and that rows thought lost were put
	// again, unless a mark is not as good as one in seen (Mark.Good): then the store has lost rows since that
	// was read, and nothing is recorded. On a cluster each shard decides for itself, and any that has lost rows shows.
	Settle(ctx context.Context, view string, ttl int64, s []Settlement, seen []Mark) (lost bool, err error)
	// Forget drops marks of a view.
	Forget(ctx context.Context, view string, list []Mark) error
	// Schema returns the text of a schema, "" when the store does not have it.
	Schema(ctx context.Context, view string, id uint32) (string, error)
	// PutSchema stores the text of a schema. Another text under the same id is a Conflict.
	PutSchema(ctx context.Context, view string, id uint32, text string) error
	// Ping tells whether the store answers.
	Ping(ctx context.Context) error
	Close() error
}

// Row is one value to store.
type Row struct {
	Key    string
	Value  []byte
	Expire time.Duration // from now; 0 keeps it for ever
}

// Span is the keys that begin with Prefix and end with Suffix: those of one view.
type Span struct{ Prefix, Suffix string }

// Has reports whether a key is in the span.
func (s Span) Has(key string) bool {
	return len(key) >= len(s.Prefix)+len(s.Suffix) && key[:len(s.Prefix)] == s.Prefix && key[len(key)-len(s.Suffix):] == s.Suffix
}

// SpanOf is where the rows of a view are.
func SpanOf(v *feature.View) Span {
	k := newKeyFormat(v)
	return Span{k.prefix, k.suffix}
}

// Result is what Put did.
type Result struct {
	Stored int // rows that were newer than (or the same as) what was there
	// Lost tells that the mark was not where the caller had left it: the store has
	// gone back in time and lost rows. It has recorded which (Mark.LostFrom).
	Lost bool
}

// Advance moves a partition's mark from From, where the caller left it, to Next.
type Advance struct {
	View      string // feature.View.ID
	TopicID   [16]byte
	Partition int32
	From      int64 // rows below were put before this call
	Next      int64 // rows below have been put after it
}

// Mark is how far one partition of one view has come in the store. A store that
// restarts with yesterday's data has yesterday's marks: that is how its loss is noticed.
type Mark struct {
	TopicID   [16]byte
	Partition int32
	Settled   int64 // where the table stood when it was last told
	Written   int64 // rows below were put
	// Rows in [LostFrom, LostTo) were put once and may have been lost since;
	// equal when there are none.
	LostFrom, LostTo int64
}

// Good is the offset below which every row is known to be in the store.
func (m Mark) Good() int64 {
	if m.LostFrom < m.LostTo {
		return min(m.LostFrom, m.Written)
	}
	return m.Written
}

// Marks below the real partitions, which begin at feature.ImportPartition: runs that write
// rows from the table have marks too, to see whether those rows stay.
const (
	refillPartition = feature.ImportPartition - 1
	runPartition    = feature.ImportPartition - 2 // and below: see materialize_mark.go
)

// Marks are all marks of a view.
type Marks struct {
	TTL  int64 // microseconds; meaningless without parts
	Part []Mark
}

// Find returns the mark of a partition.
func (m Marks) Find(topicID [16]byte, partition int32) (Mark, bool) {
	for _, p := range m.Part {
		if p.TopicID == topicID && p.Partition == partition {
			return p, true
		}
	}
	return Mark{TopicID: topicID, Partition: partition}, false
}

// Settlement moves one mark after a table commit or a refill. Settled is set,
// Written never goes back. If what the mark holds as lost lies within
// [MendedFrom, MendedTo) it has been put again below StillFrom and is forgotten
// there; if it does not, the store has lost more in the meantime, and all of it stays.
//
// Reset makes the mark Settled and Written, with nothing lost: the partition's
// rows from Written on all come again. Written may go back there, and must: where it
// promised rows that were lost, it would hide the loss of those that now come.
type Settlement struct {
	TopicID              [16]byte
	Partition            int32
	Settled, Written     int64
	Reset                bool
	MendedFrom, MendedTo int64 // equal when there was nothing to mend
	StillFrom            int64
}

// Apply is what Settle does to a mark, and Move what Put does; both return the
// new mark. The scripts of online/redis do the same there.
func (s Settlement) Apply(m Mark) Mark {
	m.Settled = s.Settled
	if s.Reset {
		m.Written, m.LostFrom, m.LostTo = s.Written, 0, 0
		return m
	}
	m.Written = max(m.Written, s.Written)
	if m.LostFrom < m.LostTo && m.LostFrom >= s.MendedFrom && m.LostTo <= s.MendedTo {
		m.LostFrom = max(m.LostFrom, s.StillFrom)
	}
	if m.LostFrom >= m.LostTo {
		m.LostFrom, m.LostTo = 0, 0
	}
	return m
}

// Move advances a mark; lost tells that it was not where the caller had left it.
func (a *Advance) Move(m Mark) (next Mark, lost bool) {
	if m.Written < a.From {
		lost = true
		if m.LostFrom >= m.LostTo {
			m.LostFrom, m.LostTo = m.Written, a.From
		}
		m.LostFrom, m.LostTo = min(m.LostFrom, m.Written), max(m.LostTo, a.From)
	}
	m.Written = max(m.Written, a.Next)
	return m, lost
}
