package offline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// groupReader reads rows of one row group into batches.
type groupReader struct {
	file  *dataFile
	group int
	rows  int // in the row group
}

// column reads the given rows (ascending; nil for all) of one column; row
// rows[k] goes to place to[k], or k when to is nil. A column that the file is
// older than stays null.
func (g *groupReader) column(ctx context.Context, c Column, rows []int32, to []uint32) (*feature.Vector, error) {
	all := rows == nil
	if all {
		rows = upTo[int32](g.rows)
	}
	if to == nil {
		to = upTo[uint32](len(rows))
	}
	v := &feature.Vector{}
	v.Reset(c.Type, len(rows))
	chunk, err := g.file.chunk(g.group, c)
	if err != nil || chunk == nil {
		return v, err
	}
	var want []int32
	if !all {
		want = rows
	}
	left, leftTo := rows, to
	err = g.file.pages(ctx, chunk, c.Name, want, func(p *page) error {
		n, err := pick(v, p, left, leftTo)
		left, leftTo = left[n:], leftTo[n:]
		return err
	})
	if err == nil && len(left) > 0 {
		err = dataError(g.file.path, c.Name, fmt.Errorf("%d rows are missing", len(left)))
	}
	return v, err
}

func upTo[T int32 | uint32](n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = T(i)
	}
	return s
}

// systemColumns finds columns of a table by name.
type systemColumns map[string]Column

func columnsByName(cols []Column) systemColumns {
	m := systemColumns{}
	for _, c := range cols {
		m[c.Name] = c
	}
	return m
}

// batches reads rows of a row group (ascending; nil for all) and returns them as
// batches, one for each partition, in offset order. Columns of which want is
// false are null.
func (g *groupReader) batches(ctx context.Context, t Table, topics map[[16]byte]string, rows []int32, want func(name string) bool) ([]*feature.Batch, error) {
	if rows == nil {
		rows = upTo[int32](g.rows)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	sys := columnsByName(t.Columns())
	var topic, part, off *feature.Vector
	for _, x := range []struct {
		name string
		into **feature.Vector
	}{{ColTopicID, &topic}, {ColPartition, &part}, {ColOffset, &off}} {
		v, err := g.column(ctx, sys[x.name], rows, nil)
		if err != nil {
			return nil, err
		}
		*x.into = v
	}
	order := upTo[int32](len(rows))
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(part.Int32s[a], part.Int32s[b]), bytes.Compare(topic.Bytes[a], topic.Bytes[b]), cmp.Compare(off.Int64s[a], off.Int64s[b]))
	})
	to := make([]uint32, len(rows))
	for place, i := range order {
		to[i] = uint32(place)
	}
	read := func(c Column) (*feature.Vector, error) { return g.column(ctx, c, rows, to) }

	event, err := read(sys[ColEvent])
	if err != nil {
		return nil, err
	}
	known, err := read(sys[ColKnown])
	if err != nil {
		return nil, err
	}
	dead, err := read(sys[ColTombstone])
	if err != nil {
		return nil, err
	}
	view := t.View()
	arrays := make([]arrow.Array, 0, len(view.Keys)+len(view.Features))
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	for i, c := range t.Columns()[:cap(arrays)] {
		if i >= len(view.Keys) && !want(c.Name) {
			arrays = append(arrays, array.MakeArrayOfNull(memory.DefaultAllocator, c.Type.Arrow(), len(rows)))
			continue
		}
		v, err := read(c)
		if err != nil {
			return nil, err
		}
		arrays = append(arrays, arrowOf(v))
	}
	all := array.NewRecordBatch(view.Schema(), arrays, int64(len(rows)))
	defer all.Release()

	var out []*feature.Batch
	for lo := 0; lo < len(order); {
		hi := lo + 1
		first := order[lo]
		for hi < len(order) && part.Int32s[order[hi]] == part.Int32s[first] && string(topic.Bytes[order[hi]]) == string(topic.Bytes[first]) {
			hi++
		}
		if len(topic.Bytes[first]) != 16 {
			return nil, dataError(g.file.path, ColTopicID, errors.New("a topic id is not 16 bytes"))
		}
		id := [16]byte(topic.Bytes[first])
		b := &feature.Batch{View: view, Rows: all.NewSlice(int64(lo), int64(hi)),
			EventTime: event.Int64s[lo:hi:hi], KnownTime: known.Int64s[lo:hi:hi], Offsets: make([]int64, hi-lo)}
		for k := range b.Offsets {
			b.Offsets[k] = off.Int64s[order[lo+k]]
		}
		if slices.Contains(dead.Bools[lo:hi], true) {
			b.Tombstone = dead.Bools[lo:hi:hi]
		}
		b.Origin = feature.Origin{Topic: topics[id], TopicID: id, Partition: part.Int32s[first],
			First: b.Offsets[0], Next: b.Offsets[len(b.Offsets)-1] + 1}
		out = append(out, b)
		lo = hi
	}
	return out, nil
}

// arrowOf makes an arrow array of a vector; numbers are not copied.
func arrowOf(v *feature.Vector) arrow.Array {
	n := len(v.Valid)
	switch v.Type {
	case feature.Bool:
		b := array.NewBooleanBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(v.Bools, v.Valid)
		return b.NewArray()
	case feature.String:
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.Reserve(n)
		for i, x := range v.Bytes {
			if v.Valid[i] {
				b.BinaryBuilder.Append(x)
			} else {
				b.AppendNull()
			}
		}
		return b.NewArray()
	}
	if v.Type.Variable() {
		b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
		defer b.Release()
		b.AppendValues(v.Bytes, v.Valid)
		return b.NewArray()
	}
	var raw []byte
	switch v.Type {
	case feature.Int32:
		raw = bytesOf(v.Int32s)
	case feature.Int64, feature.Timestamp:
		raw = bytesOf(v.Int64s)
	case feature.Float32:
		raw = bytesOf(v.Float32)
	default:
		raw = bytesOf(v.Float64)
	}
	valid := make([]byte, bitutil.BytesForBits(int64(n)))
	nulls := 0
	for i, ok := range v.Valid {
		if ok {
			bitutil.SetBit(valid, i)
		} else {
			nulls++
		}
	}
	data := array.NewData(v.Type.Arrow(), n, []*memory.Buffer{memory.NewBufferBytes(valid), memory.NewBufferBytes(raw)}, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// bytesOf is the memory of numbers.
func bytesOf[T int32 | int64 | float32 | float64](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}
