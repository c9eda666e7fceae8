package drift

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/datasketches-go/kll"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/testseed"
)

// Ranks are within the error that a sketch tells, in whatever order the values come;
// merged sketches too, and for the library that others read them with.
func TestQuantilesKeepTheirPromise(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	const n, tries = 60_000, 3
	for _, c := range []struct {
		name  string
		value func(i int) float64
	}{
		{"random", func(int) float64 { return r.NormFloat64() }},
		{"rising", func(i int) float64 { return float64(i) }},
		{"falling", func(i int) float64 { return float64(-i) }},
		{"eights", func(i int) float64 { return float64(i%8)*1e9 + float64(i) }},
		{"few", func(int) float64 { return float64(r.IntN(5)) }},
	} {
		beyond := 0
		for range tries {
			v := make([]float64, n)
			for i := range v {
				v[i] = c.value(i)
			}
			one, merged := NewSketch(Numbers), NewSketch(Numbers)
			one.num.add(v)
			one.Count = n
			for rest := v; len(rest) > 0; {
				k := min(len(rest), 1+r.IntN(20_000))
				part := NewSketch(Numbers)
				part.num.add(rest[:k])
				part.Count = int64(k)
				require.NoError(t, merged.Merge(part))
				rest = rest[k:]
			}
			slices.Sort(v)
			for _, s := range []*Sketch{one, merged} {
				require.InDelta(t, 0.0133, s.RankError(), 1e-4)
				d := s.num.distribution()
				require.Equal(t, float64(n), d.Cum[len(d.Cum)-1])
				e := ks(exact(v...), d)
				require.Less(t, e, 1.5*s.RankError(), c.name)
				if e > s.RankError() {
					beyond++
				}
			}
			b := merged.KLL()
			lib, err := kll.NewKllItemsSketchFromSlice(b, less, serde)
			require.NoError(t, err)
			require.InDelta(t, one.RankError(), lib.GetNormalizedRankError(false), 1e-15)
			for _, at := range []float64{0.01, 0.25, 0.5, 0.99} {
				want, err := lib.GetQuantile(at, true)
				require.NoError(t, err)
				got, ok := merged.Quantile(at)
				require.True(t, ok)
				require.Equal(t, want, got)
			}
		}
		// Told with 99 % confidence; more than two of six come about once in 50,000 runs.
		require.LessOrEqual(t, beyond, 2, c.name)
	}
}

// Sketches that are not full, and those of one value, are read by others as well.
func TestQuantilesForOthers(t *testing.T) {
	for _, n := range []int{1, 2, 7, 200, 201, 256, 700, 5000} {
		v := sequence(n, 9)
		s := NewSketch(Numbers)
		s.num.add(v)
		s.Count = int64(n)
		b := s.KLL()
		require.NoError(t, sketch.CheckKLL(b))
		lib, err := kll.NewKllItemsSketchFromSlice(b, less, serde)
		require.NoError(t, err)
		require.EqualValues(t, n, lib.GetN())
		again, err := lib.ToSlice()
		require.NoError(t, err)
		require.Equal(t, again, b)
		least, err := lib.GetMinItem()
		require.NoError(t, err)
		most, err := lib.GetMaxItem()
		require.NoError(t, err)
		require.Equal(t, [2]float64{slices.Min(v), slices.Max(v)}, [2]float64{least, most})
		require.Equal(t, sketch.ReadKLL(b).Bytes(least, most), b)
	}
}

// Nulls and values that are no numbers are told apart from numbers wherever they
// stand, in columns longer than what is folded at a time and in slices of them.
func TestGatherLongColumns(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	const n = 3*foldRows + 77
	v, valid := make([]float64, n), make([]bool, n)
	for i := range v {
		v[i], valid[i] = float64(i), r.IntN(3) > 0
		if r.IntN(5) == 0 {
			v[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[r.IntN(3)]
		}
	}
	for _, nulls := range []bool{false, true} {
		for range 20 {
			from := r.IntN(n)
			to := from + r.IntN(n-from+1)
			col := floats(v, nil)
			if nulls {
				col = floats(v, valid)
			}
			var f folder
			s := NewSketch(Numbers)
			f.update(s, col, from, to)
			var want [3]int64
			var sum float64
			for i := from; i < to; i++ {
				switch {
				case nulls && !valid[i]:
					want[1]++
				case math.IsNaN(v[i]) || math.IsInf(v[i], 0):
					want[2]++
				default:
					want[0]++
					sum += v[i]
				}
			}
			require.Equal(t, want, [3]int64{s.Count, s.Nulls, s.Odd})
			if m, ok := s.Moments(); ok {
				require.InEpsilon(t, sum+1, m.Mean*float64(s.Count)+1, 1e-9)
			}
		}
	}
}
