package drift

import (
	"math"
	"slices"
)

// ks returns the two-sample Kolmogorov-Smirnov statistic: the greatest distance
// between the two step functions.
func ks(a, b distribution) float64 {
	if a.n == 0 || b.n == 0 {
		return 0
	}
	var i, j int
	var fa, fb, most float64
	for i < len(a.at) && j < len(b.at) {
		v := min(a.at[i], b.at[j])
		// Past every value equal to v in both, then compare: ties are one step.
		for i < len(a.at) && a.at[i] == v {
			fa = a.cum[i] / a.n
			i++
		}
		for j < len(b.at) && b.at[j] == v {
			fb = b.cum[j] / b.n
			j++
		}
		most = max(most, math.Abs(fa-fb))
	}
	return most
}

// ksPValue is the asymptotic two-sided p-value of a two-sample statistic d of n
// and m values. slack is how far d may be off because sketches were compared:
// it is taken off d, which is the same as adding it to the critical value.
func ksPValue(d, slack, n, m float64) float64 {
	return kolmogorov(math.Sqrt(n*m/(n+m)) * max(0, d-slack))
}

// kolmogorov is the survival function of the Kolmogorov distribution.
func kolmogorov(x float64) float64 {
	switch {
	case x <= 0:
		return 1
	case x < 1.18:
		// Jacobi's other form of the series: it converges fast where x is small.
		t := math.Exp(-math.Pi * math.Pi / (8 * x * x))
		sum := 0.0
		for k := 1.0; k <= 7; k += 2 {
			sum += math.Pow(t, k*k)
		}
		return 1 - math.Sqrt(2*math.Pi)/x*sum
	}
	t := math.Exp(-2 * x * x)
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 5; k++ {
		sum += sign * math.Pow(t, k*k)
		sign = -sign
	}
	return min(1, 2*sum)
}

// quantileBins cuts the line where the reference has its deciles; a value that
// holds several deciles makes one cut. A reference that begins with a step (many
// equal values, or only one) gets a bin of its own below it.
func quantileBins(ref distribution) []float64 {
	var cuts []float64
	for k := 1; k < psiBins; k++ {
		v := ref.quantile(float64(k) / psiBins)
		if len(cuts) == 0 || v > cuts[len(cuts)-1] {
			cuts = append(cuts, v)
		}
	}
	if first := cuts[0]; first == ref.at[0] {
		cuts = slices.Insert(cuts, 0, math.Nextafter(first, math.Inf(-1)))
	}
	return cuts
}

const psiBins = 10

// shares are the shares of the values in the bins that cuts make: up to and
// including the first cut, between neighbours, above the last.
func (d distribution) shares(cuts []float64) []float64 {
	out := make([]float64, 0, len(cuts)+1)
	last := 0.0
	for _, c := range cuts {
		s := d.share(c)
		out = append(out, s-last)
		last = s
	}
	return append(out, 1-last)
}

// psi is the population stability index of two lists of shares: the sum of
// (r-c) ln(r/c), zeros replaced (see fill). Both lists are changed.
func psi(ref, cur []float64) float64 {
	fill(ref)
	fill(cur)
	sum := 0.0
	for i, r := range ref {
		sum += (r - cur[i]) * math.Log(r/cur[i])
	}
	return sum
}

// fill puts something small where a share is zero, so that a logarithm stays
// finite: 1e-4, or a millionth of the smallest other share where that is
// itself no larger than 1e-4.
func fill(p []float64) {
	least := math.Inf(1)
	for _, x := range p {
		if x > 0 {
			least = min(least, x)
		}
	}
	small := 1e-4
	if least <= small {
		small = least / 1e6
	}
	for i, x := range p {
		if x <= 0 {
			p[i] = small
		}
	}
}

// jensenShannon is the distance of two lists of shares: the square root of the
// divergence, with natural logarithms; 0 when equal, sqrt(ln 2) when disjoint.
func jensenShannon(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		m := (p[i] + q[i]) / 2
		if p[i] > 0 {
			sum += p[i] * math.Log(p[i]/m)
		}
		if q[i] > 0 {
			sum += q[i] * math.Log(q[i]/m)
		}
	}
	return math.Sqrt(max(0, sum/2))
}

// smallCell is the expected count below which the chi-square approximation is
// not to be trusted cell by cell.
const smallCell = 5

// chiSquare tests counts against a reference's, scaled to the same total. Cells
// with an expected count below smallCell are pooled. When even the pool expects less
// than that, it counts as expecting smallCell, and only what it has above
// counts: a category that the reference has never seen is found, and a few
// stray rows are not. It returns the statistic and the p-value; with one cell there is nothing to test.
func chiSquare(ref, cur []float64) (stat, p float64) {
	var nr, nc float64
	for i := range ref {
		nr += ref[i]
		nc += cur[i]
	}
	if nr == 0 || nc == 0 {
		return 0, 1
	}
	cells := 0
	var poolSeen, poolWant float64
	pooled := false
	for i := range ref {
		want := ref[i] * nc / nr
		if want < smallCell {
			poolSeen += cur[i]
			poolWant += want
			pooled = pooled || want > 0 || cur[i] > 0
			continue
		}
		d := cur[i] - want
		stat += d * d / want
		cells++
	}
	if pooled {
		cells++
		if d := poolSeen - max(poolWant, smallCell); d > 0 || poolWant >= smallCell {
			stat += d * d / max(poolWant, smallCell)
		}
	}
	if cells < 2 {
		return 0, 1
	}
	return stat, upperGamma(float64(cells-1)/2, stat/2)
}

// upperGamma is the regularised upper incomplete gamma function Q(a, x): the
// chance that a chi-square variable of 2a degrees of freedom exceeds 2x.
func upperGamma(a, x float64) float64 {
	if x <= 0 {
		return 1
	}
	lg, _ := math.Lgamma(a)
	front := math.Exp(a*math.Log(x) - x - lg)
	const steps, eps = 10000, 1e-16
	if x < a+1 {
		// The series of the lower function.
		term := 1 / a
		sum := term
		for k := 1; k < steps && term > sum*eps; k++ {
			term *= x / (a + float64(k))
			sum += term
		}
		return max(0, 1-front*sum)
	}
	// The continued fraction of the upper one, by Lentz.
	const tiny = 1e-300
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for k := 1; k < steps; k++ {
		an := -float64(k) * (float64(k) - a)
		b += 2
		if d = an*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + an/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < eps {
			break
		}
	}
	return front * h
}
