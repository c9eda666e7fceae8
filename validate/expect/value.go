package expect

import (
	"bytes"
	"math"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// valueText is what a reason shows: the value of the one column, or "a=1, b=null".
func (s *Suite) valueText(b *batch, cols []int, row int) string {
	var out []byte
	for i, c := range cols {
		if i > 0 {
			out = append(out, ", "...)
		}
		if len(cols) > 1 {
			out = append(out, s.columns[c].name...)
			out = append(out, '=')
		}
		out = b.cols[c].appendValue(out, row, b.live.Get(row))
	}
	return feature.Shorten(out)
}

// appendValue appends a value for people. Missing numbers are null whether they
// are null or NaN in the column.
func (c *column) appendValue(dst []byte, row int, live bool) []byte {
	if !c.present.Get(row) || !live {
		return append(dst, "null"...)
	}
	switch {
	case c.typ.IsArray():
		return append(dst, feature.ArrayText(c.typ, []byte(c.str(row)))...)
	case c.typ.Variable():
		return append(dst, c.str(row)...)
	case c.typ == feature.Timestamp:
		return feature.Time(c.i64[row]).AppendFormat(dst, "2006-01-02T15:04:05.999999Z07:00")
	}
	return bytes.TrimSuffix(c.appendText(dst, row), []byte(".0"))
}

// appendText appends a number or bool as Python's str writes it, which is what
// patterns and lengths see of a column that is not text.
func (c *column) appendText(dst []byte, row int) []byte {
	switch c.typ {
	case feature.Bool:
		if c.bools.Get(row) {
			return append(dst, "True"...)
		}
		return append(dst, "False"...)
	case feature.Int32:
		return strconv.AppendInt(dst, int64(c.i32[row]), 10)
	case feature.Int64:
		return strconv.AppendInt(dst, c.i64[row], 10)
	case feature.Float32:
		return appendFloat(dst, float64(c.f32[row]), 32)
	case feature.Float64:
		return appendFloat(dst, c.f64[row], 64)
	}
	return dst
}

// appendFloat writes the shortest decimal that reads back as the same float:
// plain from 1e-4 to below 1e16 and then always with a point, else with an exponent.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch a := math.Abs(f); {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.AppendFloat(dst, f, 'e', -1, bits)
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
	for _, ch := range dst[n:] {
		if ch == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}
