package stats

import (
	"cmp"
	"math"
	"slices"
)

// BenjaminiHochberg adjusts p-values of several tests: those that are at most alpha
// afterwards may be called significant, and among these no more than a share of alpha is
// expected to be so by chance (scipy.stats.false_discovery_control).
func BenjaminiHochberg(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out := make([]float64, len(p))
	least := 1.0
	for rank := len(order); rank > 0; rank-- {
		i := order[rank-1]
		least = min(least, p[i]*float64(len(p))/float64(rank))
		out[i] = least
	}
	return out
}

// Bounds are where usual values end.
type Bounds struct{ Low, High float64 }

// outlierRanges is how many interquartile ranges from the median usual values end: 4 standard
// deviations of a normal distribution, where 6 in 100,000 values are.
const outlierRanges = 3

// RobustBounds are the median less and plus three interquartile ranges. Where half of
// the values are equal, that range is 0, and four standard deviations serve; of a
// constant, only the constant itself is usual. No outlier moves the first two by much.
func RobustBounds(s Sample) Bounds {
	mid, wide := s.Quantile(0.5), outlierRanges*(s.Quantile(0.75)-s.Quantile(0.25))
	if wide == 0 {
		wide = 4 * s.Moments().Std
	}
	return Bounds{mid - wide, mid + wide}
}

// Beyond is how many values lie outside.
func (b Bounds) Beyond(s Sample) float64 {
	if math.IsNaN(b.Low) || math.IsNaN(b.High) {
		return 0
	}
	return s.below(b.Low) + s.N() - s.upTo(b.High)
}
