package expect

import (
	"fmt"
	"math"
	"slices"
)

// nearShares compares the shares of values. Those of the partition are counted exactly; of the others,
// where they are too many, it is known how many rows have one and about how many there are.
func (a *args) nearShares(col int, d *divergence) *windowed {
	typ := a.typ(col)
	metrics := []metricSpec{a.groupsOf(col, false)}
	if d.partition != nil {
		metrics = append(metrics, a.membersOf(col, d.values))
	}
	return &windowed{metrics: metrics, answer: func(ms []state, res *Result) error {
		x := ms[0].(*valuesState)
		if x.exact() {
			return d.ofValues(nil, []metric{groupsFrom(x.v, typ, x.rows)}, res)
		}
		n, off := x.distinct()
		if d.partition == nil { // with itself it is the same
			res.Success, res.Observed = true, 0.0
			res.Error = "compared with itself; it has too many values to show its partition"
			return nil
		}
		m := ms[1].(*histogramState)
		rows := float64(m.total())
		var known, weights float64
		for _, w := range d.weights {
			weights += w
		}
		others := float64(m.above) / rows
		for i, c := range m.counts {
			w := d.weights[i] / weights
			if m.above > 0 {
				w *= 1 - d.tail
			}
			known += divergenceTerm(float64(c)/rows, w)
		}
		// Of the others the divergence is least when all are equally frequent, and most when
		// one has nearly all rows.
		least, most := known, known
		if m.above > 0 {
			many := max(n*(1+off)-float64(len(m.counts)), 1)
			least += divergenceTerm(others, d.tail)
			most += divergenceTerm(others, d.tail/many)
		}
		res.Success = !d.limited || least <= d.threshold
		if !math.IsInf(least, 0) {
			res.Observed = least
		}
		res.Error = fmt.Sprintf("more values than are counted one by one: from %s to %s", plainText(least), plainText(most))
		if res.Success && d.limited && most > d.threshold {
			res.Error += doubtful
		}
		return nil
	}}
}

// divergenceTerm is one term of entropy.
func divergenceTerm(x, y float64) float64 {
	switch {
	case x > 0 && y > 0:
		return x * math.Log(x/y)
	case x > 0:
		return math.Inf(1)
	}
	return 0
}

// nearBins compares histograms: exactly with bins that are given, else with those that the
// column's quarters make.
func (a *args) nearBins(col int, d *divergence) *windowed {
	typ := a.typ(col)
	if d.partition == nil {
		return &windowed{metrics: []metricSpec{a.bagOf(col)}, answer: func(ms []state, res *Result) error {
			x := ms[0].(*ranksState)
			if x.exact() {
				return d.ofBins(nil, []metric{x.bag(typ)}, res)
			}
			r := x.read()
			p := ownBins([4]float64{r.at(0), r.at(0.25), r.at(0.75), r.at(1)}, x.n)
			if p == nil {
				res.Exception = fmt.Sprintf("column %s has no values to make a partition of", d.name)
				return nil
			}
			hist := make([]int64, len(p.bins)-1)
			before := 0.0
			for i := range hist {
				upTo := r.below(p.bins[i+1])
				hist[i] = int64(math.Round(upTo - before))
				before = upTo
			}
			for _, h := range hist {
				p.weights = append(p.weights, float64(h)/float64(x.n))
			}
			p.tails = make([]float64, 2)
			d.compare(res, p, 0, hist, 0, float64(x.n))
			res.Error = rankErrorText(x.rankError()) + " of the partition"
			return nil
		}}
	}
	bins := slices.Clone(d.partition.bins)
	name := a.called("histogram", col) + fmt.Sprint(bins)
	return &windowed{metrics: []metricSpec{{key: name, name: name, kept: keepHistogram(col, bins)}}, answer: func(ms []state, res *Result) error {
		x := ms[0].(*histogramState)
		d.compare(res, d.partition, x.below, x.counts, x.above, float64(x.total()))
		return nil
	}}
}
