package offline

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"

	"github.com/weir-ml/weir/registry/feature"
)

// values are the values of one page as the file holds them: no copy, no
// conversion, void when the page is released. With a dictionary, index says
// which of its values each one is.
type values struct {
	kind    parquet.Kind
	index   []int32 // nil without a dictionary
	i32     []int32
	i64     []int64
	f32     []float32
	f64     []float64
	bits    []byte // booleans, 8 to the byte
	data    []byte // byte arrays, one after the other
	offsets []uint32
	size    int // of each, for fixed length; then offsets is nil
}

func (v *values) set(p parquet.Page) error {
	raw := p.Data()
	*v = values{}
	if dict := p.Dictionary(); dict != nil {
		v.index = raw.Int32()
		raw = dict.Page().Data()
		if n := int32(dict.Len()); !inRange(v.index, n) {
			return errors.New("a value points outside of its dictionary")
		}
	}
	switch raw.Kind() {
	case encoding.Boolean:
		v.kind, v.bits = parquet.Boolean, raw.Boolean()
	case encoding.Int32:
		v.kind, v.i32 = parquet.Int32, raw.Int32()
	case encoding.Int64:
		v.kind, v.i64 = parquet.Int64, raw.Int64()
	case encoding.Float:
		v.kind, v.f32 = parquet.Float, raw.Float()
	case encoding.Double:
		v.kind, v.f64 = parquet.Double, raw.Double()
	case encoding.ByteArray:
		v.kind = parquet.ByteArray
		v.data, v.offsets = raw.ByteArray()
	case encoding.FixedLenByteArray:
		v.kind = parquet.FixedLenByteArray
		v.data, v.size = raw.FixedLenByteArray()
	default:
		return errors.New("a page of a kind that no table has")
	}
	return nil
}

func inRange(index []int32, n int32) bool {
	for _, i := range index {
		if uint32(i) >= uint32(n) {
			return false
		}
	}
	return true
}

func (v *values) bytes(i int) []byte {
	if v.offsets != nil {
		return v.data[v.offsets[i]:v.offsets[i+1]]
	}
	return v.data[i*v.size : (i+1)*v.size]
}

func (v *values) bool(i int) bool { return v.bits[i>>3]>>(i&7)&1 == 1 }

// whole reads a column of a row group that has no nulls into dst, which has a
// place for every row.
func whole[T int32 | int64](dst []T, p *page, from []T) error {
	if int(p.first)+p.rows > len(dst) {
		return errors.New("the column has more rows than its row group")
	}
	out := dst[p.first : int(p.first)+p.rows]
	if p.present != nil {
		for _, x := range p.present {
			if x == 0 {
				return errors.New("a value that every row must have is null")
			}
		}
	}
	if p.values.index == nil {
		if len(from) < len(out) {
			return errors.New("a page has fewer values than rows")
		}
		copy(out, from)
		return nil
	}
	if len(p.values.index) < len(out) {
		return errors.New("a page has fewer values than rows")
	}
	for i, k := range p.values.index[:len(out)] {
		out[i] = from[k]
	}
	return nil
}

// pick writes the wanted rows of a page into their places: row rows[k] of the
// row group, ascending, goes to place to[k] of dst. It returns how many it took.
// Null rows stay as they are, which is null.
func pick(dst *feature.Vector, p *page, rows []int32, to []uint32) (int, error) {
	end := p.first + int64(p.rows)
	n := len(rows)
	if n > 0 && int64(rows[n-1]) >= end {
		n = 0
		for n < len(rows) && int64(rows[n]) < end {
			n++
		}
	}
	rows, to = rows[:n], to[:n]
	v := &p.values
	switch dst.Type {
	case feature.Bool:
		return n, pickInto(dst, p, rows, to, func(at uint32, i int) { dst.Bools[at] = v.bool(i) })
	case feature.Int32:
		if v.kind == parquet.Int64 {
			return n, pickNarrow(dst, p, rows, to)
		}
		return n, pickFixed(dst.Int32s, v.i32, dst, p, rows, to)
	case feature.Int64, feature.Timestamp:
		if v.kind == parquet.Int32 {
			return n, pickInto(dst, p, rows, to, func(at uint32, i int) { dst.Int64s[at] = int64(v.i32[i]) })
		}
		return n, pickFixed(dst.Int64s, v.i64, dst, p, rows, to)
	case feature.Float32:
		if v.kind == parquet.Double {
			// What the older definition would have made of the event's number.
			return n, pickInto(dst, p, rows, to, func(at uint32, i int) { dst.Float32[at] = float32(v.f64[i]) })
		}
		return n, pickFixed(dst.Float32, v.f32, dst, p, rows, to)
	case feature.Float64:
		if v.kind == parquet.Float {
			return n, pickInto(dst, p, rows, to, func(at uint32, i int) { dst.Float64[at] = float64(v.f32[i]) })
		}
		return n, pickFixed(dst.Float64, v.f64, dst, p, rows, to)
	}
	if dst.Type.Variable() {
		return n, pickTexts(dst, p, rows, to)
	}
	return n, errors.New("a column of no known type")
}

