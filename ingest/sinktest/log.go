package sinktest

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// TopicID is the topic that the suite's rows come from.
var TopicID = [16]byte{0x51, 0x4b, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

const topic = "stream"

// Base is the time around which the suite's rows lie, microseconds UTC.
const Base int64 = 1767571200_000000

// Keys are the keys that the suite's rows have.
func Keys() []string {
	out := make([]string, 8)
	for i := range out {
		out[i] = fmt.Sprintf("key-%d", i)
	}
	return out
}

// View is a resolved view of the kind that the suite writes.
func View(name string) *feature.View {
	return &feature.View{
		Meta: feature.Meta{Project: "suite", Name: name}, Source: "stream", Entities: []string{"thing"}, Version: 1,
		Keys: []feature.Field{{Name: "id", Type: feature.String}},
		Features: []feature.Field{{Name: "amount", Type: feature.Float64}, {Name: "plan", Type: feature.String},
			{Name: "count", Type: feature.Int64}, {Name: "flag", Type: feature.Bool}, {Name: "seen", Type: feature.Timestamp},
			{Name: "tags", Type: feature.Array(feature.String)}},
	}
}

// stream is a log that is the same every time it is read.
type stream struct {
	seed   uint64
	length int64 // of each partition
}

// row is the row at an offset; false where the log has a gap or a rejected event.
func (s stream) row(partition int32, offset int64) (Row, bool) {
	r := rand.New(rand.NewPCG(s.seed, uint64(partition+7)<<40|uint64(offset)))
	if r.IntN(6) == 0 {
		return Row{}, false
	}
	at := Base + (offset*60+r.Int64N(1200))*int64(time.Second/time.Microsecond)
	x := Row{TopicID: TopicID, Partition: partition, Offset: offset, Event: at, Known: at + r.Int64N(5_000_000) - 1_000_000,
		Values: []string{Keys()[r.IntN(8)], fmt.Sprint(float64(r.IntN(1000)) / 8), fmt.Sprintf("plan %d", r.IntN(3)),
			fmt.Sprint(r.IntN(100)), fmt.Sprint(r.IntN(2) == 0), time.UnixMicro(at).UTC().Format(time.RFC3339Nano), tags(r)}}
	if r.IntN(7) == 0 {
		x.Values[1+r.IntN(6)] = null
	}
	if r.IntN(12) == 0 {
		x.Deleted, x.Known = true, x.Event
		for i := range x.Values[1:] {
			x.Values[i+1] = null
		}
	}
	return x, true
}

// tags is an array as Row.Values has it: its packed form in base64.
func tags(r *rand.Rand) string {
	var packed []byte
	for range r.IntN(4) {
		packed = feature.AppendElementText(packed, fmt.Sprintf("tag %d", r.IntN(5)))
	}
	return base64.StdEncoding.EncodeToString(packed)
}

// rows are those of [first, next).
func (s stream) rows(partition int32, first, next int64) (out []Row) {
	for o := first; o < min(next, s.length); o++ {
		if r, ok := s.row(partition, o); ok {
			out = append(out, r)
		}
	}
	return out
}

// null stands for a null in Row.Values.
const null = "null"

// BatchOf makes a batch of rows of one partition, in offset order; its origin is
// [first, next). The caller releases Rows.
func BatchOf(v *feature.View, mem memory.Allocator, rows []Row, first, next int64) *feature.Batch {
	b := &feature.Batch{View: v, Origin: feature.Origin{Topic: topic, TopicID: TopicID, First: first, Next: next}}
	rb := array.NewRecordBuilder(mem, v.Schema())
	defer rb.Release()
	for n, r := range rows {
		b.Origin.TopicID, b.Origin.Partition = r.TopicID, r.Partition
		b.Offsets, b.EventTime, b.KnownTime = append(b.Offsets, r.Offset), append(b.EventTime, r.Event), append(b.KnownTime, r.Known)
		for i, x := range r.Values {
			if x == null {
				rb.Field(i).AppendNull()
			} else if err := rb.Field(i).AppendValueFromString(x); err != nil {
				panic("sinktest: " + err.Error())
			}
		}
		if r.Deleted && b.Tombstone == nil {
			b.Tombstone = make([]bool, len(rows))
		}
		if r.Deleted {
			b.Tombstone[n] = true
		}
	}
	b.Rows = rb.NewRecordBatch()
	return b
}

// RowsOf is the way back.
func RowsOf(b *feature.Batch) []Row {
	out := make([]Row, b.Len())
	for i := range out {
		out[i] = Row{TopicID: b.Origin.TopicID, Partition: b.Origin.Partition, Offset: b.Offsets[i],
			Event: b.EventTime[i], Known: b.KnownTime[i], Deleted: b.Deleted(i)}
		for _, c := range b.Rows.Columns() {
			if c.IsNull(i) {
				out[i].Values = append(out[i].Values, null)
			} else {
				out[i].Values = append(out[i].Values, strings.Clone(c.ValueStr(i))) // it may lie in the batch
			}
		}
	}
	return out
}

// Newest is what a store of newest values should have: for each key the row that
// is last by the order of stamps, tombstones included.
func Newest(rows []Row) map[string]Row {
	out := map[string]Row{}
	for _, r := range rows {
		if old, ok := out[r.Values[0]]; !ok || r.Stamp().Compare(old.Stamp()) >= 0 {
			out[r.Values[0]] = r
		}
	}
	return out
}

// Stamp is the row's place in the order of its key.
func (r Row) Stamp() feature.Stamp {
	return feature.Stamp{Event: r.Event, Known: r.Known, Partition: r.Partition, Offset: r.Offset}
}
