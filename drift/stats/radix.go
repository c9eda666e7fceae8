package stats

import (
	"math"
	"slices"
)

const (
	// Long columns are sorted by the highest 33 bits, in three passes of 11, and then where
	// values have those in common. Few different values do: they agree in 21 bits behind the point.
	digitBits = 11
	digits    = 1 << digitBits
	lowest    = 64 - 3*digitBits
	// radixFrom is from how many values on counting digits is faster than comparing.
	radixFrom = 1500
)

// Sort sorts finite numbers, long columns by the digits of their bits. It takes 16 bytes a
// value meanwhile.
func Sort(v []float64) { new(Sorter).Sort(v) }

// Sorter sorts one column after the other and keeps the memory that it takes.
type Sorter struct{ a, b []uint64 }

// Sort is as the function.
func (s *Sorter) Sort(v []float64) {
	if len(v) < radixFrom || slices.IsSorted(v) {
		slices.Sort(v)
		return
	}
	var counts [3][digits]uint32
	if len(s.a) < len(v) {
		s.a, s.b = make([]uint64, len(v)), make([]uint64, len(v))
	}
	from, to := s.a[:len(v)], s.b[:len(v)]
	for i, x := range v {
		k := key(x)
		from[i] = k
		counts[0][k>>lowest&(digits-1)]++
		counts[1][k>>(lowest+digitBits)&(digits-1)]++
		counts[2][k>>(lowest+2*digitBits)]++
	}
	for pass := range counts {
		c, shift := &counts[pass], uint(lowest+pass*digitBits)
		if int(c[from[0]>>shift&(digits-1)]) == len(v) {
			continue // all have the same digit
		}
		at := uint32(0)
		for d, n := range c {
			c[d], at = at, at+n
		}
		for _, k := range from {
			d := k >> (shift & 63) & (digits - 1)
			to[c[d]] = k
			c[d]++
		}
		from, to = to, from
	}
	for i := 0; i < len(from); {
		j := i + 1
		for j < len(from) && from[j]>>lowest == from[i]>>lowest {
			j++
		}
		if j-i > 1 {
			sortFew(from[i:j])
		}
		i = j
	}
	for i, k := range from {
		v[i] = value(k)
	}
}

// sortFew sorts what mostly is two or three values, or many equal ones.
func sortFew(k []uint64) {
	if len(k) > 16 {
		if !slices.IsSorted(k) {
			slices.Sort(k)
		}
		return
	}
	for i := 1; i < len(k); i++ {
		x := k[i]
		j := i
		for ; j > 0 && k[j-1] > x; j-- {
			k[j] = k[j-1]
		}
		k[j] = x
	}
}

// key makes bits that are ordered as the numbers are.
func key(x float64) uint64 {
	b := math.Float64bits(x)
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

func value(k uint64) float64 {
	return math.Float64frombits(k ^ (uint64(int64(^k)>>63) | 1<<63))
}
