package drift

import (
	"github.com/weir-ml/weir/drift/stats"
	"github.com/weir-ml/weir/registry/feature"
)

// Effects: how large a difference is, each on a scale of its own.
const (
	effectDistance = "distance"       // of numbers: see moved
	effectPSI      = "psi"            // of numbers, in ten bins
	effectJS       = "jensen_shannon" // of categories
	effectLInf     = "l_infinity"     // of categories: the largest change of a share
	effectH        = "cohen_h"        // of two shares
)

// effects are those that a monitor asks for in the place of the usual ones.
type effects struct{ psi, linf bool }

// smallH is from where a change of a share is large: Cohen's small, from none to 1 %.
const smallH = 0.2

// measure compares a window's sketch of a feature with the reference's: a check for each of the tests,
// without adjusted p-value and threshold. A test that these two say nothing about is left
// out, by looks at both together, so that leaving out favours neither.
func measure(tests func(string) bool, by effects, minCount int64, base, cur *Sketch, out *Result) []Check {
	var all []Check
	n, m := float64(base.Rows()), float64(cur.Rows())
	if base.Count >= minCount && cur.Count >= minCount {
		switch {
		case base.Shape == Numbers:
			all = numericChecks(tests, by.psi, base, cur, out)
		case base.Shape == Categories:
			all = categoryChecks(tests, by.linf, base, cur, out)
		}
	}
	// What is missing in neither can not have changed, and is no test.
	if x, y := float64(base.Nulls), float64(cur.Nulls); tests(feature.TestNulls) && x+y > 0 && n >= float64(minCount) && m >= float64(minCount) {
		all = append(all, Check{Name: feature.TestNulls, Test: "proportions", Effect: effectH,
			PValue: stats.Proportions(x, n, y, m).P, Value: stats.CohenH(x/n, y/m)})
	}
	return all
}

func numericChecks(tests func(string) bool, asPSI bool, base, cur *Sketch, out *Result) (all []Check) {
	a, b := base.sample(), cur.sample()
	if tests(feature.TestDistribution) {
		met := stats.Merge(a, b)
		c := Check{Name: feature.TestDistribution, Test: "ks", PValue: ksPValue(met.KS, a, b), Effect: effectDistance, Value: moved(a, met)}
		out.SketchError = a.RankError + b.RankError
		distance, x := c.Value, psi(base, cur)
		out.Distance, out.PSI = &distance, &x
		if asPSI {
			c.Effect, c.Value = effectPSI, x
		}
		out.tested(c, met.KS)
		all = append(all, c)
	}
	if tests(feature.TestOutliers) {
		usual := stats.RobustBounds(a)
		x, y, n, m := usual.Beyond(a), usual.Beyond(b), a.N(), b.N()
		share := y / m
		out.Outliers = &share
		// Only more of them than before are worth a word, by more than the sketches may be off.
		y = max(min(y, x/n*m), y-(a.RankError+b.RankError)*m)
		if c := (Check{Name: feature.TestOutliers, Test: "proportions", Effect: effectH, PValue: 1}); x+y > 0 {
			if y/m > x/n {
				c.PValue, c.Value = stats.Proportions(x, n, float64(int64(y)), m).P, stats.CohenH(x/n, y/m)
			}
			all = append(all, c)
		}
	}
	return all
}

func psi(base, cur *Sketch) float64 {
	a, b := base.num.distribution(), cur.num.distribution()
	cuts := quantileBins(a)
	return stats.PSI(a.shares(cuts), b.shares(cuts))
}

func categoryChecks(tests func(string) bool, asLInf bool, base, cur *Sketch, out *Result) (all []Check) {
	a, b := cells(base, cur)
	if tests(feature.TestDistribution) {
		t := stats.Homogeneity(a, b)
		x, y := stats.Shares(a), stats.Shares(b)
		js, most := stats.JensenShannon(x, y), stats.LInf(x, y)
		out.JS, out.LInf = &js, &most
		c := Check{Name: feature.TestDistribution, Test: "chi_square", PValue: t.P, Effect: effectJS, Value: js}
		if asLInf {
			c.Effect, c.Value = effectLInf, most
		}
		out.tested(c, t.Statistic)
		all = append(all, c)
	}
	// Beyond the cap nobody knows what is new.
	if tests(feature.TestNewCategories) && base.cat.other == 0 && cur.cat.other == 0 {
		u := stats.NewCategories(a, b)
		all = append(all, Check{Name: feature.TestNewCategories, Test: "unseen", PValue: u.P, Effect: effectH, Value: stats.CohenH(0, u.Share)})
		out.Unseen = u.Categories
	}
	return all
}
