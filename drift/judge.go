package drift

import (
	"slices"

	"github.com/weir-ml/weir/drift/stats"
	"github.com/weir-ml/weir/registry/feature"
)

// Judge compares a window's profile with the reference, feature by feature. The
// monitor must be resolved (ViewOf set); its defaults are filled in here.
//
// A feature drifts only on significance and effect size together: on a large
// window a p-value alone fires on differences nobody would retrain for, and on
// a small one an effect size alone fires on noise. All tests of the window are adjusted together:
// with nothing drifted, the chance that any of them is significant is alpha at most,
// however many features there are.
func Judge(m *feature.Monitor, ref *Baseline, window *Profile) *Verdict {
	m = m.WithDefaults()
	v := &Verdict{Outcome: Insufficient}
	type place struct{ result, check int }
	var at []place
	var p []float64
	for _, f := range Monitored(m) {
		r := compare(m, f, ref, window)
		for i := range r.Checks {
			at, p = append(at, place{len(v.Features), i}), append(p, r.Checks[i].PValue)
		}
		v.Features = append(v.Features, r)
	}
	significant := 0
	for i, adjusted := range stats.BenjaminiHochberg(p) {
		r := &v.Features[at[i].result]
		c := &r.Checks[at[i].check]
		c.Adjusted = adjusted
		if adjusted <= m.Alpha {
			significant++
			if c.Value >= c.Threshold {
				c.Drifted, r.Outcome = true, Drifted
			}
		}
	}
	v.Alpha = m.Alpha * float64(max(1, significant)) / float64(max(1, len(p)))
	for i := range v.Features {
		switch v.Features[i].Outcome {
		case Drifted:
			v.Outcome = Drifted
			return v
		case Steady:
			v.Outcome = Steady
		case CountedOnly:
			if len(v.Features[i].Checks) > 0 {
				v.Outcome = Steady
			}
		}
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

// compare makes the checks of a feature, with what each effect must reach.
func compare(m *feature.Monitor, f feature.Field, ref *Baseline, window *Profile) Result {
	shape := ShapeOf(f.Type)
	out := Result{Name: f.Name}
	cur := window.Sketch(f.Stored())
	if cur == nil {
		cur = NewSketch(shape)
	}
	out.Count, out.Nulls = cur.Count, cur.Nulls
	name := f.Stored()
	base := ref.profile.Sketch(name)
	if base == nil && f.Column == "" {
		// A snapshot of a service names a feature so where two views have one of the name.
		name = m.View + "__" + f.Name
		base = ref.profile.Sketch(name)
	}
	if base == nil || base.Shape != shape {
		out.Outcome = NoReference
		return out
	}
	out.RefCount, out.RefNulls = base.Count, base.Nulls
	switch {
	case shape == NullsOnly:
		out.Outcome = CountedOnly
	case cur.Shape != shape || cur.Count < m.MinCount || base.Count < m.MinCount:
		out.Outcome = Insufficient
	default:
		out.Outcome = Steady
	}
	if cur.Shape != shape {
		return out // rows of before a change of type
	}
	tests := func(x string) bool { return slices.Contains(m.Tests, x) }
	out.Checks = measure(tests, effects{psi: m.PSI > 0, linf: m.LInf > 0}, m.MinCount, base, cur, &out)
	for i := range out.Checks {
		c := &out.Checks[i]
		n := cur.Count
		if c.Name == feature.TestNulls {
			n = cur.Rows()
		}
		if c.Threshold = asked(m, c.Effect); c.PValue <= m.Alpha { // the others need none, and finding it takes time
			c.Threshold = max(c.Threshold, ref.limit(name, base, c, n))
		}
	}
	return out
}

// asked is how large the monitor wants an effect to be.
func asked(m *feature.Monitor, effect string) float64 {
	switch effect {
	case effectDistance:
		return m.Distance
	case effectPSI:
		return m.PSI
	case effectJS:
		return m.JS
	case effectLInf:
		return m.LInf
	}
	return smallH
}
