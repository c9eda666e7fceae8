package expect

import (
	"fmt"
	"math"
	"math/big"

	"github.com/weir-ml/weir/registry/feature"
)

// What an expectation may ask about its rows. Each returns the metric's spec; those
// with one key are one metric.

func (a *args) rowsAnd(col int) metricSpec {
	name := "count"
	if col >= 0 {
		name = a.called("count", col)
	}
	return metricSpec{key: fmt.Sprint("count ", col), name: name, kept: keepCounter(col), begin: func(*TableOptions, bool) metric { return &counter{col: col} }}
}

func (a *args) momentsOf(col int, spread bool) metricSpec {
	typ := a.typ(col)
	return metricSpec{key: fmt.Sprint("moments ", col), name: a.called("moments", col), kept: keepMoments(col, typ), more: spread, begin: func(_ *TableOptions, spread bool) metric { return newMoments(col, typ, spread) }}
}

func (a *args) extremesOf(col int) metricSpec {
	return metricSpec{key: fmt.Sprint("extremes ", col), name: a.called("extremes", col), kept: keepExtremes(col), begin: func(*TableOptions, bool) metric { return &extremes{counter: counter{col: col}} }}
}

func (a *args) bagOf(col int) metricSpec {
	typ := a.typ(col)
	return metricSpec{key: fmt.Sprint("bag ", col), name: a.called("ranks", col), kept: keepRanks(col, typ), begin: func(o *TableOptions, _ bool) metric { return &bag{o: o, col: col, typ: typ} }}
}

func (a *args) seriesOf(col int) metricSpec {
	return metricSpec{key: fmt.Sprint("series ", col), begin: func(o *TableOptions, _ bool) metric { return &series{counter: counter{col: col}, o: o} }}
}

// groupsOf counts the values of one column that are there.
func (a *args) groupsOf(col int, keep bool) metricSpec {
	judged := func(b *batch, w int) uint64 { return b.cols[col].present[w] }
	return a.compoundsOf(fmt.Sprint("groups ", col), []int{col}, judged, keep)
}

func (a *args) compoundsOf(key string, cols []int, judged func(*batch, int) uint64, keep bool) metricSpec {
	types := make([]feature.Type, len(cols))
	for i, c := range cols {
		types[i] = a.typ(c)
	}
	return metricSpec{key: key, name: a.called("values", cols...) + string(a.raw["ignore_row_if"]), kept: keepValues(cols, types, judged), more: keep, begin: func(o *TableOptions, keep bool) metric {
		return newGroups(o, cols, types, judged, keep)
	}}
}

// numeric reads the column of an expectation about numbers. A column of text is
// asked all the same: as long as it has no value, it has no mean either.
func (a *args) numeric(what string) (col int, ok bool) {
	col, ok = a.column("column")
	if !ok {
		return 0, false
	}
	switch t := a.typ(col); t {
	case feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String:
		return col, true
	default:
		a.unfits("column", "column %s is %s, which has no %s", a.name(col), t, what)
		return 0, false
	}
}

// ofNumbers makes the expectation's answer, which a column of text with values in it has none of.
func (a *args) ofNumbers(col int, what string, metrics []metricSpec, ans answer) whole {
	if a.typ(col) != feature.String {
		return whole{metrics: metrics, answer: ans}
	}
	name := a.name(col)
	return whole{metrics: []metricSpec{a.rowsAnd(col)}, answer: func(_ *Run, ms []metric, res *Result) error {
		if ms[0].(*counter).present > 0 {
			res.Exception = fmt.Sprintf("column %s is text, which has no %s", name, what)
		}
		return nil
	}}
}

// without gives an expectation of ofNumbers the answer of a column that has no value,
// and whose type a file of text does not tell.
func (a *args) without(col int, w whole, fill func(rows int64, res *Result)) whole {
	if a.typ(col) != feature.String {
		return w
	}
	answer := w.answer
	w.answer = func(r *Run, ms []metric, res *Result) error {
		if c := ms[0].(*counter); c.present == 0 {
			fill(c.rows, res)
			return nil
		}
		return answer(r, ms, res)
	}
	return w
}

// span reads min_value, max_value and their strictness, and returns what tells
// whether a value of the type is within.
func (a *args) span(col int, typ feature.Type) func(v any) bool {
	b := bounds{strictMin: a.bool("strict_min"), strictMax: a.bool("strict_max")}
	minRaw, hasMin := a.get("min_value")
	maxRaw, hasMax := a.get("max_value")
	var lo, hi *scalar
	if hasMin {
		lo = a.scalar("min_value", minRaw)
	}
	if hasMax {
		hi = a.scalar("max_value", maxRaw)
	}
	if a.bad {
		return nil
	}
	for _, l := range []struct {
		at  string
		v   *scalar
		num **number
	}{{"min_value", lo, &b.min}, {"max_value", hi, &b.max}} {
		switch {
		case l.v == nil:
		case typ == feature.String && l.v.kind == textScalar:
		case typ == feature.Timestamp && l.v.kind == textScalar:
			*l.num = a.time(l.at, l.v.text)
		case typ != feature.String && typ != feature.Timestamp && l.v.kind == numberScalar:
			*l.num = &l.v.num
		default:
			a.unfits(l.at, "column %s is %s, which cannot be compared with %s", a.name(col), typ, short(a.raw[l.at]))
		}
	}
	if a.bad {
		return nil
	}
	if typ == feature.String {
		return func(v any) bool {
			s, ok := v.(string)
			return ok && (lo == nil || s > lo.text || !b.strictMin && s == lo.text) && (hi == nil || s < hi.text || !b.strictMax && s == hi.text)
		}
	}
	if b.empty() {
		a.fault("min_value", "must not be above max_value")
	}
	a.limits = b
	return b.hold
}

// hold reports whether a value is within the bounds; one that is missing is not.
func (b bounds) hold(v any) bool {
	n, ok := numberValue(v)
	if !ok {
		return false
	}
	if b.min != nil {
		if d := n.cmp(*b.min); d < 0 || b.strictMin && d == 0 {
			return false
		}
	}
	if b.max != nil {
		if d := n.cmp(*b.max); d > 0 || b.strictMax && d == 0 {
			return false
		}
	}
	return true
}

// numberValue is a value of a result as a number; a time is its microseconds.
func numberValue(v any) (number, bool) {
	if t, ok := timeValue(v); ok {
		return number{i: big.NewInt(t)}, true
	}
	switch v := v.(type) {
	case bool:
		return numberOf(v), true
	case int64:
		return number{i: big.NewInt(v)}, true
	case *big.Int:
		return number{i: v}, true
	case float64:
		return number{f: v}, v == v
	}
	return number{}, false
}

// plainValue is a number as Result has values: a double where no int64 holds it.
func (n number) plainValue() any {
	if n.i == nil {
		return floatValue(n.f)
	}
	if n.i.IsInt64() {
		return n.i.Int64()
	}
	f, _ := n.float64()
	return f
}

// floatValue is a number that may be missing.
func floatValue(f float64) any {
	if math.IsNaN(f) {
		return nil
	}
	return f
}