// pickTexts makes one copy of the wanted values for the whole page, which the places
// share: a row that many want is copied once, and never more than the whole dictionary.
func pickTexts(dst *feature.Vector, p *page, rows []int32, to []uint32) error {
	v := p.values
	size, last := 0, -1
	if err := pickInto(dst, p, rows, to, func(_ uint32, i int) {
		if i != last {
			size += len(v.bytes(i))
		}
		last = i
	}); err != nil {
		return err
	}
	if v.index != nil && size > len(v.data) {
		p.copied = int64(len(v.data))
		v.data = bytes.Clone(v.data)
		return pickInto(dst, p, rows, to, func(at uint32, i int) {
			b := v.bytes(i)
			dst.Bytes[at] = b[:len(b):len(b)]
		})
	}
	p.copied = int64(size)
	arena := make([]byte, 0, size)
	var text []byte
	last = -1
	return pickInto(dst, p, rows, to, func(at uint32, i int) {
		if i != last {
			k := len(arena)
			arena = append(arena, v.bytes(i)...)
			last, text = i, arena[k:len(arena):len(arena)]
		}
		dst.Bytes[at] = text
	})
}

// pickNarrow reads what a newer view has widened with the type of an older one.
func pickNarrow(dst *feature.Vector, p *page, rows []int32, to []uint32) error {
	var wide int64
	fits := true
	err := pickInto(dst, p, rows, to, func(at uint32, i int) {
		x := p.values.i64[i]
		if dst.Int32s[at] = int32(x); int64(dst.Int32s[at]) != x {
			wide, fits = x, false
		}
	})
	if err == nil && !fits {
		return feature.Errorf(feature.Unavailable, "offline.read", fmt.Sprintf("value %d", wide), "it does not fit in int32, which the column was before a newer version of the view").
			WithHint("read it with the newest definition; a worker that has not heard of it yet will in a moment")
	}
	return err
}

// pickFixed is pickInto for the common case, without a call for each value.
func pickFixed[T any](out, from []T, dst *feature.Vector, p *page, rows []int32, to []uint32) error {
	first := int32(p.first)
	if index := p.values.index; index != nil && p.present == nil { // places in a dictionary
		if len(index) < p.rows {
			return errors.New("a page has fewer values than rows")
		}
		for k, r := range rows {
			at := to[k]
			out[at], dst.Valid[at] = from[index[r-first]], true
		}
		return nil
	}
	if p.present != nil || p.values.index != nil {
		return pickInto(dst, p, rows, to, func(at uint32, i int) { out[at] = from[i] })
	}
	if len(from) < p.rows {
		return errors.New("a page has fewer values than rows")
	}
	for k, r := range rows {
		at := to[k]
		out[at], dst.Valid[at] = from[r-first], true
	}
	return nil
}

// pickInto calls put with the place and the value's index for the wanted rows that are not null.
func pickInto(dst *feature.Vector, p *page, rows []int32, to []uint32, put func(at uint32, i int)) error {
	first := int32(p.first)
	row, dense := int32(0), 0 // dense is how many values stand before row
	for k, r := range rows {
		r -= first
		if p.present == nil {
			dense = int(r)
		} else {
			for ; row < r; row++ {
				dense += int(p.present[row])
			}
			if p.present[r] == 0 {
				continue
			}
		}
		i := dense
		if p.values.index != nil {
			if i >= len(p.values.index) {
				return errors.New("a page has fewer values than rows")
			}
			i = int(p.values.index[i])
		}
		put(to[k], i)
		dst.Valid[to[k]] = true
	}
	return nil
}
