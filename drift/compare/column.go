package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/weir-ml/weir/drift/stats"
	"github.com/weir-ml/weir/registry/feature"
)

// pair is a column of both files, in the forms that tests want.
type pair struct {
	a, b   stats.Sample // of numbers
	merged stats.Merged
	whole  bool // integers, without nulls: Evidently's bins of these are no narrower than 1
	// Categories, or numbers of few different values: how often each came.
	names []string
	cells stats.Counted
}

// fewIntegers is up to how many different values integers are categories.
const fewIntegers = 10

// manyCells is up to how many different values numbers are counted one by one too.
const manyCells = 20

// worker compares one column after the other.
type worker struct {
	o      *Options
	sorter stats.Sorter
}

// compareColumn computes every number of a column. Which of them decide is the method's matter.
func (w *worker) compareColumn(name string, ref, cur *column) Column {
	o := w.o
	c := Column{Name: name, Kind: ref.kind, Reference: ref.side()}
	if cur == nil {
		c.Untested, c.Reasons, c.Drift = "the current file has no such column", []string{"missing"}, true
		return c
	}
	c.Current = cur.side()
	c.nulls()
	switch {
	case ref.values() == 0 || cur.values() == 0:
		c.Untested = "no values"
		return c
	case ref.kind != cur.kind:
		c.Untested = "the type is another: " + c.Reference.Type + ", then " + c.Current.Type
		c.Reasons, c.Drift = []string{"type"}, true
		return c
	case ref.kind == Other:
		c.Untested = "of a type that is not compared: " + c.Current.Type
		return c
	}
	p := &pair{}
	if ref.kind == Numbers {
		w.compareNumbers(&c, p, ref, cur)
	} else {
		p.names, p.cells = lineUp(ref, cur)
		c.distinct = len(p.names)
		c.Reference.Distinct, c.Current.Distinct = int64(len(ref.names)), int64(len(cur.names))
		if 2*c.Reference.Distinct > c.Reference.Values || 2*c.Current.Distinct > c.Current.Values {
			c.Kind = Text
			if o.Method == Evidently && 2*c.Current.Distinct <= c.Current.Values {
				c.Kind = Categories // it looks at the current file alone
			}
		}
	}
	switch c.Kind {
	case Categories:
		c.counted(p)
		c.Reference.Top, c.Current.Top = top(p.names, p.cells.A), top(p.names, p.cells.B)
		if o.Plots {
			c.plot = barsOf(p)
		}
	case Text:
		c.Untested = "most of the texts are there once"
		if o.Method == Weir {
			c.Untested += ": names or identifiers, which differ in any two files"
		} else {
			c.Untested += ": Evidently trains a classifier on their words"
		}
	}
	if o.Method == Evidently && ref.typ == feature.Bool && c.Current.Nulls > 0 {
		c.Untested = "Evidently does not know booleans with nulls"
	}
	return c
}

