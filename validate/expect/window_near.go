package expect

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// An answer from a summary is a range that has the true value in it, with 99 % confidence. An
// expectation fails only when the whole range is outside of its limits; see docs/decisions/014.

const confidence = "with 99 % confidence"

// meets reports whether some number from lo to hi is within the bounds.
func (b bounds) meets(lo, hi any) bool {
	l, ok := numberValue(lo)
	h, there := numberValue(hi)
	if !ok || !there {
		return false
	}
	if b.min != nil {
		if d := h.cmp(*b.min); d < 0 || b.strictMin && d == 0 {
			return false
		}
	}
	if b.max != nil {
		if d := l.cmp(*b.max); d > 0 || b.strictMax && d == 0 {
			return false
		}
	}
	return true
}

// near fills a result by a value that is known to lie from lo to hi.
func (b bounds) near(res *Result, v, lo, hi any, why string) {
	res.Observed = v
	res.Success = b.meets(lo, hi)
	res.Error = fmt.Sprintf("%s: from %s to %s %s", why, plainText(lo), plainText(hi), confidence)
	if res.Success && !b.hold(v) {
		res.Error += doubtful
	}
}

// doubtful says that an expectation has passed only because its limit is within the error.
const doubtful = "; a limit lies within the error, which does not fail"

func plainText(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	case nil:
		return "none"
	}
	if t, ok := timeValue(v); ok {
		return feature.Time(t).Format("2006-01-02T15:04:05.999999Z07:00")
	}
	return fmt.Sprint(v)
}

func rankErrorText(e float64) string { return fmt.Sprintf("rank error <= %.2g %%", 100*e) }

// nearRanks makes a windowed answer from ranks: exact is what tables answer, of a bag.
func (a *args) nearRanks(col int, exact answer, near func(r ranks, e float64, res *Result)) *windowed {
	typ := a.typ(col)
	return &windowed{metrics: []metricSpec{a.bagOf(col)}, answer: func(ms []state, res *Result) error {
		x := ms[0].(*ranksState)
		if x.exact() {
			return exact(nil, []metric{x.bag(typ)}, res)
		}
		near(x.read(), x.rankError(), res)
		return nil
	}}
}

// asType is a number of a sketch as a value of a column.
func asType(f float64, t feature.Type) any {
	switch t {
	case feature.Float32, feature.Float64:
		return f
	case feature.Timestamp:
		return feature.Time(int64(f))
	case feature.Bool:
		return f != 0
	}
	if f >= 1<<63 || f < -(1<<63) {
		return f
	}
	return int64(f)
}

func (a *args) nearMedian(col int, exact answer) *windowed {
	typ, limits := a.typ(col), a.limits
	if typ != feature.Timestamp {
		typ = feature.Float64
	}
	return a.nearRanks(col, exact, func(r ranks, e float64, res *Result) {
		limits.near(res, asType(r.at(0.5), typ), asType(r.at(0.5-e), typ), asType(r.at(0.5+e), typ), rankErrorText(e))
	})
}

// nearQuantiles: as in tables a quantile is good, too, that is as good as at its limit.
func (a *args) nearQuantiles(col int, exact answer, shares []float64, limits [][]*float64) *windowed {
	typ := a.typ(col)
	return a.nearRanks(col, exact, func(r ranks, e float64, res *Result) {
		res.Success = true
		var asked, good, values, ranges []any
		doubt := false
		for i, p := range shares {
			v, least, most := r.at(p), r.at(p-e), r.at(p+e)
			if p == 0 || p == 1 { // known exactly
				least, most = v, v
			} else {
				res.Error = rankErrorText(e) + " " + confidence
			}
			lo, hi := math.Inf(-1), math.Inf(1)
			if l := limits[i][0]; l != nil {
				lo = *l
			}
			if l := limits[i][1]; l != nil {
				hi = *l
			}
			ok := most >= lo && least <= hi || near(most, lo) || near(least, hi)
			doubt = doubt || ok && !(v >= lo && v <= hi || near(v, lo) || near(v, hi))
			res.Success = res.Success && ok
			asked, good, values = append(asked, p), append(good, ok), append(values, asType(v, typ))
			ranges = append(ranges, []any{asType(least, typ), asType(most, typ)})
		}
		if doubt {
			res.Error += doubtful
		}
		res.Observed = map[string]any{"quantiles": asked, "values": values}
		res.Details = map[string]any{"success_details": good, "value_ranges": ranges}
	})
}

// nearDistinct makes a windowed answer from how many different values there are.
func (a *args) nearDistinct(col int, exact answer, share bool) *windowed {
	typ, limits := a.typ(col), a.limits
	return &windowed{metrics: []metricSpec{a.groupsOf(col, false)}, answer: func(ms []state, res *Result) error {
		x := ms[0].(*valuesState)
		if x.exact() {
			return exact(nil, []metric{groupsFrom(x.v, typ, x.rows)}, res)
		}
		n, off := x.distinct()
		least := max(math.Floor(n*(1-off)), float64(x.v.Len()))
		most := min(math.Ceil(n*(1+off)), float64(x.rows))
		n = min(n, most)
		why := fmt.Sprintf("error of distinct values <= %.2g %%", 100*off)
		if share {
			rows := float64(x.rows)
			limits.near(res, n/rows, least/rows, most/rows, why)
		} else {
			limits.near(res, int64(n), int64(least), int64(most), why)
		}
		return nil
	}}
}

