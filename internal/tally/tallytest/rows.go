package tallytest

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// View is a view with a feature of every shape.
func View() *feature.View {
	return &feature.View{
		Meta: feature.Meta{Project: "p", Name: "v"}, Version: 1,
		Keys: []feature.Field{{Name: "id", Type: feature.String}},
		Features: []feature.Field{
			{Name: "num", Type: feature.Float64}, {Name: "whole", Type: feature.Int32},
			{Name: "cat", Type: feature.String}, {Name: "flag", Type: feature.Bool}, {Name: "at", Type: feature.Timestamp},
		},
	}
}

// Event is one row of a log.
type Event struct {
	Time    int64 // event and known time
	Num     float64
	Null    bool // all features
	Cat     string
	Deleted bool
	Held    bool // by a suite
}

// Batch makes rows of them, from offset first on.
func Batch(v *feature.View, topic [16]byte, p int32, first int64, rows []Event) *feature.Batch {
	out := &feature.Batch{View: v, Origin: feature.Origin{Topic: "t", TopicID: topic, Partition: p, First: first, Next: first + int64(len(rows))}}
	b, held := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema()), array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	var aside feature.Held
	for i, e := range rows {
		if e.Held {
			add(held, e)
			aside.Offsets = append(aside.Offsets, first+int64(i))
			aside.EventTime = append(aside.EventTime, e.Time)
			continue
		}
		add(b, e)
		out.Offsets = append(out.Offsets, first+int64(i))
		out.EventTime = append(out.EventTime, e.Time)
		out.KnownTime = append(out.KnownTime, e.Time)
		if e.Deleted && out.Tombstone == nil {
			out.Tombstone = make([]bool, len(out.Offsets)-1, len(rows))
		}
		if out.Tombstone != nil {
			out.Tombstone = append(out.Tombstone, e.Deleted)
		}
	}
	out.Rows = b.NewRecordBatch()
	if len(aside.Offsets) > 0 {
		aside.Rows = held.NewRecordBatch()
		out.Held = &aside
	}
	return out
}

func add(b *array.RecordBuilder, e Event) {
	b.Field(0).(*array.StringBuilder).Append("k")
	if e.Null || e.Deleted {
		for f := 1; f <= 5; f++ {
			b.Field(f).AppendNull()
		}
		return
	}
	b.Field(1).(*array.Float64Builder).Append(e.Num)
	b.Field(2).(*array.Int32Builder).Append(int32(e.Num))
	b.Field(3).(*array.StringBuilder).Append(e.Cat)
	b.Field(4).(*array.BooleanBuilder).Append(e.Num > 0)
	b.Field(5).(*array.TimestampBuilder).Append(arrow.Timestamp(e.Time))
}

// Floor is the start of a time's window of a size, counted from 1970.
func Floor(ts, size int64) int64 { return ts - ((ts%size)+size)%size }
