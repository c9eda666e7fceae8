package expect

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// batch is a record opened for the loops: the columns that rules look at as
// plain slices. It lives in the suite's pool.
type batch struct {
	rows      int
	live      validate.Bitmap // rows to judge: all but tombstones
	liveCount int
	cols      []column
	text      []byte // scratch for values that are looked at as text
	spare     []validate.Bitmap
	views     []view // the same rows under each condition, made when asked for
}

// view is a batch whose live rows are those that meet a condition.
type view struct {
	made  bool
	batch batch
}

// column is one column of a batch. Only the slice of its type is set.
type column struct {
	typ     feature.Type
	present validate.Bitmap // rows to judge that are neither null nor NaN
	count   int             // rows in present
	bools   validate.Bitmap
	i32     []int32
	i64     []int64 // also timestamps
	f32     []float32
	f64     []float64
	off     []int32 // rows+1 positions in data
	data    string  // the bytes of all strings; aliases the record's memory
	codes   []int32 // where the strings are a dictionary: by row, the place in it
	refused []uint8 // scratch of codedLoop
}

// typeOf is the feature type that has this Arrow type, InvalidType when none has.
func typeOf(t arrow.DataType) feature.Type {
	switch t.ID() {
	case arrow.BOOL:
		return feature.Bool
	case arrow.INT32:
		return feature.Int32
	case arrow.INT64:
		return feature.Int64
	case arrow.FLOAT32:
		return feature.Float32
	case arrow.FLOAT64:
		return feature.Float64
	case arrow.STRING:
		return feature.String
	case arrow.BINARY:
		return feature.Bytes
	case arrow.TIMESTAMP:
		if t.(*arrow.TimestampType).Unit == arrow.Microsecond {
			return feature.Timestamp
		}
	}
	return feature.InvalidType
}

func (b *batch) reset(rows int, skip []bool) {
	b.rows = rows
	b.live = resize(b.live, rows)
	fill(b.live, rows)
	b.liveCount = rows
	for i := range b.views {
		b.views[i].made = false
	}
	for i, s := range skip {
		if s {
			b.live[i>>6] &^= 1 << (i & 63)
			b.liveCount--
		}
	}
}

// release drops what points into the record, so that the pool does not keep it alive.
func (b *batch) release() {
	for i := range b.cols {
		c := &b.cols[i]
		c.i32, c.i64, c.f32, c.f64, c.off, c.data, c.codes = nil, nil, nil, nil, nil, "", nil
	}
	for i := range b.views {
		b.views[i].batch.release()
	}
}

// under returns the rows under conds[k-1], b itself for k = 0.
func (b *batch) under(k int, conds []condition) *batch {
	if k == 0 {
		return b
	}
	if b.views == nil {
		b.views = make([]view, len(conds))
	}
	v := &b.views[k-1]
	d := &v.batch
	if v.made {
		return d
	}
	v.made = true
	d.rows = b.rows
	d.live = resize(d.live, b.rows)
	conds[k-1].holds(b, d.live)
	and(d.live, b.live)
	d.liveCount = d.live.Count()
	if d.cols == nil {
		d.cols = make([]column, len(b.cols))
	}
	for i := range b.cols {
		present := resize(d.cols[i].present, b.rows)
		copy(present, b.cols[i].present)
		and(present, d.live)
		d.cols[i] = b.cols[i]
		d.cols[i].present, d.cols[i].count = present, present.Count()
	}
	return d
}

func (b *batch) load(i int, typ feature.Type, arr arrow.Array) { b.loadFrom(i, typ, arr, 0) }

