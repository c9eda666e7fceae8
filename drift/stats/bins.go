package stats

import "math"

// fewValues is up to how many different values of a reference its values are cells
// themselves, in Evidently's distances.
const fewValues = 20

// Counted are the counts of two samples in the same cells.
type Counted struct{ A, B []float64 }

// Cells counts two samples as Evidently's PSI, Jensen-Shannon and KL do: one cell a
// value where the reference a has at most 20 different ones, else Sturges' bins of both
// together. whole tells that all values are integers, whose bins are not narrower than 1.
func Cells(a, b Sample, distinctA int, whole bool) Counted {
	if distinctA <= fewValues {
		return eachValue(a, b)
	}
	return inBins(a, b, Edges(min(a.At[0], b.At[0]), max(a.At[len(a.At)-1], b.At[len(b.At)-1]), a.N()+b.N(), whole))
}

// HellingerCells counts them as Evidently's Hellinger distance does: in Sturges' bins
// for the number of different values.
func HellingerCells(a, b Sample, distinct int, whole bool) Counted {
	return inBins(a, b, Edges(min(a.At[0], b.At[0]), max(a.At[len(a.At)-1], b.At[len(b.At)-1]), float64(distinct), whole))
}

// Edges are those of Sturges' bins for n values between low and high, as numpy computes
// them, to the last bit.
func Edges(low, high, n float64, whole bool) []float64 {
	bins := 1
	if width := (high - low) / (math.Log2(n) + 1); math.IsInf(width, 0) {
		bins = int(math.Ceil(math.Log2(n) + 1))
	} else if width > 0 {
		if whole && width < 1 {
			width = 1
		}
		bins = max(1, int(math.Ceil((high-low)/width)))
	}
	if low == high {
		low, high = low-0.5, high+0.5
	}
	return lines(low, high, bins)
}

func lines(low, high float64, bins int) []float64 {
	out := make([]float64, bins+1)
	step := (high - low) / float64(bins)
	if math.IsInf(step, 0) {
		step = high/float64(bins) - low/float64(bins)
	}
	for i := range out {
		out[i] = float64(float64(i)*step) + low
	}
	out[bins] = high
	return out
}

// inBins counts values from each edge to before the next, of the last bin both ends.
func inBins(a, b Sample, edges []float64) Counted {
	return Counted{Histogram(a, edges), Histogram(b, edges)}
}

// Histogram counts the values in bins: from each edge to before the next, of the last bin both ends.
func Histogram(s Sample, edges []float64) []float64 {
	out := make([]float64, len(edges)-1)
	last := s.below(edges[0])
	for i := range out {
		var next float64
		if i == len(out)-1 {
			next = s.upTo(edges[i+1])
		} else {
			next = s.below(edges[i+1])
		}
		out[i], last = next-last, next
	}
	return out
}

// eachValue counts each different value.
func eachValue(a, b Sample) Counted {
	var c Counted
	i, j := 0, 0
	for i < len(a.At) || j < len(b.At) {
		var v float64
		if j == len(b.At) || i < len(a.At) && a.At[i] <= b.At[j] {
			v = a.At[i]
		} else {
			v = b.At[j]
		}
		i0, j0 := i, j
		for i < len(a.At) && a.At[i] == v {
			i++
		}
		for j < len(b.At) && b.At[j] == v {
			j++
		}
		c.A, c.B = append(c.A, a.cum(i)-a.cum(i0)), append(c.B, b.cum(j)-b.cum(j0))
	}
	return c
}

// EachValue counts each different value of two samples, and gives the values.
func EachValue(a, b Sample) (values []float64, c Counted) {
	c = eachValue(a, b)
	i, j := 0, 0
	for range c.A {
		var v float64
		if j == len(b.At) || i < len(a.At) && a.At[i] <= b.At[j] {
			v = a.At[i]
		} else {
			v = b.At[j]
		}
		for i < len(a.At) && a.At[i] == v {
			i++
		}
		for j < len(b.At) && b.At[j] == v {
			j++
		}
		values = append(values, v)
	}
	return values, c
}
