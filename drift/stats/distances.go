package stats

import "math"

// Shares makes shares of counts; of nothing they are all 0.
func Shares(counts []float64) []float64 {
	out := make([]float64, len(counts))
	sum := total(counts)
	if sum == 0 {
		return out
	}
	for i, c := range counts {
		out[i] = c / sum
	}
	return out
}

func total(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum
}

// filled gives the shares with something small for zero, so that logarithms stay
// finite: 1e-4, or a millionth of the smallest other share where that is
// itself no larger than 1e-4.
func filled(shares []float64) []float64 {
	least := math.Inf(1)
	for _, x := range shares {
		if x > 0 {
			least = min(least, x)
		}
	}
	small := 1e-4
	if least <= small {
		small = least / 1e6
	}
	out := make([]float64, len(shares))
	for i, x := range shares {
		if out[i] = x; x <= 0 {
			out[i] = small
		}
	}
	return out
}

// PSI is the population stability index of two lists of shares, the sum of
// (r-c) ln(r/c), zeros replaced: small numbers are put for them, no information is.
func PSI(ref, cur []float64) float64 {
	ref, cur = filled(ref), filled(cur)
	sum := 0.0
	for i, r := range ref {
		sum += (r - cur[i]) * math.Log(r/cur[i])
	}
	return sum
}

// KL is the Kullback-Leibler divergence of the reference from the current shares, in
// nats; zeros are replaced as in PSI, and the shares brought to a sum of 1 again.
func KL(ref, cur []float64) float64 {
	ref, cur = filled(ref), filled(cur)
	nr, nc := total(ref), total(cur)
	sum := 0.0
	for i, r := range ref {
		p := r / nr
		sum += p * math.Log(p/(cur[i]/nc))
	}
	return sum
}

// JensenShannon is the distance of two lists of shares: the square root of the
// divergence, with natural logarithms; 0 when equal, sqrt(ln 2) = 0.83 when disjoint.
func JensenShannon(p, q []float64) float64 {
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

// Hellinger is the distance of two lists of shares, 0 when equal and 1 when disjoint.
func Hellinger(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		sum += math.Sqrt(p[i] * q[i])
	}
	return math.Sqrt(1 - clip(sum))
}

// LInf is the greatest difference of a share (L-infinity, by which TensorFlow Data
// Validation judges skew and drift of categories).
func LInf(p, q []float64) float64 {
	most := 0.0
	for i := range p {
		most = max(most, math.Abs(p[i]-q[i]))
	}
	return most
}
