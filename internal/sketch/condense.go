package sketch

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// BlockValues is how many values KLL.AddBlock takes at a time.
	BlockValues = 256
	// blockRounds is how often a block can be halved: down to eight values of weight 32.
	blockRounds = 5
	// smallDepth is how many levels below the topmost the first one lies that has room for sketchM only.
	smallDepth = 8
)

// condense halves a block so many times (1 to blockRounds): what is left stands
// for two to that power values each, in ascending order. Eight neighbours are sorted
// and every second of them is kept, beginning with the first or the second by
// chance, which is what the small levels of the sketch would have done.
//
// The numbers are sorted as integers of the same order, by comparisons that are
// always the same ones: the processor has no branch to guess wrong.
func condense(block *[BlockValues]float64, rounds int, kept *[BlockValues / 2]float64) []float64 {
	var keys [BlockValues]int64
	for i, v := range block {
		keys[i] = orderKey(math.Float64bits(v))
	}
	chance := rand.Uint64() // a bit for each eight: 32 + 16 + 8 + 4 + 2 at most
	n := BlockValues
	for i := 0; i < n; i += 8 {
		eight := (*[8]int64)(keys[i:])
		sortFours(eight)
		half(eight, (*[4]int64)(keys[i/2:]), &chance)
	}
	n /= 2
	for range rounds - 1 {
		for i := 0; i < n; i += 8 {
			half((*[8]int64)(keys[i:]), (*[4]int64)(keys[i/2:]), &chance)
		}
		n /= 2
	}
	slices.Sort(keys[:n])
	for i, k := range keys[:n] {
		kept[i] = math.Float64frombits(uint64(orderKey(uint64(k))))
	}
	return kept[:n]
}

// orderKey maps the bits of numbers to integers of the same order, and back.
func orderKey(b uint64) int64 { return int64(b) ^ int64(uint64(int64(b)>>63)>>1) }

// sortFours sorts the first four and the last four.
func sortFours(a *[8]int64) {
	for i := 0; i < 8; i += 4 {
		b := (*[4]int64)(a[i:])
		v0, v1, v2, v3 := min(b[0], b[1]), max(b[0], b[1]), min(b[2], b[3]), max(b[2], b[3])
		v0, v2 = min(v0, v2), max(v0, v2)
		v1, v3 = min(v1, v3), max(v1, v3)
		v1, v2 = min(v1, v2), max(v1, v2)
		b[0], b[1], b[2], b[3] = v0, v1, v2, v3
	}
}

// half merges two sorted fours and keeps every second of the eight. out may be
// where a begins, or lie before it.
func half(a *[8]int64, out *[4]int64, chance *uint64) {
	v0, v4 := min(a[0], a[4]), max(a[0], a[4])
	v1, v5 := min(a[1], a[5]), max(a[1], a[5])
	v2, v6 := min(a[2], a[6]), max(a[2], a[6])
	v3, v7 := min(a[3], a[7]), max(a[3], a[7])
	v2, v4 = min(v2, v4), max(v2, v4)
	v3, v5 = min(v3, v5), max(v3, v5)
	// Of the pairs (0 1) (2 3) (4 5) (6 7) in order, the lesser or the greater ones.
	if *chance&1 == 0 {
		out[0], out[1], out[2], out[3] = v0, max(v1, v2), max(v3, v4), max(v5, v6)
	} else {
		out[0], out[1], out[2], out[3] = min(v1, v2), min(v3, v4), min(v5, v6), v7
	}
	*chance >>= 1
}
