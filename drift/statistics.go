package drift

import (
	"math"
	"slices"

	"github.com/weir-ml/weir/drift/stats"
)

// sample is the sketch's numbers as the tests take them.
func (s *Sketch) sample() stats.Sample {
	d := s.num.distribution()
	return stats.Sample{At: d.At, Cum: d.Cum, RankError: s.RankError()}
}

// quantileBins cuts the line where the reference has its deciles; a value that
// holds several deciles makes one cut. A reference that begins with a step (many
// equal values, or only one) gets a bin of its own below it.
func quantileBins(ref distribution) []float64 {
	var cuts []float64
	for k := 1; k < psiBins; k++ {
		v := ref.Quantile(float64(k) / psiBins)
		if len(cuts) == 0 || v > cuts[len(cuts)-1] {
			cuts = append(cuts, v)
		}
	}
	if first := cuts[0]; first == ref.At[0] {
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
		s := d.Share(c)
		out = append(out, s-last)
		last = s
	}
	return append(out, 1-last)
}

// fewPairs is up to how many pairs of values the exact distribution of the
// Kolmogorov-Smirnov statistic is computed; above, its limit is as good, and faster.
const fewPairs = 1e6

// ksPValue is the p-value of a statistic of two samples. How far it may be off because sketches
// were compared is taken off it, which is the same as adding it to the critical value.
func ksPValue(d float64, a, b stats.Sample) float64 {
	n, m := a.N(), b.N()
	if n*m <= fewPairs {
		return stats.SketchedKS(d, a, b)
	}
	if d -= a.RankError + b.RankError; d <= 0 {
		return 1
	}
	return stats.KolmogorovTail(int(n*m/(n+m)), d)
}

// moved is how far numbers have moved: in standard deviations of the reference, whatever
// their unit; or by how much of them, where an outlier makes that deviation large. Of a
// constant reference there is no deviation, and the share of the values that
// are another number counts: it is 1 at most.
func moved(ref stats.Sample, m stats.Merged) float64 {
	of := ref.Moments()
	size := max(math.Abs(of.Min), math.Abs(of.Max))
	if of.Std <= size*1e-9 {
		// No more than the rounding of whoever computed the constant: no move either.
		if m.Wasserstein <= size*1e-9 {
			return 0
		}
		return m.KS
	}
	return clamp(max(m.Wasserstein/of.Std, m.KS))
}

// clamp keeps a number fit for JSON: distances of values near the end of the range overflow.
func clamp(x float64) float64 {
	if math.IsNaN(x) || x > 1e300 {
		return 1e300
	}
	return x
}
