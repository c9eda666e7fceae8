package stats

import (
	"math"
	"sort"
)

// Sample is a sorted column, or the step function read from a sketch.
type Sample struct {
	At []float64 // ascending, finite
	// Cum[i] is the weight of the values <= At[i], for a sketch; nil where each value counts one.
	Cum []float64
	// RankError is how far, as a share of all values, a rank may be off; 0 of a column.
	RankError float64
}

// Of is the sample of a column, which it sorts in place.
func Of(values []float64) Sample {
	Sort(values)
	return Sample{At: values}
}

// N is how many values the sample stands for.
func (s Sample) N() float64 {
	switch {
	case len(s.At) == 0:
		return 0
	case s.Cum == nil:
		return float64(len(s.At))
	}
	return s.Cum[len(s.Cum)-1]
}

// cum is the weight of the first i steps.
func (s Sample) cum(i int) float64 {
	switch {
	case s.Cum == nil:
		return float64(i)
	case i == 0:
		return 0
	}
	return s.Cum[i-1]
}

// below is the weight of the values < v.
func (s Sample) below(v float64) float64 {
	return s.cum(sort.Search(len(s.At), func(i int) bool { return s.At[i] >= v }))
}

// upTo is the weight of the values <= v.
func (s Sample) upTo(v float64) float64 {
	return s.cum(sort.Search(len(s.At), func(i int) bool { return s.At[i] > v }))
}

// Quantile is the value at a rank in [0, 1]: between two values of a column on the
// line through them, as numpy has it by default; of a sketch the step that
// holds the rank. NaN of no values.
func (s Sample) Quantile(rank float64) float64 {
	n := len(s.At)
	switch {
	case n == 0:
		return math.NaN()
	case s.Cum == nil:
		at := rank * float64(n-1)
		i := min(n-1, int(at))
		j := min(n-1, i+1)
		f := at - float64(i)
		if f == 0 || s.At[i] == s.At[j] {
			return s.At[i]
		}
		return s.At[i]*(1-f) + s.At[j]*f // of the ends, whose difference may overflow
	}
	return s.At[min(n-1, sort.SearchFloat64s(s.Cum, rank*s.N()))]
}

// Moments are of the whole population (n, as numpy's std has it), not of a sample of it (n-1).
type Moments struct{ Min, Max, Mean, Std float64 }

// Moments returns the sample's; NaN of no values.
func (s Sample) Moments() Moments {
	n := len(s.At)
	if n == 0 {
		return Moments{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	m := Moments{Min: s.At[0], Max: s.At[n-1]}
	if m.Min == m.Max {
		m.Mean = m.Min
		return m // and no rounding of many equal values makes a spread of none
	}
	sum := s.sum(func(v float64) float64 { return v })
	scale := 1.0
	if math.IsInf(sum, 0) {
		// Values near the end of the range: at a scale where their sum and squares have room.
		scale = math.Ldexp(1, -600)
		sum = s.sum(func(v float64) float64 { return v * scale })
	}
	mean := sum / s.N()
	squares := s.sum(func(v float64) float64 { d := v*scale - mean; return d * d })
	if math.IsInf(squares, 0) && scale == 1 {
		scale = math.Ldexp(1, -600)
		mean *= scale
		squares = s.sum(func(v float64) float64 { d := v*scale - mean; return d * d })
	}
	m.Mean, m.Std = mean/scale, math.Sqrt(squares/s.N())/scale
	return m
}

// sum adds f over all values, four sums abreast: the additions do not wait for each
// other, and the error of a long sum is smaller.
func (s Sample) sum(f func(float64) float64) float64 {
	var t [4]float64
	if s.Cum == nil {
		for i, v := range s.At {
			t[i&3] += f(v)
		}
	} else {
		for i, v := range s.At {
			t[i&3] += f(v) * (s.Cum[i] - s.cum(i))
		}
	}
	return t[0] + t[1] + t[2] + t[3]
}
