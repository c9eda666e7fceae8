package offline

import (
	"context"
	"math"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// emit gives out a chunk's rows, batch by batch as the spine came; a batch of wide
// texts in several.
func (j *joiner) emit(ctx context.Context, c *spineChunk, out []feature.Vector, sink func(arrow.RecordBatch) error) error {
	var wide [][][]byte
	for _, v := range out {
		if v.Type.Variable() {
			wide = append(wide, v.Bytes)
		}
	}
	from := 0
	for _, rec := range c.recs {
		for at, rows := 0, int(rec.NumRows()); at < rows; {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n := narrow(wide, from, rows-at)
			cols := make([]arrow.Array, 0, len(out))
			for i := range out {
				a, err := vectorArray(&out[i], from, from+n)
				if err != nil {
					return err
				}
				cols = append(cols, a)
			}
			part := rec.NewSlice(int64(at), int64(at+n))
			err := j.give(part, cols, sink)
			part.Release()
			if err != nil {
				return err
			}
			at += n
			from += n
		}
	}
	return nil
}

// give gives out rows of the spine with their features, which become the sink's.
func (j *joiner) give(rec arrow.RecordBatch, features []arrow.Array, sink func(arrow.RecordBatch) error) error {
	cols := append(make([]arrow.Array, 0, j.schema.NumFields()), rec.Columns()...)
	for i, a := range features {
		t := j.service.Columns[i]
		if f := j.service.Views[t.View].Features[t.Feature]; f.Type.IsArray() && !j.packed {
			lists, err := feature.ToLists(f.Type, a.(*array.Binary))
			if err != nil {
				return feature.Errorf(feature.Internal, opJoin, "feature "+f.Name, "%w", err)
			}
			a.Release()
			a, features[i] = lists, lists
		}
		j.result.Nulls[i] += int64(a.NullN())
		cols = append(cols, a)
	}
	j.result.NullTimes += int64(rec.Column(j.shape.time).NullN())
	b := array.NewRecordBatch(j.schema, cols, rec.NumRows())
	for _, a := range features {
		a.Release()
	}
	err := sink(b)
	b.Release()
	if err != nil {
		return err
	}
	j.result.Rows += rec.NumRows()
	j.progress.emitted(int(rec.NumRows()))
	return nil
}

// maxOutBytes is about the most that a batch takes which is given out, more only for one row.
const maxOutBytes = 8 << 20

// narrow is how many of the next rows have so many bytes in their texts.
func narrow(texts [][][]byte, from, rows int) int {
	size := 0
	for i := range rows {
		if len(texts) == 0 {
			break
		}
		for _, t := range texts {
			size += len(t[from+i])
		}
		if size > maxOutBytes {
			return max(1, i)
		}
	}
	return rows
}

// vectorArray is rows [from, to) of a vector as an Arrow array. Values of fixed
// width are shared with the vector, which is not changed after this.
func vectorArray(v *feature.Vector, from, to int) (arrow.Array, error) {
	valid := v.Valid[from:to]
	nulls := 0
	for _, ok := range valid {
		if !ok {
			nulls++
		}
	}
	bufs := []*memory.Buffer{nil, nil}
	if nulls > 0 {
		bufs[0] = memory.NewBufferBytes(bitmap(valid))
	}
	switch v.Type {
	case feature.Bool:
		bufs[1] = memory.NewBufferBytes(bitmap(v.Bools[from:to]))
	case feature.Int32:
		bufs[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(v.Int32s[from:to]))
	case feature.Int64, feature.Timestamp:
		bufs[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(v.Int64s[from:to]))
	case feature.Float32:
		bufs[1] = memory.NewBufferBytes(arrow.Float32Traits.CastToBytes(v.Float32[from:to]))
	case feature.Float64:
		bufs[1] = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(v.Float64[from:to]))
	default:
		offsets := make([]int32, 1, to-from+1)
		size := 0
		for _, b := range v.Bytes[from:to] {
			if size += len(b); size > math.MaxInt32 {
				return nil, feature.Errorf(feature.Exhausted, opJoin, "", "%d values of a column take more than 2 GiB", to-from)
			}
			offsets = append(offsets, int32(size))
		}
		data := make([]byte, 0, size)
		for _, b := range v.Bytes[from:to] {
			data = append(data, b...)
		}
		bufs[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))
		bufs = append(bufs, memory.NewBufferBytes(data))
	}
	d := array.NewData(v.Type.Arrow(), to-from, bufs, nil, nulls, 0)
	defer d.Release()
	return array.MakeFromData(d), nil
}

func bitmap(bits []bool) []byte {
	out := make([]byte, bitutil.BytesForBits(int64(len(bits))))
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(bits))), len(bits)) // a bool is 0 or 1
	for i, b := range bytes {
		out[i>>3] |= b << (i & 7)
	}
	return out
}
