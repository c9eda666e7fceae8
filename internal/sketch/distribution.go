package sketch

import (
	"encoding/binary"
	"math"
	"slices"
)

// Distribution is a step function read from a sketch: Cum[i] values are <= At[i].
type Distribution struct {
	At  []float64 // ascending; equal neighbours are possible
	Cum []float64
	N   float64
}

// Share is the share of values <= v.
func (d Distribution) Share(v float64) float64 {
	i, _ := slices.BinarySearchFunc(d.At, v, func(a, v float64) int {
		if a <= v {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0
	}
	return d.Cum[i-1] / d.N
}

// Quantile is the value at a rank in [0, 1] of a distribution that has values.
func (d Distribution) Quantile(rank float64) float64 {
	i, _ := slices.BinarySearch(d.Cum, rank*d.N)
	return d.At[min(i, len(d.At)-1)]
}

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}
