package onlinetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// View returns a resolved view with one string key and a feature of every type,
// the texts in the middle, and then arrays of every type.
func View(project, name string, ttl feature.Duration) *feature.View {
	v := &feature.View{
		Meta:     feature.Meta{Project: project, Name: name},
		Source:   "src",
		Entities: []string{"customer"},
		TTL:      ttl,
		Keys:     []feature.Field{{Name: "customer_id", Type: feature.String}},
		Version:  1,
	}
	types := []feature.Type{feature.Float64, feature.Bool, feature.String, feature.Int32, feature.Bytes, feature.Int64, feature.Float32, feature.Timestamp}
	for _, t := range types {
		v.Features = append(v.Features, feature.Field{Name: "f_" + t.String(), Type: t})
	}
	for _, t := range types {
		v.Features = append(v.Features, feature.Field{Name: "a_" + t.String(), Type: feature.Array(t)})
	}
	return v
}

// Service returns a resolved service of all features of the views.
func Service(views ...*feature.View) *feature.Service {
	s := &feature.Service{Meta: feature.Meta{Project: views[0].Meta.Project, Name: "all"}, Version: 1}
	for _, v := range views {
		s.Features = append(s.Features, v.Meta.Name+":*")
	}
	if f := s.Resolve(func(name string) *feature.View {
		for _, v := range views {
			if v.Meta.Name == name {
				return v
			}
		}
		return nil
	}); len(f) > 0 {
		panic(f)
	}
	return s
}

// Row is one row as a test writes it. Values are Go values of the columns' types
// (timestamps int64, bytes []byte, arrays their packed form), nil for null: keys, then features; those left out at the end are null.
type Row struct {
	Values  []any
	Event   int64
	Known   int64
	Offset  int64
	Deleted bool
}

// Stamp is the row's place in the order of its key.
func (r Row) Stamp(partition int32) feature.Stamp {
	return feature.Stamp{Event: r.Event, Known: r.Known, Partition: partition, Offset: r.Offset}
}

// Batch makes a batch of rows, which are in offset order. Its origin reaches
// from the first row's offset to behind the last one's.
func Batch(v *feature.View, topicID [16]byte, partition int32, rows ...Row) *feature.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	out := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", TopicID: topicID, Partition: partition}}
	for n, r := range rows {
		for i := range v.Columns() {
			var x any
			if i < len(r.Values) && (!r.Deleted || i < len(v.Keys)) {
				x = r.Values[i]
			}
			appendValue(b.Field(i), x)
		}
		out.Offsets = append(out.Offsets, r.Offset)
		out.EventTime = append(out.EventTime, r.Event)
		out.KnownTime = append(out.KnownTime, r.Known)
		if r.Deleted {
			if out.Tombstone == nil {
				out.Tombstone = make([]bool, len(rows))
			}
			out.Tombstone[n] = true
		}
	}
	out.Rows = b.NewRecordBatch()
	if len(rows) > 0 {
		out.Origin.First, out.Origin.Next = rows[0].Offset, rows[len(rows)-1].Offset+1
	}
	return out
}

func appendValue(b array.Builder, x any) {
	if x == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(x.(bool))
	case *array.Int32Builder:
		b.Append(x.(int32))
	case *array.Int64Builder:
		b.Append(x.(int64))
	case *array.Float32Builder:
		b.Append(x.(float32))
	case *array.Float64Builder:
		b.Append(x.(float64))
	case *array.StringBuilder:
		b.Append(x.(string))
	case *array.BinaryBuilder:
		b.Append(x.([]byte))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(x.(int64)))
	default:
		panic(fmt.Sprintf("onlinetest: no values for %T", b))
	}
}

// Rows are a batch's rows, the other way round.
func Rows(b *feature.Batch) []Row {
	rows := make([]Row, b.Len())
	for i := range rows {
		r := Row{Event: b.EventTime[i], Known: b.KnownTime[i], Offset: b.Offsets[i], Deleted: b.Deleted(i)}
		for _, c := range b.Rows.Columns() {
			r.Values = append(r.Values, arrowValue(c, i))
		}
		rows[i] = r
	}
	return rows
}

func arrowValue(c arrow.Array, i int) any {
	if c.IsNull(i) {
		return nil
	}
	switch c := c.(type) {
	case *array.Boolean:
		return c.Value(i)
	case *array.Int32:
		return c.Value(i)
	case *array.Int64:
		return c.Value(i)
	case *array.Float32:
		return c.Value(i)
	case *array.Float64:
		return c.Value(i)
	case *array.String:
		return c.Value(i)
	case *array.Binary:
		return append([]byte{}, c.Value(i)...)
	case *array.Timestamp:
		return int64(c.Value(i))
	}
	panic("onlinetest: no values of " + c.DataType().String())
}

// Value is row i of a vector as a Go value, nil for null: the other way round.
func Value(v *feature.Vector, i int) any {
	if !v.Valid[i] {
		return nil
	}
	switch v.Type {
	case feature.Bool:
		return v.Bools[i]
	case feature.Int32:
		return v.Int32s[i]
	case feature.Int64, feature.Timestamp:
		return v.Int64s[i]
	case feature.Float32:
		return v.Float32[i]
	case feature.Float64:
		return v.Float64[i]
	case feature.String:
		return string(v.Bytes[i])
	default:
		return append([]byte{}, v.Bytes[i]...)
	}
}

// Random returns a random value of a type, null once in six times.
func Random(r *rand.Rand, t feature.Type) any {
	if r.IntN(6) == 0 {
		return nil
	}
	if t.IsArray() {
		var xs []any
		for range r.IntN(4) * r.IntN(4) {
			xs = append(xs, Random(r, t.Elem()))
		}
		return elements(t.Elem(), xs...)
	}
	text := func() []byte {
		b := make([]byte, r.IntN(20)*r.IntN(20))
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return b
	}
	switch t {
	case feature.Bool:
		return r.IntN(2) == 0
	case feature.Int32:
		return int32(r.Uint32())
	case feature.Int64:
		return int64(r.Uint64())
	case feature.Timestamp:
		return r.Int64N(feature.MaxTime-feature.MinTime) + feature.MinTime
	case feature.Float32:
		return r.Float32()
	case feature.Float64:
		return r.NormFloat64()
	case feature.String:
		return string(text())
	default:
		return text()
	}
}

// elements is an array of Go values, packed.
func elements(t feature.Type, xs ...any) []byte {
	packed := []byte{}
	var v feature.Vector
	for _, x := range xs {
		if x == nil {
			continue // an element is never null
		}
		v.Reset(t, 1)
		switch x := x.(type) {
		case bool:
			v.Bools[0] = x
		case int32:
			v.Int32s[0] = x
		case int64:
			v.Int64s[0] = x
		case float32:
			v.Float32[0] = x
		case float64:
			v.Float64[0] = x
		case string:
			v.Bytes[0] = []byte(x)
		case []byte:
			v.Bytes[0] = x
		}
		packed = feature.AppendElement(packed, &v, 0)
	}
	return packed
}
