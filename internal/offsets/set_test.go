package offsets_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/internal/testseed"
)

// TestSet compares sets, sparse and dense and in any order, with a map.
func TestSet(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	fill := func(n int, upto int64) (*offsets.Set, map[int64]bool) {
		s, m := &offsets.Set{}, map[int64]bool{}
		for range n {
			o := r.Int64N(upto)
			require.Equal(t, !m[o], s.Add(o))
			m[o] = true
		}
		return s, m
	}
	for _, c := range []struct {
		n    int
		upto int64
	}{{0, 1}, {5, 10}, {300, 200_000}, {4000, 70_000}, {60_000, 3 * offsets.Bucket}, {100, 1 << 60}} {
		s, m := fill(c.n, c.upto)
		o, om := fill(c.n, c.upto)
		var want, both []int64
		for x := range m {
			want = append(want, x)
			if om[x] {
				both = append(both, x)
			}
		}
		slices.Sort(want)
		slices.Sort(both)
		require.EqualValues(t, len(want), s.Len())
		require.Equal(t, want, slices.Collect(s.All()))
		require.Equal(t, both, slices.Collect(s.Both(o)))
		for range 1000 {
			x := r.Int64N(c.upto)
			require.Equal(t, m[x], s.Has(x))
		}
		for range s.All() {
			break // stopping early is fine
		}
		for range 500 { // also what is not there
			x := r.Int64N(c.upto)
			require.Equal(t, m[x], s.Remove(x))
			delete(m, x)
			require.False(t, s.Has(x))
		}
		require.EqualValues(t, len(m), s.Len())
		var bits offsets.Bits
		for _, n := range append(s.Buckets(), 77) {
			s.Read(n, &bits)
			for i := range bits.All() {
				require.True(t, m[n*offsets.Bucket+i])
				delete(m, n*offsets.Bucket+i)
			}
		}
		require.Empty(t, m)
	}
}
