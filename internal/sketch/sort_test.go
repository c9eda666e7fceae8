package sketch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

// Numbers of any kind and count are sorted as slices.Sort does it.
func TestSortNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	kinds := []func() float64{
		r.NormFloat64,
		func() float64 { return float64(r.IntN(5)) },
		func() float64 { return math.Float64frombits(r.Uint64() &^ (1 << 62)) },
		func() float64 { return math.Copysign(0, r.Float64()-0.5) },
		func() float64 {
			return []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1, -1}[r.IntN(5)]
		},
	}
	for n := range sortedAtOnce + 20 {
		for _, kind := range kinds {
			v := make([]float64, n)
			for i := range v {
				v[i] = kind()
			}
			want := slices.Clone(v)
			slices.Sort(want)
			sortNumbers(v)
			require.Equal(t, want, v)
		}
	}
}

func BenchmarkSortNumbers(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]float64, 1<<16)
	for i := range all {
		all[i] = r.NormFloat64()
	}
	v := make([]float64, BlockValues)
	for _, s := range []struct {
		name string
		sort func([]float64)
	}{{"slices", slices.Sort[[]float64]}, {"numbers", sortNumbers}} {
		b.Run(s.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				copy(v, all[i*BlockValues%len(all):])
				s.sort(v)
			}
		})
	}
}
