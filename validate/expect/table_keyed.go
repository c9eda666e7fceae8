package expect

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// uniqueRule: every row with a value that another row has too is unexpected.
func uniqueRule(a *args) whole {
	col, ok := a.column("column")
	if !ok {
		return whole{}
	}
	w := whole{metrics: []metricSpec{a.groupsOf(col, true)}, answer: a.repeated(nil)}
	w.window = a.nearRepeated(w.metrics[0], []int{col}, nil)
	return w
}

// compoundRule is uniqueRule for several columns together; two missing values are the same.
func compoundRule(a *args) whole {
	cols, judged, ok := a.row(1)
	if !ok {
		return whole{}
	}
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = a.name(c)
	}
	key := fmt.Sprint("compounds ", cols, string(a.raw["ignore_row_if"]))
	w := whole{metrics: []metricSpec{a.compoundsOf(key, cols, judged, true)}, answer: a.repeated(names)}
	w.window = a.nearRepeated(w.metrics[0], cols, names)
	return w
}

// repeated makes the answer that all rows of values that are there twice are unexpected.
func (a *args) repeated(names []string) answer {
	return func(_ *Run, ms []metric, res *Result) error {
		g := ms[0].(*groups)
		firsts := keptRows{most: g.repeats.most}
		var unexpected int64
		top := topCounts{most: max(g.repeats.most, defaultExamples)}
		err := g.each(true, func(t *groups, e *group) error {
			if e.count < 2 {
				return nil
			}
			unexpected += e.count
			if firsts.wants(e.first) {
				firsts.add(Example{Row: e.first, Value: t.value(e)})
			}
			if top.wants(e.count, e.first) {
				top.add(t.value(e), e.count, e.first)
			}
			return nil
		})
		if err != nil {
			return err
		}
		rowResult(res, unexpected, g.live, g.rows)
		for _, e := range g.repeats.rows {
			if firsts.wants(e.Row) {
				firsts.add(e)
			}
		}
		res.Examples = slices.Clone(firsts.sorted())
		for i := range res.Examples {
			res.Examples[i].Value = named(names, res.Examples[i].Value)
		}
		res.Counts = top.list()
		return nil
	}
}

// named is the values of a row by their names, where it has several.
func named(names []string, v any) any {
	if names == nil {
		return v
	}
	m := make(map[string]any, len(names))
	vs, several := v.([]any)
	if !several {
		vs = []any{v}
	}
	for i, n := range names {
		m[n] = vs[i]
	}
	return m
}

// topCounts keeps the most frequent of many values.
type topCounts struct {
	most int
	top  []topCount // most frequent first; of equals, the one met first
}

type topCount struct {
	ValueCount
	first int64
}

func (c topCount) compare(d topCount) int {
	return cmp.Or(cmp.Compare(d.Count, c.Count), cmp.Compare(c.first, d.first))
}

func (t *topCounts) wants(n, first int64) bool {
	return len(t.top) < t.most || topCount{ValueCount{nil, n}, first}.compare(t.top[len(t.top)-1]) < 0
}

func (t *topCounts) add(v any, n, first int64) {
	c := topCount{ValueCount{v, n}, first}
	i, _ := slices.BinarySearchFunc(t.top, c, topCount.compare)
	if t.top = slices.Insert(t.top, i, c); len(t.top) > t.most {
		t.top = t.top[:t.most]
	}
}

func (t *topCounts) list() []ValueCount {
	var out []ValueCount
	for _, c := range t.top {
		out = append(out, c.ValueCount)
	}
	sortCounts(out)
	return out
}

// orderRule compares each value with the one before it, null ones left out: up is
// 1 for increasing, -1 for decreasing.
func orderRule(up int) func(*args) whole {
	return func(a *args) whole {
		col, ok := a.column("column")
		strictly := a.bool("strictly")
		if !ok || a.bad {
			return whole{}
		}
		if t := a.typ(col); t.Variable() {
			a.unfits("column", "column %s is %s: only numbers and times increase or decrease", a.name(col), t)
			return whole{}
		}
		least := 0
		if strictly {
			least = 1
		}
		return whole{window: a.nearOrder(col, up, least), rows: func() loop {
			var last cell
			return func(b *batch, fail validate.Bitmap) int {
				c := &b.cols[col]
				for i := range c.present.Rows() {
					v := c.at(i)
					if last.kind != nullCell && v.compare(last)*up < least && !noDifference(v, last) {
						fail.Set(i)
					}
					last = v
				}
				return c.count
			}
		}}
	}
}

// noDifference tells two equal infinities, whose difference is no number; such a row passes.
func noDifference(v, last cell) bool {
	return v.kind == floatCell && math.IsInf(v.f, 0) && v == last
}

