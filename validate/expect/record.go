package expect

import (
	"math/big"
	"math/bits"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// row reads the columns of a rule over several columns and which rows it leaves out.
func (a *args) row(least int) (cols []int, judged func(b *batch, w int) uint64, ok bool) {
	cols, ok = a.columnList("column_list", least)
	switch a.oneOf("ignore_row_if", "all_values_are_missing", "any_value_is_missing", "never") {
	case "all_values_are_missing":
		judged = func(b *batch, w int) (rows uint64) {
			for _, c := range cols {
				rows |= b.cols[c].present[w]
			}
			return rows
		}
	case "any_value_is_missing":
		judged = func(b *batch, w int) uint64 {
			rows := b.live[w]
			for _, c := range cols {
				rows &= b.cols[c].present[w]
			}
			return rows
		}
	default:
		judged = func(b *batch, w int) uint64 { return b.live[w] }
	}
	return cols, judged, ok && !a.bad
}

func (a *args) names(cols []int, sep string) string {
	n := make([]string, len(cols))
	for i, c := range cols {
		n[i] = a.name(c)
	}
	return strings.Join(n, sep)
}

// sumRule: integers are summed exactly, with a float among them all are floats,
// added from left to right. A missing value makes the sum missing, which is wrong.
func sumRule(a *args) built {
	cols, judged, ok := a.row(1)
	total := a.number("sum_total")
	if total == nil && !a.bad {
		a.fault("sum_total", "is required: the number that the columns add up to")
	}
	if !ok || a.bad {
		return built{}
	}
	want := a.names(cols, " + ") + " = " + short(a.raw["sum_total"])
	exact := true
	for _, c := range cols {
		switch t := a.typ(c); {
		case t == feature.Float32 || t == feature.Float64:
			exact = false
		case t != feature.Bool && !t.Numeric():
			a.unfits("column_list", "column %s is %s, which cannot be summed", a.name(c), t)
			return built{}
		}
	}
	if !exact {
		f, _ := total.float64()
		return built{onRows(judged, func(b *batch, i int) bool {
			var sum float64
			for _, c := range cols {
				v, ok := b.cols[c].number(i)
				if !ok {
					return false
				}
				sum += v
			}
			return sum == f
		}), want}
	}
	hi, lo, possible := wide(*total)
	if !possible {
		a.warn("sum_total", "whole numbers never add up to this: no row can pass")
		return built{onRows(judged, func(*batch, int) bool { return false }), want}
	}
	return built{onRows(judged, func(b *batch, i int) bool {
		var h, l uint64
		for _, c := range cols {
			v := b.cols[c].at(i)
			if v.kind == nullCell {
				return false
			}
			var carry uint64
			l, carry = bits.Add64(l, uint64(v.i), 0)
			h, _ = bits.Add64(h, uint64(v.i>>63), carry)
		}
		return h == hi && l == lo
	}), want}
}

// wide is an integer in 128 bits, two's complement.
func wide(n number) (hi, lo uint64, ok bool) {
	i, ok := n.integer()
	if !ok || i.BitLen() > 126 {
		return 0, 0, false
	}
	abs := new(big.Int).Abs(i)
	lo = new(big.Int).And(abs, new(big.Int).SetUint64(^uint64(0))).Uint64()
	hi = new(big.Int).Rsh(abs, 64).Uint64()
	if i.Sign() < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return hi, lo, true
}

// number is a row of a bool or number column as a float64, false when missing.
func (c *column) number(row int) (float64, bool) {
	if !c.present.Get(row) {
		return 0, false
	}
	switch c.typ {
	case feature.Bool:
		if c.bools.Get(row) {
			return 1, true
		}
		return 0, true
	case feature.Int32:
		return float64(c.i32[row]), true
	case feature.Int64:
		return float64(c.i64[row]), true
	case feature.Float32:
		return float64(c.f32[row]), true
	}
	return c.f64[row], true
}

// distinctRule: all values of a row differ; two missing ones are the same.
func distinctRule(a *args) built {
	cols, judged, ok := a.row(2)
	if !ok {
		return built{}
	}
	return built{onRows(judged, func(b *batch, i int) bool {
		for n, x := range cols {
			v := b.cols[x].at(i)
			for _, y := range cols[:n] {
				if v == b.cols[y].at(i) {
					return false
				}
			}
		}
		return true
	}), a.names(cols, ", ") + " all different"}
}

// sameRule: all values of a row are equal, or all missing.
func sameRule(a *args) built {
	cols, judged, ok := a.row(2)
	if !ok {
		return built{}
	}
	return built{onRows(judged, func(b *batch, i int) bool {
		first := b.cols[cols[0]].at(i)
		for _, c := range cols[1:] {
			if b.cols[c].at(i) != first {
				return false
			}
		}
		return true
	}), a.names(cols, ", ") + " all equal"}
}
