package decode

import (
	"encoding/base64"
	"math"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// column is one column under construction. Values are written at a row number,
// which counts only once the whole row stands: a row given up is simply written
// over by the next. Exactly one of the value slices is used, chosen by typ.
type column struct {
	field feature.Field
	typ   feature.Type
	leaf  int
	key   bool

	valid []byte // bitmap
	bits  []byte // Bool
	i32   []int32
	i64   []int64 // Int64, Timestamp
	f32   []float32
	f64   []float64
	off   []int32 // Type.Variable: one more than rows
	data  []byte
	size  int    // of data in the batch before
	text  []byte // an array's element on its way to data; used again
}

// resize makes room for n rows, n a multiple of 8, keeping the first have.
func (c *column) resize(n, have int) {
	c.valid = grown(c.valid, n/8, (have+7)/8)
	switch c.typ {
	case feature.Bool:
		c.bits = grown(c.bits, n/8, (have+7)/8)
	case feature.Int32:
		c.i32 = grown(c.i32, n, have)
	case feature.Int64, feature.Timestamp:
		c.i64 = grown(c.i64, n, have)
	case feature.Float32:
		c.f32 = grown(c.f32, n, have)
	case feature.Float64:
		c.f64 = grown(c.f64, n, have)
	default:
		c.off = grown(c.off, n+1, have+1)
	}
}

func grown[T any](s []T, n, have int) []T {
	g := make([]T, n)
	copy(g, s[:min(have, len(s))])
	return g
}

// put writes the value at node i (0: absent) as row. False where it does not
// fit the column's type, or is null in a join key.
func (c *column) put(d *jsonscan.Doc, i uint32, row int) bool {
	n := &d.Nodes[i]
	if i == 0 || n.Kind == jsonscan.Null {
		c.putNull(row)
		return !c.key
	}
	c.valid[row>>3] |= 1 << (row & 7)
	switch c.typ {
	case feature.Float64:
		if n.Kind != jsonscan.Number {
			return false
		}
		f, ok := d.Float64(i)
		c.f64[row] = f
		return ok
	case feature.String:
		if n.Kind != jsonscan.String {
			return false
		}
		c.data = d.AppendText(c.data, i)
		c.off[row+1] = int32(len(c.data))
		return true
	case feature.Int64:
		v, ok := integer(d, i)
		c.i64[row] = v
		return ok
	case feature.Int32:
		v, ok := integer(d, i)
		c.i32[row] = int32(v)
		return ok && v >= math.MinInt32 && v <= math.MaxInt32
	case feature.Bool:
		c.putBool(row, n.Kind == jsonscan.True)
		return n.Kind == jsonscan.True || n.Kind == jsonscan.False
	case feature.Float32:
		if n.Kind != jsonscan.Number {
			return false
		}
		f, ok := d.Float32(i)
		c.f32[row] = f
		return ok
	case feature.Bytes:
		if n.Kind != jsonscan.String {
			return false
		}
		text, _ := d.Text(i, nil)
		return c.putBase64(row, text)
	case feature.Timestamp:
		v, ok := timestamp(d, i)
		c.i64[row] = v
		return ok
	}
	return c.putArray(d, i, row)
}

func (c *column) putNull(row int) {
	c.valid[row>>3] &^= 1 << (row & 7)
	switch c.typ {
	case feature.Bool:
		c.putBool(row, false)
	case feature.Int32:
		c.i32[row] = 0
	case feature.Int64, feature.Timestamp:
		c.i64[row] = 0
	case feature.Float32:
		c.f32[row] = 0
	case feature.Float64:
		c.f64[row] = 0
	default:
		c.off[row+1] = int32(len(c.data))
	}
}

func (c *column) putBool(row int, v bool) {
	if v {
		c.bits[row>>3] |= 1 << (row & 7)
	} else {
		c.bits[row>>3] &^= 1 << (row & 7)
	}
}

func (c *column) putBase64(row int, text []byte) bool {
	var ok bool
	if c.data, ok = appendBase64(c.data, text); !ok {
		return false
	}
	c.off[row+1] = int32(len(c.data))
	return true
}

func appendBase64(dst, text []byte) ([]byte, bool) {
	// The decoder skips line breaks; the contract has none.
	for _, b := range text {
		if b == '\n' || b == '\r' {
			return dst, false
		}
	}
	out, err := base64.StdEncoding.Strict().AppendDecode(dst, text)
	if err != nil {
		return dst, false
	}
	return out, true
}

// integer is the whole number at node i.
func integer(d *jsonscan.Doc, i uint32) (int64, bool) {
	n := &d.Nodes[i]
	if n.Kind != jsonscan.Number {
		return 0, false
	}
	if v, ok := n.Decimal(); ok {
		return v.Int64()
	}
	r := d.Rat(i)
	return r.Num().Int64(), r.IsInt() && r.Num().IsInt64()
}

func timestamp(d *jsonscan.Doc, i uint32) (int64, bool) {
	if d.Nodes[i].Kind == jsonscan.String {
		return timestampText(timeText(d, i))
	}
	v, ok := integer(d, i)
	return v, ok && inRange(v)
}

func timestampText(text []byte) (int64, bool) {
	v, ok := parseTime(text, true)
	if !ok {
		v, ok = parseTime(text, false)
	}
	return v, ok && inRange(v)
}

// array hands the first rows out as an Arrow array over the column's own memory.
func (c *column) array(rows int) arrow.Array {
	set := 0
	for _, b := range c.valid[:rows/8] {
		set += bits.OnesCount8(b)
	}
	if rest := rows & 7; rest > 0 {
		set += bits.OnesCount8(c.valid[rows/8] & (1<<rest - 1))
	}
	nulls := rows - set
	var valid *memory.Buffer
	if nulls > 0 {
		valid = memory.NewBufferBytes(c.valid[:(rows+7)/8])
	}
	buffers := []*memory.Buffer{valid, nil}
	switch c.typ {
	case feature.Bool:
		buffers[1] = memory.NewBufferBytes(c.bits[:(rows+7)/8])
	case feature.Int32:
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.i32[:rows]))
	case feature.Int64, feature.Timestamp:
		buffers[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.i64[:rows]))
	case feature.Float32:
		buffers[1] = memory.NewBufferBytes(arrow.Float32Traits.CastToBytes(c.f32[:rows]))
	case feature.Float64:
		buffers[1] = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.f64[:rows]))
	default:
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.off[:rows+1]))
		buffers = append(buffers, memory.NewBufferBytes(c.data[:c.off[rows]]))
	}
	data := array.NewData(c.typ.Arrow(), rows, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