// zScoreRule: how many standard deviations a value is from the mean. Where that is no
// number, as in a column of one value, every row passes.
func zScoreRule(a *args) whole {
	col, ok := a.numeric("z-score")
	threshold := a.number("threshold")
	if threshold == nil && !a.bad {
		a.fault("threshold", "is required: the z-score that all values have to be below")
	}
	double := true
	if _, given := a.get("double_sided"); given {
		double = a.bool("double_sided")
	}
	if !ok || a.bad {
		return whole{}
	}
	limit, _ := threshold.float64()
	return a.ofRows(col, "z-scores", []metricSpec{a.momentsOf(col, true)}, nil, func(ms []metric) (func(v float64) bool, error) {
		mean, dev := ms[0].(*moments).average(), ms[0].(*moments).deviation()
		if dev == 0 || dev != dev || mean != mean {
			return nil, nil
		}
		if double {
			return func(v float64) bool { z := (v - mean) / dev; return math.Abs(z) < math.Abs(limit) || z != z }, nil
		}
		return func(v float64) bool { z := (v - mean) / dev; return z < limit || z != z }, nil
	})
}

// outlierRule: values beyond Tukey's fences (iqr), or too far from the mean (std).
func outlierRule(a *args) whole {
	col, ok := a.numeric("outliers")
	method := a.oneOf("method", "iqr", "std")
	multiplier := 1.5
	if n := a.number("multiplier"); n != nil {
		multiplier, _ = n.float64()
		if !(multiplier >= 0) {
			a.fault("multiplier", "must not be below 0 (got %s)", short(a.raw["multiplier"]))
		}
	}
	if !ok || a.bad {
		return whole{}
	}
	if method == "std" {
		return a.ofRows(col, "outliers", []metricSpec{a.momentsOf(col, true)}, nil, func(ms []metric) (func(v float64) bool, error) {
			mean, dev := ms[0].(*moments).average(), ms[0].(*moments).deviation()
			switch reach := multiplier * dev; {
			case dev != dev || mean != mean:
				return nil, nil
			case reach <= 0:
				return func(v float64) bool { return v == mean }, nil
			default:
				return func(v float64) bool { return math.Abs(v-mean) < reach }, nil
			}
		})
	}
	fences := func(lo, hi float64) func(v float64) bool {
		if hi-lo != hi-lo {
			return nil
		}
		reach := multiplier * (hi - lo)
		return func(v float64) bool { return v >= lo-reach && v <= hi+reach }
	}
	return a.ofRows(col, "outliers", []metricSpec{a.bagOf(col)}, fences, func(ms []metric) (func(v float64) bool, error) {
		q, err := ms[0].(*bag).quantiles([]float64{0.25, 0.75}, "linear")
		if err != nil {
			return nil, err
		}
		lo, ok := q[0].(float64)
		hi, there := q[1].(float64)
		if !ok || !there {
			return nil, nil
		}
		return fences(lo, hi), nil
	})
}

// ofRows makes the answer of a rule that judges each number by what is known of all
// of them. right returns the test, nil where every row passes; fences, where the test is one
// of quarters, makes it of those.
func (a *args) ofRows(col int, what string, metrics []metricSpec, fences func(lo, hi float64) func(v float64) bool, right func([]metric) (func(v float64) bool, error)) whole {
	typ := a.typ(col)
	window := a.nearRows(col, metrics, fences, right)
	metrics = append(metrics, a.seriesOf(col))
	if typ == feature.String {
		metrics = nil
	}
	w := a.ofNumbers(col, what, metrics, func(r *Run, ms []metric, res *Result) error {
		s := ms[len(ms)-1].(*series)
		test, err := right(ms)
		if err != nil {
			return err
		}
		var unexpected int64
		kept := keptRows{most: r.o.Examples}
		if r.o.Complete {
			kept.most = -1
		}
		counts := map[float64]*topCount{}
		show := func(v float64) any {
			switch {
			case typ == feature.Bool:
				return v == 1
			case typ != feature.Float32 && typ != feature.Float64:
				return int64(v)
			}
			return v
		}
		if test != nil {
			if err := s.each(func(row int64, v float64) {
				if test(v) {
					return
				}
				unexpected++
				if kept.wants(row) {
					kept.add(Example{Row: row, Value: show(v)})
				}
				if c := counts[v]; c != nil {
					c.Count++
				} else if len(counts) < maxCounted {
					counts[v] = &topCount{ValueCount{show(v), 1}, row}
				}
			}); err != nil {
				return err
			}
		}
		top := topCounts{most: max(kept.most, defaultExamples)}
		for _, c := range counts {
			if top.wants(c.Count, c.first) {
				top.add(c.Value, c.Count, c.first)
			}
		}
		rowResult(res, unexpected, s.rows, s.present)
		res.Examples, res.Counts = kept.sorted(), top.list()
		return nil
	})
	if typ != feature.String {
		w.window = window
	}
	return a.without(col, w, func(rows int64, res *Result) { rowResult(res, 0, rows, 0) })
}
