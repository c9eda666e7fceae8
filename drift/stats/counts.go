package stats

import (
	"math"
	"slices"
)

// Test is a statistic and its p-value.
type Test struct{ Statistic, P float64 }

var untested = Test{0, 1}

// ChiSquare tests counts against those of a reference scaled to the same total, as
// Evidently does by scipy.stats.chisquare: the reference is taken for the truth, which is
// fair where it is far larger than what is tested. A cell that the reference
// does not have makes the statistic infinite and the p-value 0.
func ChiSquare(ref, cur []float64) Test {
	return divergence(ref, cur, func(seen, want float64) float64 { return (seen - want) * (seen - want) / want })
}

// G is the likelihood-ratio test of the same (scipy.stats.power_divergence with log-likelihood).
func G(ref, cur []float64) Test {
	return divergence(ref, cur, func(seen, want float64) float64 {
		if seen == 0 {
			return 0
		}
		return 2 * seen * math.Log(seen/want)
	})
}

func divergence(ref, cur []float64, term func(seen, want float64) float64) Test {
	nr, nc := total(ref), total(cur)
	if nr == 0 || nc == 0 || len(ref) < 2 {
		return untested
	}
	stat := 0.0
	for i, r := range ref {
		stat += term(cur[i], r*(nc/nr))
	}
	return Test{stat, chiSquareTail(stat, len(ref)-1)}
}

func chiSquareTail(stat float64, freedom int) float64 {
	if math.IsInf(stat, 1) {
		return 0
	}
	return upperGamma(float64(freedom)/2, stat/2)
}

// smallCell is the expected count below which the chi-square approximation is
// not to be trusted cell by cell.
const smallCell = 5

// Homogeneity tests whether two lists of counts come from the same shares: the
// chi-square test of a table of two rows, where both are samples (scipy.stats.chi2_contingency
// without correction). Cells that expect less than 5 in the smaller sample are pooled, by what
// both have together, so that pooling looks at no difference; a pool that expects
// less than 5 itself goes to the smallest other cell.
func Homogeneity(a, b []float64) Test {
	na, nb := total(a), total(b)
	if na == 0 || nb == 0 {
		return untested
	}
	least := min(na, nb) / (na + nb)
	var pool [2]float64
	var cells [][2]float64
	for i := range a {
		c := [2]float64{a[i], b[i]}
		switch t := a[i] + b[i]; {
		case t == 0:
		case t*least < smallCell:
			pool[0], pool[1] = pool[0]+c[0], pool[1]+c[1]
		default:
			cells = append(cells, c)
		}
	}
	if t := pool[0] + pool[1]; t*least >= smallCell {
		cells = append(cells, pool)
	} else if t > 0 && len(cells) > 0 {
		slices.SortFunc(cells, func(x, y [2]float64) int { // in an order that the counts alone decide
			if d := x[0] + x[1] - y[0] - y[1]; d != 0 {
				return int(math.Copysign(1, d))
			}
			return int(x[0] - y[0])
		})
		cells[0][0] += pool[0]
		cells[0][1] += pool[1]
	}
	if len(cells) < 2 {
		return untested
	}
	stat := 0.0
	for _, c := range cells {
		t := c[0] + c[1]
		wa, wb := t*na/(na+nb), t*nb/(na+nb)
		stat += (c[0]-wa)*(c[0]-wa)/wa + (c[1]-wb)*(c[1]-wb)/wb
	}
	return Test{stat, chiSquareTail(stat, len(cells)-1)}
}

// upperGamma is the regularised upper incomplete gamma function Q(a, x): the
// chance that a chi-square variable of 2a degrees of freedom exceeds 2x.
func upperGamma(a, x float64) float64 {
	if x <= 0 {
		return 1
	}
	// x^a e^-x / gamma(a), by Loader's expansion: it keeps its digits where a is large.
	front := math.Exp(-stirlingError(a)-deviance(a, x)) * math.Sqrt(a/(2*math.Pi))
	const steps, eps = 100000, 1e-16
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
