package decode

import (
	"math"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// covers reports whether values of a file's type can become the column's. Where
// none of them can, the Decoder says so row by row.
func (c *column) covers(t arrow.DataType) bool {
	if c.typ.IsArray() { // a file's binary is text in events, whatever its bytes look like
		return false
	}
	switch t.ID() {
	case arrow.INT32, arrow.INT64:
		return c.typ.Numeric() || c.typ == feature.Timestamp
	case arrow.FLOAT32, arrow.FLOAT64:
		return c.typ.Numeric()
	case arrow.STRING:
		return c.typ == feature.String || c.typ == feature.Timestamp || c.typ == feature.Bytes
	}
	return arrow.TypeEqual(t, c.typ.Arrow())
}

// column gives the values for a column of the view, marking rows with values
// that do not fit it, or of which it is not certain what they become.
func (c *Columns) column(t *Table, to *column, n int) arrow.Array {
	at := c.leaves[to.leaf]
	if at < 0 {
		return nullArray(to.typ, n)
	}
	a := t.Values[at]
	if to.key && a.NullN() > 0 {
		for r := range n {
			if a.IsNull(r) {
				t.Doubt[r] = true
			}
		}
	}
	if arrow.TypeEqual(a.DataType(), to.typ.Arrow()) {
		a.Retain()
		return a
	}
	switch a := a.(type) {
	case *array.Int32:
		return fromInts(a.Int32Values(), a, to.typ, t.Doubt)
	case *array.Int64:
		return fromInts(a.Int64Values(), a, to.typ, t.Doubt)
	case *array.Float32:
		wide := make([]float64, n)
		for i, v := range a.Float32Values() {
			wide[i] = textFloat(v)
		}
		return fromFloats(wide, a, to.typ, t.Doubt)
	case *array.Float64:
		return fromFloats(a.Float64Values(), a, to.typ, t.Doubt)
	case *array.String:
		return fromTexts(a, to, t.Doubt)
	}
	panic("decode: a column that is not covered")
}

func fromInts[T int32 | int64](values []T, a arrow.Array, to feature.Type, doubt []bool) arrow.Array {
	switch to {
	case feature.Int32:
		return mapped(values, a, to, doubt, func(v T) (int32, bool) { return int32(v), int64(int32(v)) == int64(v) })
	case feature.Int64:
		return mapped(values, a, to, doubt, func(v T) (int64, bool) { return int64(v), true })
	case feature.Timestamp:
		return mapped(values, a, to, doubt, func(v T) (int64, bool) { return int64(v), inRange(int64(v)) })
	case feature.Float32:
		return mapped(values, a, to, doubt, func(v T) (float32, bool) { return float32(v), true })
	default:
		return mapped(values, a, to, doubt, func(v T) (float64, bool) { return float64(v), true })
	}
}

func fromFloats(values []float64, a arrow.Array, to feature.Type, doubt []bool) arrow.Array {
	switch to {
	case feature.Int32:
		return mapped(values, a, to, doubt, func(v float64) (int32, bool) { return int32(v), v == math.Trunc(v) && math.Abs(v) < 1<<31 })
	case feature.Int64:
		return mapped(values, a, to, doubt, func(v float64) (int64, bool) { return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53 })
	case feature.Float32:
		return mapped(values, a, to, doubt, narrow)
	default:
		return mapped(values, a, to, doubt, func(v float64) (float64, bool) { return v, true })
	}
}

// narrow is the float32 nearest to the text that v is nearest to. It is the one
// nearest to v, unless v is so near the middle between two that the text may be
// on the other side of it.
func narrow(v float64) (float32, bool) {
	f := float32(v)
	if float64(f) == v {
		return f, true
	}
	rest := math.Float64bits(v) & (1<<29 - 1)
	abs := math.Abs(v)
	return f, abs > 0x1p-126 && abs < math.MaxFloat32 && (rest < 1<<28-1 || rest > 1<<28+1)
}

// textFloat is the float64 that the shortest text of a float32 reads as.
func textFloat(v float32) float64 {
	if w := float64(v); w == math.Trunc(w) && math.Abs(w) < 1<<24 {
		return w
	}
	var buf [32]byte
	f, _ := strconv.ParseFloat(string(strconv.AppendFloat(buf[:0], float64(v), 'e', -1, 32)), 64)
	return f
}

func fromTexts(a *array.String, to *column, doubt []bool) arrow.Array {
	n := a.Len()
	tmp := column{field: to.field, typ: to.typ}
	tmp.resize((n+8)&^7, 0)
	for r := range n {
		if a.IsNull(r) {
			tmp.putNull(r)
			continue
		}
		tmp.valid[r>>3] |= 1 << (r & 7)
		text, ok := bytesOf(a.Value(r)), false
		if to.typ == feature.Bytes {
			if ok = tmp.putBase64(r, text); !ok {
				tmp.data = tmp.data[:tmp.off[r]]
				tmp.off[r+1] = tmp.off[r]
			}
		} else {
			tmp.i64[r], ok = timestampText(text)
		}
		if !ok {
			doubt[r] = true
		}
	}
	return tmp.array(n)
}

// mapped makes an array of another type of the values, with the same nulls.
func mapped[T, U int32 | int64 | float32 | float64](values []T, a arrow.Array, to feature.Type, doubt []bool, f func(T) (U, bool)) arrow.Array {
	out := make([]U, len(values))
	nulls := a.NullN() > 0
	for i, v := range values {
		if nulls && a.IsNull(i) {
			continue
		}
		u, ok := f(v)
		out[i] = u
		if !ok {
			doubt[i] = true
		}
	}
	var valid *memory.Buffer
	if nulls {
		bits := make([]byte, (len(values)+7)/8)
		for i := range values {
			if a.IsValid(i) {
				bits[i>>3] |= 1 << (i & 7)
			}
		}
		valid = memory.NewBufferBytes(bits)
	}
	var zero U
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), len(out)*int(unsafe.Sizeof(zero)))
	data := array.NewData(to.Arrow(), len(values), []*memory.Buffer{valid, memory.NewBufferBytes(raw)}, nil, a.NullN(), 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func nullArray(t feature.Type, n int) arrow.Array {
	c := column{typ: t}
	c.resize((n+8)&^7, 0)
	return c.array(n)
}

// bytesOf sees a string as bytes; they must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
