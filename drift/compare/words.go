package compare

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Shown is a number for people: four digits.
func Shown(f float64) string {
	switch {
	case math.IsNaN(f):
		return "-"
	case f != 0 && math.Abs(f) < 1e-9:
		return "<1e-9"
	case math.Abs(f) >= 1e4 && math.Abs(f) < 1e15:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

// ShownScore is a column's score for people; a p-value of 0 is one too small for a float64.
func (c *Column) ShownScore() string {
	switch {
	case c.Score == nil:
		return ""
	case *c.Score == 0 && (c.Effect != nil || c.Test == "ks" || c.Test == "chi_square" || c.Test == "z"):
		return "<1e-9"
	}
	return Shown(float64(*c.Score))
}

func percent(f float64) string {
	switch p := 100 * f; {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return "<0.1 %"
	case p < 10 || p > 99 && p < 100:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
}

// State is drift, steady or untested.
func (c *Column) State() string {
	switch {
	case c.Drift:
		return "drift"
	case c.Untested != "":
		return "untested"
	}
	return "steady"
}

// Found says in words what is different: what has drifted, or, where nothing has, why
// the column was not compared.
func (c *Column) Found() string {
	var out []string
	for _, r := range c.Reasons {
		switch r {
		case "distribution":
			out = append(out, c.movedWords())
		case "nulls":
			out = append(out, "missing "+percent(float64(c.Tests.Nulls.Reference))+" → "+percent(float64(c.Tests.Nulls.Current)))
		case "new_categories":
			n := c.Tests.NewCategories
			out = append(out, "new: "+cut(strings.Join(n.Top, ", "), 40)+" ("+percent(float64(n.Share))+")")
		default:
			out = append(out, c.Untested)
		}
	}
	if len(out) == 0 {
		return c.Untested
	}
	return strings.Join(out, "; ")
}

// movedWords tells a change of numbers by median, or mean where that has not moved, and of
// categories by the one whose share has changed most.
func (c *Column) movedWords() string {
	if c.Kind == Numbers {
		if plain(c.Reference.Median) != plain(c.Current.Median) {
			return "median " + Shown(plain(c.Reference.Median)) + " → " + Shown(plain(c.Current.Median))
		}
		return "mean " + Shown(plain(c.Reference.Mean)) + " → " + Shown(plain(c.Current.Mean))
	}
	if c.moved.name == "" {
		return "shares have changed"
	}
	return cut(c.moved.name, 30) + " " + percent(c.moved.from) + " → " + percent(c.moved.to)
}

// Rule says by what a column counts as drifted.
func (r *Report) Rule() string {
	if r.Method == Evidently {
		return "a test's score against its threshold, as Evidently 0.7.23 chooses them"
	}
	return fmt.Sprintf("significant at %s after adjusting for all tests (Benjamini-Hochberg), and large", Shown(float64(r.Alpha)))
}

// facts are what the page tells of both files.
func (c *Column) facts() [][3]string {
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	a, b := &c.Reference, &c.Current
	out := [][3]string{{"type", a.Type, b.Type}, {"values", count(a.Values), count(b.Values)}, {"missing", count(a.missing()), count(b.missing())}}
	if a.Infinite+b.Infinite > 0 {
		out = append(out, [3]string{"infinite", count(a.Infinite), count(b.Infinite)})
	}
	out = append(out, [3]string{"different values", count(a.Distinct), count(b.Distinct)})
	add := func(what string, x, y *Number) {
		if x != nil && y != nil {
			out = append(out, [3]string{what, Shown(plain(x)), Shown(plain(y))})
		}
	}
	add("mean", a.Mean, b.Mean)
	add("standard deviation", a.Std, b.Std)
	add("least", a.Min, b.Min)
	add("median", a.Median, b.Median)
	add("greatest", a.Max, b.Max)
	return out
}

// lines are the tests' numbers, named.
func (t *Tests) lines() [][2]string {
	var out [][2]string
	add := func(name, text string) { out = append(out, [2]string{name, text}) }
	tested := func(name string, x *Tested) {
		if x != nil {
			add(name, Shown(float64(x.Statistic))+", p "+Shown(float64(x.P)))
		}
	}
	number := func(name string, x *Number) {
		if x != nil {
			add(name, Shown(plain(x)))
		}
	}
	tested("Kolmogorov-Smirnov", t.KS)
	if w := t.Wasserstein; w != nil {
		add("Wasserstein", Shown(float64(w.Distance))+", normed "+Shown(float64(w.Normed)))
	}
	tested("chi-square, both as samples", t.Homogeneity)
	tested("chi-square, reference as truth", t.ChiSquare)
	tested("G", t.G)
	tested("two proportions (z)", t.Z)
	number("PSI", t.PSI)
	number("Jensen-Shannon", t.JensenShannon)
	number("Hellinger", t.Hellinger)
	number("Kullback-Leibler", t.KL)
	number("L-infinity", t.LInfinity)
	if n := t.Nulls; n != nil {
		add("missing", percent(float64(n.Reference))+" → "+percent(float64(n.Current))+", p "+Shown(float64(n.P)))
	}
	if n := t.NewCategories; n != nil {
		add("new categories", fmt.Sprintf("%d, %s, p %s", n.Categories, percent(float64(n.Share)), Shown(float64(n.P))))
	}
	if o := t.Outliers; o != nil {
		add("outliers", fmt.Sprintf("%s → %s, outside of %s to %s", percent(float64(o.Reference)), percent(float64(o.Current)), Shown(float64(o.Low)), Shown(float64(o.High))))
	}
	return out
}