// loadFrom opens as many rows of a column as the batch has, beginning with row from.
func (b *batch) loadFrom(i int, typ feature.Type, arr arrow.Array, from int) {
	to := from + b.rows
	c := &b.cols[i]
	c.typ = typ
	c.present = resize(c.present, b.rows)
	if b.rows == 0 {
		c.count, c.off = 0, nil
		c.bools = c.bools[:0]
		return
	}
	if len(arr.NullBitmapBytes()) == 0 { // not NullN, which counts when first asked: several sinks may look at one batch
		copy(c.present, b.live)
	} else {
		loadBits(c.present, arr.NullBitmapBytes(), arr.Data().Offset()+from, b.rows)
		and(c.present, b.live)
	}
	switch arr := arr.(type) {
	case *array.Boolean:
		c.bools = resize(c.bools, b.rows)
		loadBits(c.bools, arr.Data().Buffers()[1].Bytes(), arr.Data().Offset()+from, b.rows)
	case *array.Int32:
		c.i32 = arr.Int32Values()[from:to]
	case *array.Int64:
		c.i64 = arr.Int64Values()[from:to]
	case *array.Timestamp:
		ts := arr.TimestampValues()[from:to]
		c.i64 = unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(ts))), len(ts))
	case *array.Float32:
		c.f32 = arr.Float32Values()[from:to]
		dropNaN(c.present, c.f32)
	case *array.Float64:
		c.f64 = arr.Float64Values()[from:to]
		dropNaN(c.present, c.f64)
	case *array.String:
		c.setText(arr.Data(), from, to)
	case *array.Binary:
		c.setText(arr.Data(), from, to)
	}
	c.count = c.present.Count()
}

// setText aliases the offsets and bytes of a string or binary array.
func (c *column) setText(d arrow.ArrayData, from, to int) {
	bufs := d.Buffers()
	off := arrow.Int32Traits.CastFromBytes(bufs[1].Bytes())
	c.off = off[d.Offset()+from : d.Offset()+to+1]
	c.data = ""
	if bufs[2] != nil {
		raw := bufs[2].Bytes()
		c.data = unsafe.String(unsafe.SliceData(raw), len(raw))
	}
}

func (c *column) str(i int) string {
	if c.codes != nil {
		i = int(c.codes[i])
	}
	return c.data[c.off[i]:c.off[i+1]]
}

// dropNaN clears the rows that hold NaN: a missing number, as in pandas.
func dropNaN[T float32 | float64](present validate.Bitmap, vals []T) {
	for w := range present {
		var nan uint64
		for j, v := range chunk(vals, w) {
			if v != v {
				nan |= 1 << (j & 63)
			}
		}
		present[w] &^= nan
	}
}

// chunk is the part of vals that word w of a bitmap is about.
func chunk[T any](vals []T, w int) []T {
	return vals[w*64 : min(w*64+64, len(vals))]
}

// resize returns b with room for n rows; the content is undefined.
func resize(b validate.Bitmap, n int) validate.Bitmap {
	w := validate.Words(n)
	if cap(b) < w {
		return make(validate.Bitmap, w)
	}
	return b[:w]
}

// fill sets the first n rows and clears the rest of the last word.
func fill(b validate.Bitmap, n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if r := n & 63; r != 0 {
		b[len(b)-1] = 1<<r - 1
	}
}

func and(dst, src validate.Bitmap) {
	for i := range dst {
		dst[i] &= src[i]
	}
}

// loadBits copies n bits, least significant first, starting at bit from of src.
func loadBits(dst validate.Bitmap, src []byte, from, n int) {
	src, shift := src[from/8:], uint(from%8)
	for w := range dst {
		var word uint64
		at, have := w*8, min(64, n-w*64)
		if at+9 <= len(src) {
			b := src[at : at+9]
			lo := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
				uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
			word = lo >> shift
			if shift > 0 {
				word |= uint64(b[8]) << (64 - shift)
			}
		} else {
			for j := range have {
				p := at*8 + j + int(shift)
				word |= uint64(src[p/8]>>(p%8)&1) << j
			}
		}
		if have < 64 {
			word &= 1<<have - 1
		}
		dst[w] = word
	}
}
