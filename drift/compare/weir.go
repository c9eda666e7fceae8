package compare

import (
	"math"

	"github.com/weir-ml/weir/drift/stats"
)

// hypothesis is something about a column that may have drifted.
type hypothesis struct {
	c       *Column
	reason  string
	p       float64
	effect  Effect
	written **Number // where the adjusted p-value goes
}

// weir decides by significance and effect size together: on large files a p-value alone
// fires on differences nobody would act on, and on small ones an effect alone fires on
// noise. All tests of the comparison are adjusted together, so that more columns do not
// make more false alarms: with nothing drifted, the chance that any column is
// called so is alpha at most.
func weir(columns []Column, alpha, threshold float64) {
	if threshold == 0 {
		threshold = DefaultThreshold
	}
	var all []hypothesis
	for i := range columns {
		c := &columns[i]
		if c.Untested == "" {
			all = append(all, distribution(c, threshold))
		}
		// What is missing in neither file can not have changed, and is no test.
		if n := c.Tests.Nulls; n != nil && c.Reference.missing()+c.Current.missing() > 0 {
			all = append(all, hypothesis{c, "nulls", float64(n.P), Effect{"cohen_h", n.CohenH, SmallH}, &c.Tests.NullsAdjusted})
		}
		if n := c.Tests.NewCategories; n != nil && c.Kind == Categories {
			all = append(all, hypothesis{c, "new_categories", float64(n.P), Effect{"cohen_h", n.CohenH, SmallH}, &c.Tests.UnseenAdjusted})
		}
	}
	p := make([]float64, len(all))
	for i := range all {
		p[i] = all[i].p
	}
	for i, adjusted := range stats.BenjaminiHochberg(p) {
		h := &all[i]
		*h.written = num(adjusted)
		if h.reason == "distribution" {
			h.c.Threshold, h.c.Effect = num(alpha), &h.effect
		}
		if adjusted <= alpha && h.effect.Value >= h.effect.Threshold {
			h.c.Drift = true
			h.c.Reasons = append(h.c.Reasons, h.reason)
		}
	}
}

func distribution(c *Column, threshold float64) hypothesis {
	h := hypothesis{c: c, reason: "distribution", written: &c.Score}
	if c.Kind == Categories {
		c.Test = "homogeneity"
		h.p, h.effect = float64(c.Tests.Homogeneity.P), Effect{"jensen_shannon", *c.Tests.JensenShannon, Number(threshold)}
		return h
	}
	c.Test = "ks"
	h.p, h.effect = float64(c.Tests.KS.P), moved(c)
	h.effect.Threshold = Number(threshold)
	return h
}

// moved is how far numbers have moved: in standard deviations of the reference, whatever
// their unit; or by how much of them, where an outlier makes that deviation large. Of a
// constant reference there is no deviation, and the share of the current values that
// are another number counts: it is 1 at most.
func moved(c *Column) Effect {
	ks, std := float64(c.Tests.KS.Statistic), float64(*c.Reference.Std)
	size := max(math.Abs(float64(*c.Reference.Min)), math.Abs(float64(*c.Reference.Max)))
	if std <= size*1e-9 {
		// No more than the rounding of whoever computed the constant: no move either.
		if by := float64(c.Tests.Wasserstein.Distance); by <= size*1e-9 {
			ks = 0
		}
		return Effect{Name: "ks", Value: Number(ks)}
	}
	if w := float64(c.Tests.Wasserstein.Distance) / std; w > ks {
		return Effect{Name: "wasserstein", Value: Number(w)}
	}
	return Effect{Name: "ks", Value: Number(ks)}
}
