package stats

import "math"

// TwoProportions is the z test of x of n against y of m, pooled and two-sided, as
// Evidently has it. Where all or none are in both, there is nothing to test.
func TwoProportions(x, n, y, m float64) Test {
	if n == 0 || m == 0 {
		return untested
	}
	p := (x + y) / (n + m)
	if p <= 0 || p >= 1 {
		return untested
	}
	z := (x/n - y/m) / math.Sqrt(p*(1-p)*(1/n+1/m))
	return Test{z, math.Erfc(math.Abs(z) / math.Sqrt2)}
}

// Proportions tests the same: by the z test where at least 10 are expected in each of the
// four cells, else by Fisher's exact one, which is right with the few nulls of a small file too.
func Proportions(x, n, y, m float64) Test {
	z := TwoProportions(x, n, y, m)
	rare := min(x+y, n+m-x-y)
	if n == 0 || m == 0 || rare == 0 || rare*min(n, m)/(n+m) >= 10 {
		return z
	}
	return Test{z.Statistic, Fisher(x, n, y, m)}
}

// Fisher is the two-sided p-value of Fisher's exact test: the chance of all tables with
// the same sums that are no more likely than this one.
func Fisher(x, n, y, m float64) float64 {
	k := x + y
	low, high := max(0, k-m), min(k, n)
	if high <= low {
		return 1
	}
	log := func(v float64) float64 { return lnChoose(n, v) + lnChoose(m, k-v) - lnChoose(n+m, k) }
	seen := log(x)
	sum := 0.0
	for v := low; v <= high; v++ {
		if l := log(v); l <= seen+1e-7 {
			sum += math.Exp(l)
		}
	}
	return clip(sum)
}

// lnChoose is the logarithm of the binomial coefficient.
func lnChoose(n, k float64) float64 {
	if k <= 0 || k >= n {
		return 0
	}
	// By the entropy of k/n and Stirling's errors: of large numbers no digits are lost.
	w := n - k
	return stirlingError(n) - stirlingError(k) - stirlingError(w) + math.Log(n/(2*math.Pi*k*w))/2 - k*math.Log(k/n) - w*math.Log1p(-k/n)
}

// CohenH is the size of the difference between two proportions, from 0 to pi; 0.2 is
// called small: from none to 1 %, or from 50 % to 60 %.
func CohenH(p, q float64) float64 {
	return math.Abs(2*math.Asin(math.Sqrt(clip(p))) - 2*math.Asin(math.Sqrt(clip(q))))
}

// Unseen is what the reference has never seen of a current file's categories.
type Unseen struct {
	Categories int     // how many
	Share      float64 // of the current rows
	P          float64
}

// NewCategories tests whether categories without any row in the reference have more rows
// in cur than chance gives them. Were the rows dealt out to both files by chance, a
// category of c rows would fall to the current file whole with a known probability; the
// p-value is Chernoff's bound for as many rows of such categories, so it is rather
// too large than too small, whatever the categories' sizes.
func NewCategories(ref, cur []float64) Unseen {
	n, m := total(ref), total(cur)
	out := Unseen{P: 1}
	if n == 0 || m == 0 {
		return out
	}
	seen := 0.0
	sizes := map[float64]float64{} // of categories, by rows: how many
	for i, c := range cur {
		if ref[i] == 0 && c > 0 {
			out.Categories++
			seen += c
		}
		if t := ref[i] + c; t > 0 && t <= m {
			sizes[t]++
		}
	}
	out.Share = seen / m
	if out.Categories == 0 {
		return out
	}
	type group struct{ rows, many, chance float64 }
	var groups []group
	mean := 0.0
	for rows, many := range sizes {
		q := math.Exp(lnChoose(n+m-rows, m-rows) - lnChoose(n+m, m))
		if q > 0 {
			groups = append(groups, group{rows, many, min(1, q)})
			mean += many * rows * q
		}
	}
	if seen <= mean {
		return out
	}
	bound := func(t float64) float64 {
		s := -t * seen
		for _, g := range groups {
			if e := t * g.rows; e > 500 {
				s += g.many * (math.Log(g.chance) + e)
			} else {
				s += g.many * math.Log1p(g.chance*math.Expm1(e))
			}
		}
		return s
	}
	// The bound is convex in t: between three points of a golden section.
	low, high := 0.0, 1.0
	for high < 1e6 && bound(high) < bound(high/2) {
		high *= 2
	}
	const golden = 0.6180339887498949
	for range 80 {
		a, b := high-golden*(high-low), low+golden*(high-low)
		if bound(a) < bound(b) {
			high = b
		} else {
			low = a
		}
	}
	out.P = math.Exp(min(0, bound((low+high)/2)))
	return out
}
