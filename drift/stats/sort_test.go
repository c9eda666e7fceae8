package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

func TestSort(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 4))
	shapes := []func() float64{r.NormFloat64, func() float64 { return float64(r.IntN(9) - 4) }, func() float64 { return 1e9 + r.Float64()*1e-3 },
		func() float64 { return math.Float64frombits(r.Uint64() & (1<<40 - 1)) }, func() float64 { return 7 },
		func() float64 { return math.Ldexp(r.NormFloat64(), r.IntN(2000)-1000) }, func() float64 { return math.Copysign(0, r.NormFloat64()) }}
	for _, shape := range shapes {
		for _, n := range []int{0, 1, 10, radixFrom - 1, radixFrom, 20000} {
			v := make([]float64, n)
			for i := range v {
				v[i] = shape()
			}
			want := slices.Clone(v)
			slices.Sort(want)
			Sort(v)
			require.Equal(t, want, v)
		}
	}
}

func BenchmarkSort(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	in, v := make([]float64, 1<<20), make([]float64, 1<<20)
	for i := range in {
		in[i] = r.NormFloat64()
	}
	b.SetBytes(8 << 20)
	for b.Loop() {
		copy(v, in)
		Sort(v)
	}
}

func BenchmarkMerge(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x, y := make([]float64, 1<<20), make([]float64, 100_000)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	for i := range y {
		y[i] = r.NormFloat64()
	}
	s, t := Of(x), Of(y)
	for b.Loop() {
		Merge(s, t)
	}
}

func BenchmarkTail(b *testing.B) {
	for b.Loop() {
		KolmogorovTail(90909, 2/math.Sqrt(90909))
	}
}
