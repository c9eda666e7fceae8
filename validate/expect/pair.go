package expect

import (
	"encoding/json"
	"fmt"
	"math/bits"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// pair reads the columns of a pair rule and which rows it leaves out.
func (a *args) pair() (x, y int, judged func(b *batch, w int) uint64, ok bool) {
	x, okA := a.column("column_A")
	y, okB := a.column("column_B")
	switch a.oneOf("ignore_row_if", "both_values_are_missing", "either_value_is_missing", "neither") {
	case "both_values_are_missing":
		judged = func(b *batch, w int) uint64 { return b.cols[x].present[w] | b.cols[y].present[w] }
	case "either_value_is_missing":
		judged = func(b *batch, w int) uint64 { return b.cols[x].present[w] & b.cols[y].present[w] }
	default:
		judged = func(b *batch, w int) uint64 { return b.live[w] }
	}
	return x, y, judged, okA && okB && !a.bad
}

// onRows makes a loop over the rows that judged selects, a word at a time.
// test tells whether a row is right.
func onRows(judged func(b *batch, w int) uint64, test func(b *batch, row int) bool) func(*batch, validate.Bitmap) int {
	return func(b *batch, fail validate.Bitmap) (evaluated int) {
		for w := range fail {
			rows := judged(b, w)
			evaluated += bits.OnesCount64(rows)
			for ; rows != 0; rows &= rows - 1 {
				j := bits.TrailingZeros64(rows)
				if !test(b, w*64+j) {
					fail[w] |= 1 << j
				}
			}
		}
		return evaluated
	}
}

// kinship says whether values of two types can be compared at all.
func kinship(a, b feature.Type) bool {
	number := func(t feature.Type) bool { return t == feature.Bool || t.Numeric() }
	text := func(t feature.Type) bool { return t == feature.String }
	return number(a) && number(b) || text(a) && text(b) || a == b
}

func pairEqualRule(a *args) built {
	x, y, judged, ok := a.pair()
	if !ok {
		return built{}
	}
	if !kinship(a.typ(x), a.typ(y)) {
		a.warn("column_B", "column %s is %s and column %s is %s: no row can pass", a.name(x), a.typ(x), a.name(y), a.typ(y))
		return built{onRows(judged, func(*batch, int) bool { return false }), a.name(x) + " = " + a.name(y)}
	}
	want := a.name(x) + " = " + a.name(y)
	if a.typ(x) == a.typ(y) {
		switch a.typ(x) {
		case feature.Int32:
			return built{pairLoop(x, y, judged, func(c *column) []int32 { return c.i32 }, equal), want}
		case feature.Int64, feature.Timestamp:
			return built{pairLoop(x, y, judged, func(c *column) []int64 { return c.i64 }, equal), want}
		case feature.Float32:
			return built{pairLoop(x, y, judged, func(c *column) []float32 { return c.f32 }, equal), want}
		case feature.Float64:
			return built{pairLoop(x, y, judged, func(c *column) []float64 { return c.f64 }, equal), want}
		}
	}
	return built{onRows(judged, func(b *batch, i int) bool {
		v, w := b.cols[x].at(i), b.cols[y].at(i)
		return v.kind != nullCell && v == w
	}), want}
}

func pairGreaterRule(a *args) built {
	x, y, judged, ok := a.pair()
	orEqual := a.bool("or_equal")
	if !ok || a.bad {
		return built{}
	}
	tx, ty := a.typ(x), a.typ(y)
	if !kinship(tx, ty) || tx == feature.Bytes {
		a.unfits("column_B", "column %s is %s and column %s is %s, which have no order", a.name(x), tx, a.name(y), ty)
		return built{}
	}
	want := a.name(x) + " above " + a.name(y)
	if orEqual {
		want = a.name(x) + " at least " + a.name(y)
	}
	if tx == ty {
		switch tx {
		case feature.Int32:
			return built{pairLoop(x, y, judged, func(c *column) []int32 { return c.i32 }, order[int32](orEqual)), want}
		case feature.Int64, feature.Timestamp:
			return built{pairLoop(x, y, judged, func(c *column) []int64 { return c.i64 }, order[int64](orEqual)), want}
		case feature.Float32:
			return built{pairLoop(x, y, judged, func(c *column) []float32 { return c.f32 }, order[float32](orEqual)), want}
		case feature.Float64:
			return built{pairLoop(x, y, judged, func(c *column) []float64 { return c.f64 }, order[float64](orEqual)), want}
		}
	}
	return built{onRows(judged, func(b *batch, i int) bool {
		v, w := b.cols[x].at(i), b.cols[y].at(i)
		if v.kind == nullCell || w.kind == nullCell {
			return false
		}
		d := v.compare(w)
		return d > 0 || orEqual && d == 0
	}), want}
}

type plain interface {
	int32 | int64 | float32 | float64
}

// relation returns, for 64 rows or fewer, the rows where it does not hold.
type relation[T plain] func(a, b []T) (bad uint64)

func equal[T plain](a, b []T) (bad uint64) {
	for j, v := range a {
		if v != b[j] {
			bad |= 1 << (j & 63)
		}
	}
	return bad
}

func order[T plain](orEqual bool) relation[T] {
	if orEqual {
		return func(a, b []T) (bad uint64) {
			for j, v := range a {
				if v < b[j] {
					bad |= 1 << (j & 63)
				}
			}
			return bad
		}
	}
	return func(a, b []T) (bad uint64) {
		for j, v := range a {
			if v <= b[j] {
				bad |= 1 << (j & 63)
			}
		}
		return bad
	}
}

// pairLoop compares two columns of one type. A row where one value is missing
// and that is not left out does not hold.
func pairLoop[T plain](x, y int, judged func(*batch, int) uint64, vals func(*column) []T, holds relation[T]) func(*batch, validate.Bitmap) int {
	return func(b *batch, fail validate.Bitmap) (evaluated int) {
		cx, cy := &b.cols[x], &b.cols[y]
		vx, vy := vals(cx), vals(cy)
		for w := range fail {
			rows := judged(b, w)
			evaluated += bits.OnesCount64(rows)
			missing := ^(cx.present[w] & cy.present[w])
			fail[w] = (holds(chunk(vx, w), chunk(vy, w)) | missing) & rows
		}
		return evaluated
	}
}

// pairSetRule: null in the set is a missing value.
func pairSetRule(a *args) built {
	x, y, judged, ok := a.pair()
	if _, given := a.get("value_pairs_set"); !given {
		if _, there := a.raw["value_pairs_set"]; there && ok {
			return built{onRows(judged, func(*batch, int) bool { return true }), "any pair"}
		}
	}
	l, listed := a.list("value_pairs_set", "a list of pairs, like [[1, 2], [3, null]]")
	if !ok || !listed {
		return built{}
	}
	set := make(map[[2]cell]struct{}, len(l))
	for i, r := range l {
		at := fmt.Sprintf("value_pairs_set[%d]", i)
		var p []json.RawMessage
		if !a.decode(at, r, &p, "a pair of values") {
			continue
		}
		if len(p) != 2 {
			a.fault(at, "must be a pair of values (got %s)", short(r))
			continue
		}
		var key [2]cell
		possible := true
		for k, col := range []int{x, y} {
			v := a.scalar(fmt.Sprintf("%s[%d]", at, k), p[k])
			if v == nil || v.kind == nullScalar {
				continue
			}
			c, ok := a.cellOf(fmt.Sprintf("%s[%d]", at, k), a.typ(col), *v)
			if !ok && !a.bad {
				a.warn(fmt.Sprintf("%s[%d]", at, k), "column %s is %s and never equals this value", a.name(col), a.typ(col))
			}
			key[k], possible = c, possible && ok
		}
		if possible {
			set[key] = struct{}{}
		}
	}
	return built{onRows(judged, func(b *batch, i int) bool {
		_, ok := set[[2]cell{b.cols[x].at(i), b.cols[y].at(i)}]
		return ok
	}), fmt.Sprintf("%s and %s in a set of %d pairs", a.name(x), a.name(y), len(l))}
}
