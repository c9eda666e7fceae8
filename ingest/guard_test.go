package ingest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func guardOf(limit float64, n int64) *guard {
	return newGuard(&feature.View{Quality: &feature.Quality{MaxRejectRate: limit, RejectEvents: n}})
}

// TestGuard: whatever the batches are, the guard stops at the event that a plain
// count over the last n stops at, and takes nothing of its batch.
func TestGuard(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 1 + r.Int64N(150)
		g := guardOf(r.Float64()*0.9+0.01, n)
		var all []bool
		share := r.Float64()
		for {
			batch := make([]bool, 1+r.IntN(60))
			for i := range batch {
				batch[i] = r.Float64() < share*0.8
			}
			want := true
			for i := range batch {
				last := append(append([]bool{}, all...), batch[:i+1]...)
				bad := 0
				for _, b := range last[max(0, len(last)-int(n)):] {
					if b {
						bad++
					}
				}
				want = want && float64(bad) <= g.limit*float64(n)+1e-9
			}
			ok := g.pass(batch, func() map[string]int64 { return nil }, 5)
			require.Equal(t, want, ok, "seed %d", seed)
			if !ok {
				require.True(t, g.isPaused())
				require.True(t, g.crossed())
				require.False(t, g.crossed())
				// Judged again by one that has forgotten, it stops again.
				again := guardOf(g.limit, n)
				again.seed(5)
				ok = again.pass(batch, func() map[string]int64 { return nil }, 9)
				require.False(t, ok, "seed %d", seed)
				require.EqualValues(t, 5, again.since, "the pause is the old one")
				break
			}
			all = append(all, batch...)
			if len(all) > 3000 {
				break
			}
		}
	}
}

// TestGuardForgets: the next pause is one of its own, once nothing is left of the last.
func TestGuardForgets(t *testing.T) {
	none := func() map[string]int64 { return nil }
	g := guardOf(0.1, 100)
	g.seed(3)
	require.False(t, g.calm())
	require.True(t, g.pass(make([]bool, 100), none, 4))
	require.True(t, g.calm())
	g.forget()
	require.True(t, g.pass(slices.Repeat([]bool{true}, 10), none, 7))
	require.False(t, g.pass([]bool{true}, none, 8))
	require.EqualValues(t, 8, g.since)

	require.Nil(t, guardOf(0, 100))
	require.EqualValues(t, 200, guardOf(0.2, 0).most)
}
