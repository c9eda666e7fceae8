package validate

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// Filter returns b without the rows that v rejects: b itself when there are
// none, else a new batch with the same view and origin, whose Rows the caller
// releases in addition to b's. b is not changed.
func Filter(b *feature.Batch, v *Verdict) *feature.Batch {
	if len(v.Rejected()) == 0 {
		return b
	}
	return gather(b, v.Keep())
}

// Held returns the rows of b that v rejects; nil when there are none. The caller
// releases its Rows.
func Held(b *feature.Batch, v *Verdict) *feature.Held {
	out := v.Rejected()
	if len(out) == 0 {
		return nil
	}
	rows := make([]int, len(out))
	for i, r := range out {
		rows[i] = r.Index
	}
	return &feature.Held{Rows: takeRows(b.Rows, rows), Offsets: pick(b.Offsets, rows), EventTime: pick(b.EventTime, rows)}
}

func takeRows(rows arrow.RecordBatch, keep []int) arrow.RecordBatch {
	cols := make([]arrow.Array, rows.NumCols())
	for i, c := range rows.Columns() {
		cols[i] = take(c, keep)
	}
	rec := array.NewRecordBatch(rows.Schema(), cols, int64(len(keep)))
	for _, c := range cols {
		c.Release()
	}
	return rec
}

// gather copies the named rows of b.
func gather(b *feature.Batch, keep []int) *feature.Batch {
	return &feature.Batch{
		View:      b.View,
		Rows:      takeRows(b.Rows, keep),
		Origin:    b.Origin,
		Offsets:   pick(b.Offsets, keep),
		EventTime: pick(b.EventTime, keep),
		KnownTime: pick(b.KnownTime, keep),
		Tombstone: pick(b.Tombstone, keep),
	}
}

// pick copies the named entries; nil stays nil.
func pick[T any](s []T, keep []int) []T {
	if s == nil {
		return nil
	}
	out := make([]T, len(keep))
	for i, k := range keep {
		out[i] = s[k]
	}
	return out
}

// take copies the named values of a column of one of the types of
// feature.Type.Arrow, nulls included.
func take(c arrow.Array, keep []int) arrow.Array {
	bld := array.NewBuilder(memory.DefaultAllocator, c.DataType())
	defer bld.Release()
	bld.Reserve(len(keep))
	switch c := c.(type) {
	case *array.Boolean:
		takeValues(bld.(*array.BooleanBuilder), c, keep)
	case *array.Int32:
		takeValues(bld.(*array.Int32Builder), c, keep)
	case *array.Int64:
		takeValues(bld.(*array.Int64Builder), c, keep)
	case *array.Float32:
		takeValues(bld.(*array.Float32Builder), c, keep)
	case *array.Float64:
		takeValues(bld.(*array.Float64Builder), c, keep)
	case *array.Timestamp:
		takeValues(bld.(*array.TimestampBuilder), c, keep)
	case *array.String:
		takeValues(bld.(*array.StringBuilder), c, keep)
	case *array.Binary:
		takeValues(bld.(*array.BinaryBuilder), c, keep)
	default:
		panic(fmt.Sprintf("validate: a batch has no columns of type %s", c.DataType()))
	}
	return bld.NewArray()
}

type appender[T any] interface {
	Append(T)
	AppendNull()
}

type values[T any] interface {
	IsNull(int) bool
	Value(int) T
}

func takeValues[T any](dst appender[T], src values[T], keep []int) {
	for _, k := range keep {
		if src.IsNull(k) {
			dst.AppendNull()
		} else {
			dst.Append(src.Value(k))
		}
	}
}
