package drift

import (
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// Judge compares a window's profile with the reference, feature by feature. The
// monitor must be resolved (ViewOf set); its defaults are filled in here.
//
// A feature drifts only on significance and effect size together: on a large
// window a p-value alone fires on differences nobody would retrain for, and on
// a small one an effect size alone fires on noise.
func Judge(m *feature.Monitor, ref, window *Profile) *Verdict {
	m = m.WithDefaults()
	fields := Monitored(m)
	tests := 0
	for _, f := range fields {
		if ShapeOf(f.Type) != NullsOnly {
			tests++
		}
	}
	v := &Verdict{Outcome: Insufficient, Alpha: m.Alpha / float64(max(1, tests))}
	for _, f := range fields {
		r := judge(m, v.Alpha, f, ref, window)
		switch r.Outcome {
		case Drifted:
			v.Outcome = Drifted
		case Steady:
			if v.Outcome == Insufficient {
				v.Outcome = Steady
			}
		}
		v.Features = append(v.Features, r)
	}
	return v
}

// Monitored are the view's features that the monitor watches, in its order; all
// of them when it names none. Names that the view does not have are left out.
func Monitored(m *feature.Monitor) []feature.Field {
	if m.ViewOf == nil {
		return nil
	}
	if len(m.Features) == 0 {
		return m.ViewOf.Features
	}
	out := make([]feature.Field, 0, len(m.Features))
	for _, name := range m.Features {
		if i := m.ViewOf.Feature(name); i >= 0 {
			out = append(out, m.ViewOf.Features[i])
		}
	}
	return out
}

func judge(m *feature.Monitor, alpha float64, f feature.Field, ref, window *Profile) Result {
	shape := ShapeOf(f.Type)
	out := Result{Name: f.Name}
	cur := window.Sketch(f.Stored())
	if cur == nil {
		cur = NewSketch(shape)
	}
	out.Count, out.Nulls = cur.Count, cur.Nulls
	base := ref.Sketch(f.Stored())
	if base == nil && f.Column == "" {
		// A snapshot of a service names a feature so where two views have one of the name.
		base = ref.Sketch(m.View + "__" + f.Name)
	}
	if base == nil || base.Shape != shape {
		out.Outcome = NoReference
		return out
	}
	out.RefCount, out.RefNulls = base.Count, base.Nulls
	switch {
	case shape == NullsOnly:
		out.Outcome = CountedOnly
		return out
	case cur.Count < m.MinCount || base.Count < m.MinCount:
		out.Outcome = Insufficient
		return out
	}
	out.Outcome = Steady
	var statistic, p float64
	large := false
	if shape == Numbers {
		a, b := base.num.distribution(), cur.num.distribution()
		out.Test = "ks"
		out.SketchError = base.RankError() + cur.RankError()
		statistic = ks(a, b)
		p = ksPValue(statistic, out.SketchError, a.n, b.n)
		cuts := quantileBins(a)
		x := psi(a.shares(cuts), b.shares(cuts))
		out.PSI, large = &x, x >= m.PSI
	} else {
		a, b := cells(base, cur)
		out.Test = "chi_square"
		statistic, p = chiSquare(a, b)
		x := jensenShannon(shared(a), shared(b))
		out.JS, large = &x, x >= m.JS
	}
	out.Statistic, out.PValue = &statistic, &p
	if large && p <= alpha {
		out.Outcome = Drifted
	}
	return out
}

// cells lines the categories of two sketches up. Where one of them has reached
// its cap, only categories that both count one by one get a cell; the rest is one cell.
func cells(ref, cur *Sketch) (a, b []float64) {
	exact := ref.cat.other == 0 && cur.cat.other == 0
	var names []string
	for v := range ref.cat.counts {
		if _, both := cur.cat.counts[v]; both || exact {
			names = append(names, v)
		}
	}
	if exact {
		for v := range cur.cat.counts {
			if _, both := ref.cat.counts[v]; !both {
				names = append(names, v)
			}
		}
	}
	slices.Sort(names)
	restA, restB := ref.Count, cur.Count
	for _, v := range names {
		x, y := ref.cat.of(v), cur.cat.of(v)
		restA, restB = restA-x, restB-y
		a, b = append(a, float64(x)), append(b, float64(y))
	}
	if restA > 0 || restB > 0 {
		a, b = append(a, float64(restA)), append(b, float64(restB))
	}
	return a, b
}

// shared turns counts into shares, in place.
func shared(counts []float64) []float64 {
	sum := 0.0
	for _, c := range counts {
		sum += c
	}
	for i := range counts {
		counts[i] /= sum
	}
	return counts
}
