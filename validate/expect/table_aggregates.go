package expect

import (
	"encoding/json"
	"math"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// timeValue is a time of a result in microseconds.
func timeValue(v any) (int64, bool) {
	t, ok := v.(time.Time)
	return t.UnixMicro(), ok
}

// extremeRule asks for the least or the greatest value of a column.
func extremeRule(most bool) func(*args) whole {
	return func(a *args) whole {
		col, ok := a.column("column")
		if !ok {
			return whole{}
		}
		typ := a.typ(col)
		if typ.Variable() && typ != feature.String {
			a.unfits("column", "column %s is %s, which has no order", a.name(col), typ)
			return whole{}
		}
		within := a.span(col, typ)
		return whole{metrics: []metricSpec{a.extremesOf(col)}, answer: func(_ *Run, ms []metric, res *Result) error {
			e := ms[0].(*extremes)
			v := e.least
			if most {
				v = e.most
			}
			res.Observed = v.valueOf(typ)
			res.Success = within(res.Observed)
			return nil
		}}
	}
}

// momentRule asks for a number about all values of a column.
func momentRule(what string, spread bool, of func(*moments) any) func(*args) whole {
	return func(a *args) whole {
		if what == "mean" && a.ofTimes() {
			return a.meanTime()
		}
		col, ok := a.numeric(what)
		within := a.span(col, feature.Float64)
		if !ok || a.bad {
			return whole{}
		}
		judge := func(m *moments, res *Result) {
			res.Observed = of(m)
			res.Success = within(res.Observed)
		}
		w := a.ofNumbers(col, what, []metricSpec{a.momentsOf(col, spread)}, func(_ *Run, ms []metric, res *Result) error {
			judge(ms[0].(*moments), res)
			return nil
		})
		return a.without(col, w, func(_ int64, res *Result) { judge(newMoments(col, feature.Int64, spread), res) })
	}
}

var (
	meanRule  = momentRule("mean", false, func(m *moments) any { return floatValue(m.average()) })
	stdevRule = momentRule("standard deviation", true, func(m *moments) any { return floatValue(m.deviation()) })
	sumOfRule = momentRule("sum", false, func(m *moments) any { return m.total().plainValue() })
)

// ofTimes reports whether the expectation's column is of timestamps.
func (a *args) ofTimes() bool {
	var name string
	if json.Unmarshal(a.raw["column"], &name) != nil {
		return false
	}
	found := a.c.schema.FieldIndices(name)
	return len(found) > 0 && a.c.typeOf(a.c.schema.Field(found[0])) == feature.Timestamp
}

// meanTime asks for the mean of times, to the microsecond.
func (a *args) meanTime() whole {
	col, ok := a.column("column")
	within := a.span(col, feature.Timestamp)
	if !ok || a.bad {
		return whole{}
	}
	return whole{metrics: []metricSpec{a.momentsOf(col, false)}, answer: func(_ *Run, ms []metric, res *Result) error {
		if m := ms[0].(*moments); m.n > 0 {
			res.Observed = feature.Time(int64(math.Floor(m.average())))
			res.Success = within(res.Observed)
		}
		return nil
	}}
}

func medianRule(a *args) whole {
	col, ok := a.column("column")
	if !ok {
		return whole{}
	}
	typ := a.typ(col)
	if typ != feature.Timestamp {
		if _, ok = a.numeric("median"); !ok {
			return whole{}
		}
	}
	within := a.span(col, map[bool]feature.Type{true: typ, false: feature.Float64}[typ == feature.Timestamp])
	if a.bad {
		return whole{}
	}
	w := a.ofNumbers(col, "median", []metricSpec{a.bagOf(col)}, func(_ *Run, ms []metric, res *Result) error {
		g := ms[0].(*bag)
		if g.n == 0 {
			return nil
		}
		w, err := g.ranks([]int64{(g.n - 1) / 2, g.n / 2})
		if err != nil {
			return err
		}
		if typ == feature.Timestamp {
			lo, hi := int64(w[0]^1<<63), int64(w[1]^1<<63)
			res.Observed = feature.Time(lo + (hi-lo)/2)
		} else {
			res.Observed = floatValue(g.float(w[0])/2 + g.float(w[1])/2)
		}
		res.Success = within(res.Observed)
		return nil
	})
	if typ != feature.String {
		w.window = a.nearMedian(col, w.answer)
	}
	return w
}

// quantileRule: every quantile within its range, or as good as at its limit.
func quantileRule(a *args) whole {
	col, ok := a.numeric("quantiles")
	raw, given := a.need("quantile_ranges", `an object like {"quantiles": [0.1, 0.9], "value_ranges": [[0, 5], [90, null]]}`)
	interpolation := "nearest"
	if r, there := a.get("allow_relative_error"); there && string(r) != "false" && string(r) != "true" {
		interpolation = a.oneOf("allow_relative_error", "nearest", "linear", "lower", "higher", "midpoint")
	} else if string(r) == "true" {
		a.fault("allow_relative_error", "must be false or one of linear, lower, higher, midpoint, nearest: the answer is exact anyway")
	}
	if !given {
		return whole{}
	}
	var q struct {
		Quantiles []float64  `json:"quantiles"`
		Ranges    [][]*limit `json:"value_ranges"`
	}
	if err := json.Unmarshal(raw, &q); err != nil {
		a.fault("quantile_ranges", "must have lists of numbers named quantiles and value_ranges (%v)", err)
		return whole{}
	}
	if len(q.Quantiles) == 0 || len(q.Quantiles) != len(q.Ranges) || len(q.Quantiles) > maxRanks/2 {
		a.fault("quantile_ranges", "needs one range for each of one or more quantiles (got %d quantiles and %d ranges)", len(q.Quantiles), len(q.Ranges))
	}
	for i, p := range q.Quantiles {
		if !(p >= 0 && p <= 1) {
			a.fault("quantile_ranges", "quantile %d must be between 0 and 1 (got %v)", i, p)
		}
		if i > 0 && p < q.Quantiles[i-1] {
			a.fault("quantile_ranges", "the quantiles must be in ascending order")
		}
	}
	ranges := make([][]*float64, len(q.Ranges))
	for i, r := range q.Ranges {
		for _, l := range r {
			ranges[i] = append(ranges[i], (*float64)(l))
		}
		if len(r) != 2 || r[0] != nil && r[1] != nil && *r[0] > *r[1] {
			a.fault("quantile_ranges", "range %d must be a pair of a lower and an upper limit, null where there is none", i)
		}
	}
	if !ok || a.bad {
		return whole{}
	}
	if a.typ(col) == feature.Bool && (interpolation == "linear" || interpolation == "midpoint") {
		a.unfits("column", "column %s is bool, which has no quantiles between two values: leave allow_relative_error out", a.name(col))
	}
	w := a.ofNumbers(col, "quantiles", []metricSpec{a.bagOf(col)}, func(_ *Run, ms []metric, res *Result) error {
		g := ms[0].(*bag)
		values, err := g.quantiles(q.Quantiles, interpolation)
		if err != nil {
			return err
		}
		res.Success = true
		var asked, good []any
		for i, v := range values {
			lo, hi := math.Inf(-1), math.Inf(1)
			if r := ranges[i]; r[0] != nil {
				lo = *r[0]
			}
			if r := ranges[i]; r[1] != nil {
				hi = *r[1]
			}
			ok := false
			if n, there := numberValue(v); there {
				f, _ := n.float64()
				ok = near(f, lo) || near(f, hi) || lo <= f && f <= hi
			}
			res.Success = res.Success && ok
			asked, good = append(asked, q.Quantiles[i]), append(good, ok)
		}
		res.Observed = map[string]any{"quantiles": asked, "values": values}
		res.Details = map[string]any{"success_details": good}
		return nil
	})
	if a.typ(col) != feature.String {
		w.window = a.nearQuantiles(col, w.answer, q.Quantiles, ranges)
	}
	return w
}

// limit is a number of JSON that may be Python's Infinity, which PythonJSON has written
// as a number that no double holds.
type limit float64

func (l *limit) UnmarshalJSON(raw []byte) error {
	n, err := parseNumber(string(raw))
	if err != nil {
		return err
	}
	f, _ := n.float64()
	*l = limit(f)
	return nil
}

// near reports whether two numbers are the same to four digits.
func near(a, b float64) bool {
	if a == b {
		return true
	}
	return math.Abs(a-b) <= 1e-8+1e-4*math.Abs(b) && !math.IsInf(b, 0)
}

// quantiles are the values at shares of the sorted bag, nil of an empty one.
func (g *bag) quantiles(shares []float64, interpolation string) ([]any, error) {
	out := make([]any, len(shares))
	if g.n == 0 {
		return out, nil
	}
	ranks := make([]int64, 0, 2*len(shares))
	parts := make([]float64, len(shares))
	for i, p := range shares {
		at := float64(g.n-1) * p
		lo, hi := math.Floor(at), math.Ceil(at)
		switch interpolation {
		case "nearest":
			lo = math.RoundToEven(at)
			hi = lo
		case "lower":
			hi = lo
		case "higher":
			lo = hi
		case "midpoint":
			parts[i] = 0.5
		default:
			parts[i] = at - lo
		}
		ranks = append(ranks, int64(lo), int64(hi))
	}
	w, err := g.ranks(ranks)
	if err != nil {
		return nil, err
	}
	for i := range shares {
		lo, hi := w[2*i], w[2*i+1]
		if interpolation != "linear" && interpolation != "midpoint" {
			out[i] = g.value(lo)
			continue
		}
		a, b, t := g.float(lo), g.float(hi), parts[i]
		f := a + (b-a)*t
		if t >= 0.5 {
			f = b - (b-a)*(1-t)
		}
		if a == b {
			f = a
		}
		out[i] = floatValue(f)
	}
	return out, nil
}

// uniqueCountRule asks how many different values there are.
func uniqueCountRule(a *args) whole {
	return a.shares(false, func(g *groups, distinct int64) any { return distinct }, nil)
}

// uniqueShareRule asks how large a share of the values are different; 0 of none.
func uniqueShareRule(a *args) whole {
	return a.shares(true, func(g *groups, distinct int64) any {
		if g.rows == 0 {
			return int64(0)
		}
		return float64(distinct) / float64(g.rows)
	}, nil)
}

// presentShareRule asks how large a share of the rows have a value; 0 of none.
func presentShareRule(a *args) whole {
	return a.shares(true, nil, func(c *counter) any {
		if c.rows == 0 {
			return int64(0)
		}
		return float64(c.present) / float64(c.rows)
	})
}

func (a *args) shares(share bool, ofGroups func(*groups, int64) any, ofRows func(*counter) any) whole {
	col, ok := a.column("column")
	within := a.span(col, feature.Float64)
	if !ok || a.bad {
		return whole{}
	}
	if ofRows != nil {
		return whole{metrics: []metricSpec{a.rowsAnd(col)}, answer: func(_ *Run, ms []metric, res *Result) error {
			res.Observed = ofRows(ms[0].(*counter))
			res.Success = within(res.Observed)
			return nil
		}}
	}
	w := whole{metrics: []metricSpec{a.groupsOf(col, false)}, answer: func(_ *Run, ms []metric, res *Result) error {
		g := ms[0].(*groups)
		var distinct int64
		if err := g.each(false, func(*groups, *group) error { distinct++; return nil }); err != nil {
			return err
		}
		res.Observed = ofGroups(g, distinct)
		res.Success = within(res.Observed)
		return nil
	}}
	w.window = a.nearDistinct(col, w.answer, share)
	return w
}

// rowCountRule asks how many rows there are.
func rowCountRule(a *args) whole {
	within := a.span(0, feature.Float64)
	if a.bad {
		return whole{}
	}
	return a.rowCount(within)
}

func rowCountEqualRule(a *args) whole {
	n := a.number("value")
	if n == nil && !a.bad {
		a.fault("value", "is required: the number of rows")
	}
	if a.bad {
		return whole{}
	}
	return a.rowCount(bounds{min: n, max: n}.hold)
}

func (a *args) rowCount(within func(any) bool) whole {
	return whole{metrics: []metricSpec{a.rowsAnd(-1)}, answer: func(_ *Run, ms []metric, res *Result) error {
		res.Observed = ms[0].(*counter).rows
		res.Success = within(res.Observed)
		return nil
	}}
}
