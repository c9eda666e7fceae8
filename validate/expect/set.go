package expect

import (
	"fmt"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// setRule: a number equals a number of the same value and never text. What
// cannot equal any value of the column is left out with a warning.
func setRule(in bool) func(*args) built {
	return func(a *args) built {
		col, ok := a.column("column")
		if _, ok := a.get("value_set"); !ok {
			if _, there := a.raw["value_set"]; there { // null: any value will do
				return built{onColumn(max(col, 0), allPass), "any value"}
			}
		}
		l, listed := a.list("value_set", "a list of values")
		if !ok || !listed {
			return built{}
		}
		var vals []scalar
		for i, r := range l {
			if v := a.scalar(fmt.Sprintf("value_set[%d]", i), r); v != nil {
				vals = append(vals, *v)
			}
		}
		texts := make([]string, len(l))
		for i, r := range l {
			texts[i] = short(r)
		}
		want := "one of "
		if !in {
			want = "none of "
		}
		if len(texts) > 20 {
			texts = append(texts[:20], fmt.Sprintf("… (%d values)", len(l)))
		}
		want += strings.Join(texts, ", ")
		if a.bad {
			return built{}
		}
		test := a.setTest(col, vals, in)
		if test == nil {
			return built{}
		}
		return built{onColumn(col, test), want}
	}
}

func (a *args) setTest(col int, vals []scalar, in bool) func(*column, validate.Bitmap) {
	typ := a.typ(col)
	if typ == feature.Bytes {
		a.unfits("column", "column %s is bytes, which JSON values cannot equal", a.name(col))
		return nil
	}
	var cells []cell
	for i, v := range vals {
		if v.kind == nullScalar {
			continue // null values of the column are never asked about
		}
		c, ok := a.cellOf(fmt.Sprintf("value_set[%d]", i), typ, v)
		if a.bad {
			return nil
		}
		if !ok {
			a.warn(fmt.Sprintf("value_set[%d]", i), "column %s is %s and never equals this value", a.name(col), typ)
			continue
		}
		cells = append(cells, c)
	}
	switch typ {
	case feature.Bool:
		var has [2]bool
		for _, c := range cells {
			if c.kind == intCell && (c.i == 0 || c.i == 1) {
				has[c.i] = true
			}
		}
		return boolTable(has[0] != in, has[1] != in)
	case feature.Int32:
		var vs []int32
		for _, c := range cells {
			if c.kind == intCell && int64(int32(c.i)) == c.i {
				vs = append(vs, int32(c.i))
			}
		}
		m := newMembers(vs)
		return func(c *column, fail validate.Bitmap) { memberLoop(c.i32, m, in, fail) }
	case feature.Int64, feature.Timestamp:
		var vs []int64
		for _, c := range cells {
			if c.kind == intCell || c.kind == timeCell {
				vs = append(vs, c.i)
			}
		}
		m := newMembers(vs)
		return func(c *column, fail validate.Bitmap) { memberLoop(c.i64, m, in, fail) }
	case feature.Float32:
		var vs []float32
		for _, c := range cells {
			vs = append(vs, float32(c.float()))
		}
		m := newMembers(vs)
		return func(c *column, fail validate.Bitmap) { memberLoop(c.f32, m, in, fail) }
	case feature.Float64:
		var vs []float64
		for _, c := range cells {
			vs = append(vs, c.float())
		}
		m := newMembers(vs)
		return func(c *column, fail validate.Bitmap) { memberLoop(c.f64, m, in, fail) }
	}
	var vs []string
	for _, c := range cells {
		vs = append(vs, c.s)
	}
	if s := newShortSet(vs); s != nil {
		return s.loop(in)
	}
	m := newMembers(vs)
	return textLoop(func(s string) bool { return m.has(s) == in })
}

// members is a set that is searched in a line while it is small, and hashed
// above that. Where the hash begins to win differs much: a text compare is a
// call, a number compare is not.
type members[T comparable] struct {
	few  []T
	many map[T]struct{}
}

const (
	textLine   = 4
	numberLine = 32
)

func newMembers[T comparable](vals []T) *members[T] {
	many := make(map[T]struct{}, len(vals))
	var few []T
	for _, v := range vals {
		if _, dup := many[v]; !dup {
			many[v] = struct{}{}
			few = append(few, v)
		}
	}
	most := numberLine
	if _, text := any(few).([]string); text {
		most = textLine
	}
	if len(few) <= most {
		return &members[T]{few: few}
	}
	return &members[T]{many: many}
}

func (m *members[T]) has(v T) bool {
	if m.many != nil {
		_, ok := m.many[v]
		return ok
	}
	for _, x := range m.few {
		if x == v {
			return true
		}
	}
	return false
}

func memberLoop[T comparable](vals []T, m *members[T], in bool, fail validate.Bitmap) {
	for w := range fail {
		var bad uint64
		for j, v := range chunk(vals, w) {
			if m.has(v) != in {
				bad |= 1 << (j & 63)
			}
		}
		fail[w] = bad
	}
}