// nearSet makes a windowed answer of the values that there are, each once, and those of a set.
// It is exact whatever the number of values: those of the set are counted for themselves, and all others together.
func (a *args) nearSet(col int, set *wanted, in, all bool, exact answer) *windowed {
	typ := a.typ(col)
	return &windowed{metrics: []metricSpec{a.membersOf(col, set), a.groupsOf(col, false)}, answer: func(ms []state, res *Result) error {
		m, x := ms[0].(*histogramState), ms[1].(*valuesState)
		if x.exact() {
			return exact(nil, []metric{groupsFrom(x.v, typ, x.rows)}, res)
		}
		absent := []any{}
		for i, n := range m.counts {
			if n == 0 {
				absent = append(absent, set.values[i])
			}
		}
		present := len(m.counts) - len(absent)
		outside := smallest{most: maxDifferences}
		g := groupsFrom(x.v, typ, x.rows)
		if err := g.each(false, func(t *groups, e *group) error {
			if set.find(t, e) < 0 {
				outside.add(t, e)
			}
			return nil
		}); err != nil {
			return err
		}
		n, off := x.distinct()
		others := max(int64(n)-int64(present), outside.n, min(m.above, 1))
		res.More = map[string]any{}
		if in {
			res.More["unexpected_count"], res.More["partial_unexpected_list"] = others, outside.values
		}
		if all {
			res.More["missing_count"], res.More["partial_missing_list"] = int64(len(absent)), absent[:min(len(absent), maxDifferences)]
		}
		res.Success = (!in || m.above == 0) && (!all || len(absent) == 0)
		res.Error = fmt.Sprintf("error of distinct values <= %.2g %% %s; the verdict is exact", 100*off, confidence)
		return nil
	}}
}

// nearCommon: a value may be the most common one while none is known to be there more often.
func (a *args) nearCommon(col int, set *wanted, ties bool, exact answer) *windowed {
	typ := a.typ(col)
	return &windowed{metrics: []metricSpec{a.frequentOf(col)}, answer: func(ms []state, res *Result) error {
		x := ms[0].(*frequentState)
		g := groupsFrom(x.v, typ, x.rows)
		if x.v.Whole() {
			return exact(nil, []metric{g}, res)
		}
		off := x.v.Off()
		var most int64
		_ = g.each(false, func(_ *groups, e *group) error { most = max(most, e.count); return nil })
		common := smallest{most: maxObserved, values: []any{}}
		inSet := 0
		// All that may be as frequent as the one of which most are known for sure.
		_ = g.each(false, func(t *groups, e *group) error {
			if e.count+off >= most {
				if set.find(t, e) >= 0 {
					inSet++
				}
			}
			if e.count == most {
				common.add(t, e)
			}
			return nil
		})
		res.Observed = common.values
		res.Success = inSet > 0 || most <= off && len(set.values) > 0
		res.Error = fmt.Sprintf("counts may be too low by %d of %d", off, x.rows)
		if res.Success && !(common.n == 1 && slices.ContainsFunc(set.values, func(v any) bool { return compareValues(v, common.values[0]) == 0 }) || ties && inSet > 0) {
			res.Error += doubtful
		}
		return nil
	}}
}

// nearRepeated: a value that is there twice is found for sure when it is in the sample.
func (a *args) nearRepeated(spec metricSpec, cols []int, names []string) *windowed {
	types, mostly := make([]feature.Type, len(cols)), a.share
	for i, c := range cols {
		types[i] = a.typ(c)
	}
	return &windowed{metrics: []metricSpec{spec}, answer: func(ms []state, res *Result) error {
		x := ms[0].(*valuesState)
		var unexpected int64
		top := topCounts{most: windowExamples}
		var order int64
		x.v.Each(func(hash uint64, text []byte, count int64) {
			if count < 2 {
				return
			}
			unexpected += count
			order++
			if top.wants(count, order) {
				if v, ok := storedValue(types, hash, text); ok {
					top.add(v, count, order)
				}
			}
		})
		least := unexpected
		if share := x.v.Share(); share < 1 {
			found := unexpected
			// Found ones are sure; how many that makes in all is off by some 2.6 standard errors.
			least = max(found, int64(float64(found)/share*(1-2.576/math.Sqrt(max(float64(order), 1)))))
			unexpected = min(int64(math.Round(float64(unexpected)/share)), x.rows)
			// The chance to miss so many values that are there twice is 1 %.
			missed := math.Ceil(math.Log(0.01) / math.Log1p(-share))
			if found == 0 {
				res.Error = fmt.Sprintf("a sample of %.2g %% of the values: fewer than %.0f are there twice %s", 100*share, missed, confidence)
			} else {
				res.Error = fmt.Sprintf("estimated from a sample of %.2g %% of the values, in which %d rows repeat one", 100*share, found)
			}
		}
		rowResult(res, unexpected, x.live, x.rows)
		if res.Success = passed(least, x.rows, mostly); res.Success && !passed(unexpected, x.rows, mostly) {
			res.Error += doubtful
		}
		res.Counts = top.list()
		for _, c := range res.Counts {
			res.Examples = append(res.Examples, Example{Row: -1, Value: named(names, c.Value)})
		}
		return nil
	}}
}

// storedValue is a value of one column or of several together, of a valuesState.
func storedValue(types []feature.Type, hash uint64, text []byte) (any, bool) {
	if len(types) == 1 {
		return singleValue(types[0], hash, text), true
	}
	vs := make([]any, len(types))
	for i, t := range types {
		var ok bool
		if vs[i], text, ok = readKeySafe(t, text); !ok {
			return nil, false // it was too long to be kept
		}
	}
	return vs, true
}
