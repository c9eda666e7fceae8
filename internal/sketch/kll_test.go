package sketch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

// A condensed block is some of its values in order, standing for all of them, and
// no rank is off on average.
func TestCondense(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for rounds := 1; rounds <= blockRounds; rounds++ {
		var block [BlockValues]float64
		for i := range block {
			block[i] = []float64{r.NormFloat64(), -r.ExpFloat64() * 1e300, float64(r.IntN(4) - 2), math.Copysign(0, -1), math.SmallestNonzeroFloat64}[r.IntN(5)]
		}
		sorted := slices.Sorted(slices.Values(block[:]))
		const tries = 1000
		var off, square [BlockValues]float64
		for range tries {
			var memory [BlockValues / 2]float64
			kept := condense(&block, rounds, &memory)
			require.Len(t, kept, BlockValues>>rounds)
			require.True(t, slices.IsSorted(kept))
			at := 0
			for _, v := range kept { // each is a value of its own
				for at < len(sorted) && sorted[at] != v {
					at++
				}
				require.Less(t, at, len(sorted), "%v is not in the block, or not so often", v)
				at++
			}
			for i, v := range sorted {
				want, _ := slices.BinarySearchFunc(sorted, v, upTo)
				got, _ := slices.BinarySearchFunc(kept, v, upTo)
				d := float64(got<<rounds - want)
				off[i] += d
				square[i] += d * d
			}
		}
		for i := range sorted {
			// Six standard errors: less than once in a million runs.
			require.LessOrEqual(t, math.Abs(off[i]), 6*math.Sqrt(square[i])+1e-9, "rank of %v after %d rounds", sorted[i], rounds)
		}
	}
}

func upTo(a, v float64) int {
	if a <= v {
		return -1
	}
	return 1
}

// However many values come, all items fit, and the weights add up to the values.
func TestKLLIsBounded(t *testing.T) {
	q := NewKLL()
	r := rand.New(rand.NewPCG(testseed.For(t), 2))
	for range 2000 {
		var block [BlockValues]float64
		for i := range block {
			block[i] = r.NormFloat64()
		}
		q.AddBlock(&block)
		q.AddFew(block[:r.IntN(7)])
		require.LessOrEqual(t, q.items, q.room)
	}
	d := q.Distribution()
	require.Equal(t, float64(q.N()), d.Cum[len(d.Cum)-1])
	require.Less(t, q.items*8, 8<<10)
	require.Less(t, q.Size(), int64(20<<10), "levels have room for what they held at their fullest")
	size := len(q.Bytes(0, 0))
	require.Less(t, size, 6<<10)
	require.Less(t, q.Size(), int64(size+2<<10), "and none when it is stored")
	require.InDelta(t, 0, d.Quantile(0.5), 0.05)
	require.InDelta(t, 0.5, d.Share(0), 0.02)
}
