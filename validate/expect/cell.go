package expect

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/big"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect/pytime"
)

// cell is one value in a form that compares across columns of different types.
// Two cells are equal (==) exactly when Python calls their values equal: 1, 1.0
// and true are one cell, 1 and "1" are two.
type cell struct {
	kind cellKind
	i    int64   // intCell, timeCell (microseconds)
	f    float64 // floatCell: never a number that fits i
	s    string  // textCell
}

type cellKind uint8

const (
	nullCell cellKind = iota
	intCell
	floatCell
	textCell
	timeCell
)

// at reads a row of a column. A text cell aliases the record.
func (c *column) at(row int) cell {
	if !c.present.Get(row) {
		return cell{}
	}
	switch c.typ {
	case feature.Bool:
		if c.bools.Get(row) {
			return cell{kind: intCell, i: 1}
		}
		return cell{kind: intCell}
	case feature.Int32:
		return cell{kind: intCell, i: int64(c.i32[row])}
	case feature.Int64:
		return cell{kind: intCell, i: c.i64[row]}
	case feature.Float32:
		return floatOf(float64(c.f32[row]))
	case feature.Float64:
		return floatOf(c.f64[row])
	case feature.Timestamp:
		return cell{kind: timeCell, i: c.i64[row]}
	}
	return cell{kind: textCell, s: c.str(row)}
}

func floatOf(f float64) cell {
	if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
		return cell{kind: intCell, i: int64(f)}
	}
	return cell{kind: floatCell, f: f}
}

// float is a number cell as a float64; only for cells made for a float column,
// where nothing is lost.
func (c cell) float() float64 {
	if c.kind == intCell {
		return float64(c.i)
	}
	return c.f
}

// compare orders two number cells, two texts or two times.
func (c cell) compare(d cell) int {
	switch {
	case c.kind == textCell:
		return strings.Compare(c.s, d.s)
	case c.kind == floatCell && d.kind == floatCell:
		return cmp.Compare(c.f, d.f)
	case c.kind == floatCell:
		return -compareIntFloat(d.i, c.f)
	case d.kind == floatCell:
		return compareIntFloat(c.i, d.f)
	}
	return cmp.Compare(c.i, d.i)
}

// compareIntFloat compares exactly; f is not an integer that fits int64.
func compareIntFloat(i int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -(1 << 63):
		return 1
	case i <= int64(math.Floor(f)):
		return -1
	}
	return 1
}

// cellOf is a JSON value as a cell that values of a column of type typ can
// equal; false when none can. Text that is no time is a fault in a suite of a stream.
func (a *args) cellOf(at string, typ feature.Type, v scalar) (cell, bool) {
	switch typ {
	case feature.String:
		return cell{kind: textCell, s: v.text}, v.kind == textScalar
	case feature.Timestamp:
		if v.kind != textScalar {
			return cell{}, false
		}
		if _, err := pytime.ParseISO(v.text); err != nil && a.alone() {
			return cell{}, false // a stream's suite is written for its view: there it is a slip
		}
		t := a.time(at, v.text)
		if t == nil || t.i == nil {
			return cell{}, false // between two microseconds
		}
		return cell{kind: timeCell, i: t.i.Int64()}, true
	case feature.Bytes:
		return cell{}, false
	}
	var n number
	switch v.kind {
	case boolScalar:
		n.i = new(big.Int)
		if v.yes {
			n.i.SetInt64(1)
		}
	case numberScalar:
		n = v.num
	default:
		return cell{}, false
	}
	switch typ {
	case feature.Float32:
		f, past := n.float32()
		switch {
		case past == 0:
			return floatOf(float64(f)), true
		case n.i == nil && math.IsInf(n.f, 0):
			return cell{kind: floatCell, f: n.f}, true
		}
		return cell{}, false
	case feature.Float64:
		f, acc := n.float64()
		return floatOf(f), acc == big.Exact
	}
	i, ok := n.integer()
	if !ok || !i.IsInt64() {
		return cell{}, false
	}
	return cell{kind: intCell, i: i.Int64()}, true
}

// appendKey appends a row's value so that two rows have the same key when their
// values are equal, and no key is the beginning of another.
func (c *column) appendKey(dst []byte, row int) []byte {
	v := c.at(row)
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case intCell, timeCell:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.i))
	case floatCell:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.f))
	case textCell:
		return append(binary.AppendUvarint(dst, uint64(len(v.s))), v.s...)
	}
	return dst
}