func (w *worker) compareNumbers(c *Column, p *pair, ref, cur *column) {
	o := w.o
	w.sorter.Sort(ref.numbers)
	w.sorter.Sort(cur.numbers)
	p.a, p.b = stats.Sample{At: ref.numbers}, stats.Sample{At: cur.numbers}
	p.merged = stats.Merge(p.a, p.b)
	whole := func(x *column) bool { return x.typ == feature.Int32 || x.typ == feature.Int64 }
	p.whole = whole(ref) && whole(cur) && ref.nulls == 0 && cur.nulls == 0
	m := p.merged
	c.distinct = m.Distinct
	c.Reference.Distinct, c.Current.Distinct = int64(m.DistinctA), int64(m.DistinctB)
	ma, mb := p.a.Moments(), p.b.Moments()
	c.Reference.describe(p.a, ma)
	c.Current.describe(p.b, mb)

	few := m.Distinct <= manyCells
	if o.Method == Evidently {
		if whole(cur) && cur.nulls == 0 && m.DistinctB <= fewIntegers {
			c.Kind, few = Categories, true
		}
	} else if whole(ref) && whole(cur) && m.Distinct <= fewIntegers {
		c.Kind = Categories
	}
	t := &c.Tests
	t.KS = &Tested{Number(m.KS), Number(stats.KSPValue(m.KS, p.a.N(), p.b.N()))}
	t.Wasserstein = &Wasserstein{Number(m.Wasserstein), Number(stats.Normed(m.Wasserstein, ma.Std))}
	bounds := stats.RobustBounds(p.a)
	t.Outliers = &Outliers{Number(bounds.Low), Number(bounds.High), Number(bounds.Beyond(p.a) / p.a.N()), Number(bounds.Beyond(p.b) / p.b.N())}
	if few {
		values, counted := stats.EachValue(p.a, p.b)
		p.cells = counted
		for _, v := range values {
			p.names = append(p.names, strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
	if c.Kind == Categories {
		return // its counts are what is compared
	}
	if few {
		c.counted(p)
	}
	cells, wide := stats.Cells(p.a, p.b, m.DistinctA, p.whole), stats.HellingerCells(p.a, p.b, m.Distinct, p.whole)
	c.distances(stats.Shares(cells.A), stats.Shares(cells.B))
	t.Hellinger = num(stats.Hellinger(stats.Shares(wide.A), stats.Shares(wide.B)))
	if o.Plots {
		c.plot = histogramOf(p)
	}
}

func (c *Column) distances(r, u []float64) {
	t := &c.Tests
	t.PSI, t.JensenShannon, t.KL = num(stats.PSI(r, u)), num(stats.JensenShannon(r, u)), num(stats.KL(r, u))
	t.Hellinger = num(stats.Hellinger(r, u))
}

// counted computes what counts of categories tell.
func (c *Column) counted(p *pair) {
	t, a, b := &c.Tests, p.cells.A, p.cells.B
	r, u := stats.Shares(a), stats.Shares(b)
	c.distances(r, u)
	of := func(x stats.Test) *Tested { return &Tested{Number(x.Statistic), Number(x.P)} }
	t.ChiSquare, t.G, t.Homogeneity = of(stats.ChiSquare(a, b)), of(stats.G(a, b)), of(stats.Homogeneity(a, b))
	t.LInfinity = num(stats.LInf(r, u))
	for i := range r {
		if d := math.Abs(u[i] - r[i]); d > math.Abs(c.moved.to-c.moved.from) {
			c.moved = share{p.names[i], r[i], u[i]}
		}
	}
	if len(a) <= 2 {
		t.Z = of(stats.TwoProportions(a[0], float64(c.Reference.Values), b[0], float64(c.Current.Values)))
	}
	x := stats.NewCategories(a, b)
	t.NewCategories = &Unseen{x.Categories, Number(x.Share), Number(x.P), Number(stats.CohenH(0, x.Share)), unseen(p)}
}

// nulls compares what is missing.
func (c *Column) nulls() {
	a, n, b, m := float64(c.Reference.missing()), float64(c.Reference.rows()), float64(c.Current.missing()), float64(c.Current.rows())
	if n == 0 || m == 0 {
		return
	}
	c.Tests.Nulls = &Shares{Number(a / n), Number(b / m), Number(stats.Proportions(a, n, b, m).P), Number(stats.CohenH(a/n, b/m))}
}

func (c *column) side() Side {
	return Side{Type: c.typ.String(), Values: c.values(), Nulls: c.nulls, NaN: c.nan, Infinite: c.infinite}
}

func (s *Side) describe(of stats.Sample, m stats.Moments) {
	s.Mean, s.Std, s.Min, s.Max, s.Median = num(m.Mean), num(m.Std), num(m.Min), num(m.Max), num(of.Quantile(0.5))
}

// lineUp puts the categories of both files side by side, in the order of their names.
func lineUp(ref, cur *column) (names []string, c stats.Counted) {
	names = slices.Clone(ref.names)
	for _, s := range cur.names {
		if _, both := ref.index[s]; !both {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	of := func(x *column, s string) float64 {
		if i, ok := x.index[s]; ok {
			return x.counts[i]
		}
		return 0
	}
	for _, s := range names {
		c.A, c.B = append(c.A, of(ref, s)), append(c.B, of(cur, s))
	}
	return names, c
}

// topCategories is how many are named.
const topCategories = 5

func top(names []string, counts []float64) []Category {
	sum := 0.0
	order := make([]int, 0, len(names))
	for i, n := range counts {
		sum += n
		if n > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(counts[y], counts[x]) })
	var out []Category
	for _, i := range order[:min(topCategories, len(order))] {
		out = append(out, Category{names[i], Number(counts[i] / sum)})
	}
	return out
}

// unseen names the most frequent categories that the reference does not have.
func unseen(p *pair) []string {
	counts := make([]float64, len(p.names))
	for i, n := range p.cells.B {
		if p.cells.A[i] == 0 {
			counts[i] = n
		}
	}
	var out []string
	for _, c := range top(p.names, counts) {
		out = append(out, c.Value)
	}
	return out
}
