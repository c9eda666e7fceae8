package sketch

import (
	"math"
	"slices"
)

// sortedAtOnce is how many numbers sortNumbers takes by comparisons without branches: a
// block, and what a level may have had before.
const sortedAtOnce = 2 * BlockValues

// sortNumbers sorts finite numbers. Most of what a small sketch costs is to sort blocks of
// random numbers, where every second branch of a usual sort is guessed wrong: these are
// merged from both ends, by comparisons that only move an index, as integers of the same order.
func sortNumbers(v []float64) {
	n := len(v)
	if n < 32 || n > sortedAtOnce {
		slices.Sort(v)
		return
	}
	var a, b [sortedAtOnce]int64
	for i, x := range v {
		a[i] = orderKey(math.Float64bits(x))
	}
	whole := n &^ 7
	for i := 0; i < whole; i += 8 {
		sortFours((*[8]int64)(a[i:]))
	}
	for i := whole; i < n; i += 4 {
		slices.Sort(a[i:min(i+4, n)])
	}
	from, to := a[:n], b[:n]
	for w := 4; w < n; w *= 2 {
		lo := 0
		for ; lo+2*w <= n; lo += 2 * w {
			mergeEqual(from[lo:lo+2*w], to[lo:lo+2*w])
		}
		mergeRest(from[lo:], min(w, n-lo), to[lo:])
		from, to = to, from
	}
	for i, k := range from {
		v[i] = math.Float64frombits(uint64(orderKey(uint64(k))))
	}
}

// mergeEqual merges the two sorted halves of a: the least half of all from their beginnings,
// the greatest from their ends, so that no end of a half can come first.
func mergeEqual(a, out []int64) {
	w := len(a) / 2
	i, j := 0, w
	p, q := w-1, 2*w-1
	for k := range w {
		x, y := a[i], a[j]
		out[k] = min(x, y)
		first := 0
		if x <= y {
			first = 1
		}
		i, j = i+first, j+1-first
		x, y = a[p], a[q]
		out[2*w-1-k] = max(x, y)
		last := 0
		if x > y {
			last = 1
		}
		p, q = p-last, q-1+last
	}
}

// mergeRest merges the first w, sorted, of a with the rest, sorted too.
func mergeRest(a []int64, w int, out []int64) {
	x, y := a[:w], a[w:]
	k := 0
	for ; len(x) > 0 && len(y) > 0; k++ {
		if x[0] <= y[0] {
			out[k], x = x[0], x[1:]
		} else {
			out[k], y = y[0], y[1:]
		}
	}
	k += copy(out[k:], x)
	copy(out[k:], y)
}
