package stats

import "math"

// Mean is what is known of a mean: of how many values, and their variance (the sample's, n - 1).
type Mean struct{ N, Mean, Variance float64 }

// Greater is the one-sided Welch test whether cur's mean is greater than ref's: unequal
// variances, Student's distribution (scipy's ttest_ind of unequal variances, alternative greater).
func Greater(ref, cur Mean) Test {
	if ref.N < 2 || cur.N < 2 {
		return untested
	}
	a, b := ref.Variance/ref.N, cur.Variance/cur.N
	return studentTest(cur.Mean-ref.Mean, a+b, (a+b)*(a+b)/(a*a/(ref.N-1)+b*b/(cur.N-1)))
}

// GreaterThan is the one-sided test whether a mean is greater than a number (scipy's ttest_1samp).
func GreaterThan(cur Mean, than float64) Test {
	if cur.N < 2 {
		return untested
	}
	return studentTest(cur.Mean-than, cur.Variance/cur.N, cur.N-1)
}

func studentTest(by, variance, freedom float64) Test {
	switch {
	case math.IsNaN(by) || math.IsNaN(variance) || math.IsInf(variance, 0):
		return untested // values near the end of the range
	case variance <= 0 || math.IsNaN(freedom): // constants, both
		if by > 0 {
			return Test{math.Inf(1), 0}
		}
		return untested
	}
	t := by / math.Sqrt(variance)
	return Test{t, studentTail(t, freedom)}
}

// studentTail is the chance that Student's t with so many degrees of freedom is at least t.
func studentTail(t, freedom float64) float64 {
	half := lowerBeta(freedom/2, 0.5, freedom/(freedom+t*t)) / 2
	if t < 0 {
		return 1 - half
	}
	return half
}

// Fewer is the one-sided test whether y of m is a smaller share than x of n: by z where at least 10 are
// expected in each of the four cells, else Fisher's exact (scipy's fisher_exact, alternative greater).
func Fewer(x, n, y, m float64) Test {
	rare := min(x+y, n+m-x-y)
	if n == 0 || m == 0 || rare == 0 {
		return untested
	}
	p := (x + y) / (n + m)
	z := (x/n - y/m) / math.Sqrt(p*(1-p)*(1/n+1/m))
	if rare*min(n, m)/(n+m) >= 10 {
		return Test{z, math.Erfc(z/math.Sqrt2) / 2}
	}
	k, sum := x+y, 0.0
	for v := max(0, k-n); v <= y; v++ { // as few in the second, or fewer
		sum += math.Exp(lnChoose(m, v) + lnChoose(n, k-v) - lnChoose(n+m, k))
	}
	return Test{z, clip(sum)}
}

// FewerThan is the one-sided exact binomial test whether y of m are fewer than a share of p brings (scipy's
// binomtest, alternative less).
func FewerThan(y, m, p float64) Test {
	if m == 0 || p <= 0 {
		return untested
	}
	if p >= 1 {
		if y < m {
			return Test{math.Inf(1), 0}
		}
		return untested
	}
	z := (p - y/m) / math.Sqrt(p*(1-p)/m)
	if y >= m {
		return Test{z, 1}
	}
	return Test{z, clip(lowerBeta(m-y, y+1, 1-p))}
}

// lowerBeta is the regularized incomplete beta function, by its continued fraction (Lentz).
func lowerBeta(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // where the fraction of the other tail is faster
		return 1 - lowerBeta(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny = 1e-300
	f, c, d := 1.0, 1.0, 0.0
	step := func(of float64) float64 {
		d = 1 + of*d
		if math.Abs(d) < tiny {
			d = tiny
		}
		if c = 1 + of/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		by := c * d
		f *= by
		return by
	}
	step(-(a + b) * x / (a + 1))
	for i := 1.0; i < 100_000; i++ {
		step(i * (b - i) * x / ((a + 2*i - 1) * (a + 2*i)))
		if by := step(-(a + i) * (a + b + i) * x / ((a + 2*i) * (a + 2*i + 1))); math.Abs(by-1) < 1e-15 {
			break
		}
	}
	return front / f
}
