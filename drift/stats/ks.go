package stats

import "math"

// exactKS is the greatest size of a sample for which the exact distribution is computed.
const exactKS = 10000

// KSPValue is the two-sided p-value of a two-sample statistic d of n and m values, as
// scipy.stats.ks_2samp has it: exact (by counting paths) up to 10,000 values
// in the larger, else from the one-sample distribution at the size nm/(n+m).
// It is 1 where there are no values. Ties make it too large, never too small.
func KSPValue(d, n, m float64) float64 {
	switch {
	case n < 1 || m < 1 || d <= 0:
		return 1
	case max(n, m) <= exactKS:
		return exactSmirnov(d, int(n), int(m))
	}
	return KolmogorovTail(int(math.RoundToEven(n*m/(n+m))), d)
}

// SketchedKS is the p-value of two samples of which one or both are sketches. A
// rank of a sketch may be off, so the statistic may be, by both errors together: that is
// taken off it, which is the same as adding it to the critical value. Where nothing
// has drifted the p-value is then too large rather than too small.
func SketchedKS(d float64, a, b Sample) float64 {
	return KSPValue(d-a.RankError-b.RankError, a.N(), b.N())
}

// exactSmirnov is the share of all ways to mix n and m values that have a distance of
// d or more. A way is a path on a grid from (0, 0) to (n, m); p(x, y) is the
// share of the paths to (x, y) that have been too far from the diagonal somewhere. The
// last step to (x, y) came from the left in x of x+y of them, from below in the rest.
func exactSmirnov(d float64, n, m int) float64 {
	if m > n {
		n, m = m, n
	}
	g := gcd(n, m)
	ng, mg := n/g, m/g
	// Distances are multiples of 1/lcm: h of them, computed without a rounding between.
	h := int(math.RoundToEven(d * float64(ng) * float64(m)))
	if h == 0 {
		return 1
	}
	d = float64(h) / (float64(ng) * float64(m))
	size := float64(n) * float64(m) / float64(n+m)
	switch {
	case d >= 1 && n == m || size*d*d > 18:
		// Below 1e-15: the first term of the series is as good as the paths.
		if n == m {
			return equalSmirnov(n, h)
		}
		return min(1, 2*math.Exp(-2*size*d*d))
	case n == m:
		return equalSmirnov(n, h)
	}
	// Inside are the points with |x*mg - y*ng| < h: for a column x, y from low to high.
	low, high := 0, min((h+ng-1)/ng, m+1)
	p := make([]float64, m+2)
	for y := high; y < len(p); y++ {
		p[y] = 1
	}
	for x := 1; x <= n; x++ {
		low = min(m, max(0, floorDiv(x*mg-h, ng)+1))
		before := high
		high = min((x*mg+h+ng-1)/ng, m+1)
		if high <= low {
			return 1
		}
		for y := before; y < high; y++ {
			p[y] = 1 // outside, one column ago
		}
		last := 1.0
		if low == 0 {
			last = 0
		}
		fx := float64(x)
		for y := low; y < high; y++ {
			fy := float64(y)
			last = (p[y]*fx + last*fy) / (fx + fy)
			p[y] = last
		}
	}
	return min(1, p[m])
}

// equalSmirnov is the same for two samples of n values, by reflection: a sum of products.
func equalSmirnov(n, h int) float64 {
	p := 0.0
	for k := n / h; k >= 0; k-- {
		t := 1.0
		for j := range h {
			t *= float64(n-k*h-j) / float64(n+k*h+j+1)
		}
		p = t * (1 - p)
	}
	return min(1, max(0, 2*p))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
