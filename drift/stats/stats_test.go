package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

// sequence is the same in Python: (state >> 11) / 2**53 of
// state = state*6364136223846793005 + 1442695040888963407.
func sequence(n int, seed uint64) []float64 {
	out := make([]float64, n)
	for i := range out {
		seed = seed*6364136223846793005 + 1442695040888963407
		out[i] = float64(seed>>11) / (1 << 53)
	}
	return out
}

// near is within 1e-9, of large numbers in proportion.
func near(t *testing.T, want any, got float64, what string) {
	t.Helper()
	switch w := want.(type) {
	case string:
		require.Equal(t, "Infinity", w, what)
		require.True(t, math.IsInf(got, 1), what)
	case float64:
		require.InDelta(t, 0, (got-w)/max(1, math.Abs(w)), 1e-9, "%s: want %.17g got %.17g", what, w, got)
	default:
		t.Fatalf("%s: no such number", what)
	}
}

// TestExpected holds what scipy and Evidently say of some samples (their versions stand in
// the file); peers/drift asks them about random ones.
func TestExpected(t *testing.T) {
	b, err := os.ReadFile("testdata/expected.json")
	require.NoError(t, err)
	var x struct {
		Numbers []struct {
			Samples [2][4]float64 // n, seed, times, plus
			Whole   bool
			Want    map[string]any
		}
		Counts []struct {
			Counts [2][]float64
			Want   map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(b, &x))
	for _, c := range x.Numbers {
		var s [2]Sample
		for i, p := range c.Samples {
			v := sequence(int(p[0]), uint64(p[1]))
			for j := range v {
				v[j] = float64(v[j]*p[2]) + p[3]
				if c.Whole {
					v[j] = math.Floor(v[j])
				}
			}
			s[i] = Of(v)
		}
		m, of := Merge(s[0], s[1]), s[0].Moments()
		cells, wide := Cells(s[0], s[1], m.DistinctA, c.Whole), HellingerCells(s[0], s[1], m.Distinct, c.Whole)
		r, u := Shares(cells.A), Shares(cells.B)
		for name, got := range map[string]float64{"ks": m.KS, "ks_p": KSPValue(m.KS, s[0].N(), s[1].N()), "wasserstein": m.Wasserstein, "evidently_wasserstein": Normed(m.Wasserstein, of.Std),
			"mean": of.Mean, "std": of.Std, "q1": s[0].Quantile(0.25), "median": s[0].Quantile(0.5), "q3": s[0].Quantile(0.75),
			"psi": PSI(r, u), "jensen_shannon": JensenShannon(r, u), "kl": KL(r, u), "hellinger": Hellinger(Shares(wide.A), Shares(wide.B))} {
			near(t, c.Want[name], got, name)
		}
	}
	for _, c := range x.Counts {
		ref, cur := c.Counts[0], c.Counts[1]
		chi, g, r, u := ChiSquare(ref, cur), G(ref, cur), Shares(ref), Shares(cur)
		got := map[string]float64{"chi_square": chi.P, "chi_square_stat": chi.Statistic, "g": g.P, "g_stat": g.Statistic, "psi": PSI(r, u),
			"jensen_shannon": JensenShannon(r, u), "kl": KL(r, u), "hellinger": Hellinger(r, u), "linf": LInf(r, u)}
		if len(ref) == 2 {
			got["z"], got["fisher"] = TwoProportions(ref[0], total(ref), cur[0], total(cur)).P, Fisher(ref[0], total(ref), cur[0], total(cur))
		}
		for name, v := range got {
			near(t, c.Want[name], v, name)
		}
	}
}

func TestExactSmirnovAgainstAllWays(t *testing.T) {
	// Every way to mix n and m values, counted.
	for n := 1; n <= 6; n++ {
		for m := 1; m <= 6; m++ {
			count, all := map[int]float64{}, 0.0
			for bits := range 1 << (n + m) {
				x, y, most := 0, 0, 0
				for i := range n + m {
					if bits>>i&1 == 1 {
						x++
					} else {
						y++
					}
					most = max(most, x*m-y*n, y*n-x*m)
				}
				if x == n {
					count[most]++
					all++
				}
			}
			for most := range count {
				far := 0.0
				for k, c := range count {
					if k >= most {
						far += c
					}
				}
				require.InDelta(t, far/all, KSPValue(float64(most)/float64(n*m), float64(n), float64(m)), 1e-12, "%d %d %d", n, m, most)
			}
		}
	}
}

func TestConstants(t *testing.T) {
	five, more, other := Of([]float64{5, 5, 5, 5}), Of(slices.Repeat([]float64{5}, 100)), Of(slices.Repeat([]float64{5.1}, 100))
	m := Merge(five, more)
	require.Equal(t, Merged{DistinctA: 1, DistinctB: 1, Distinct: 1}, m)
	require.Equal(t, 1.0, KSPValue(m.KS, 4, 100))
	require.Zero(t, Normed(m.Wasserstein, five.Moments().Std))
	c := Cells(five, more, 1, false)
	require.Zero(t, PSI(Shares(c.A), Shares(c.B)))
	require.Zero(t, JensenShannon(Shares(c.A), Shares(c.B)))
	require.Equal(t, Bounds{5, 5}, RobustBounds(five))
	require.Zero(t, RobustBounds(five).Beyond(more))
	require.Equal(t, 100.0, RobustBounds(five).Beyond(other))
	m = Merge(five, other)
	require.Equal(t, 1.0, m.KS)
	require.InDelta(t, 0.1, m.Wasserstein, 1e-12)
	require.InDelta(t, 100, Normed(m.Wasserstein, five.Moments().Std), 1e-9)
	// A sum of many equal values has a rounding; they have no spread for that.
	require.Zero(t, Of(slices.Repeat([]float64{0.1}, 12345)).Moments().Std)
	// Whatever comes, no NaN: nothing, the ends of the range, one value.
	require.Zero(t, Merge(Sample{}, five))
	require.Equal(t, 1.0, KSPValue(0, 0, 4))
	huge := Of([]float64{-math.MaxFloat64, math.MaxFloat64, math.MaxFloat64})
	require.False(t, math.IsNaN(Merge(huge, five).Wasserstein) || math.IsNaN(huge.Moments().Std) || math.IsNaN(huge.Moments().Mean), "%+v", huge.Moments())
	require.InDelta(t, 1, huge.Moments().Mean/(math.MaxFloat64/3), 1e-9)
	c = Cells(huge, five, 30, false)
	require.Equal(t, []float64{3, 4}, []float64{total(c.A), total(c.B)})
}

// TestSketches: with a rank error that is declared, the p-value never is smaller than
// that of the columns; and where the shift is far larger than the error, it is found.
func TestSketches(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	for range 40 / times {
		a, b := make([]float64, 20000), make([]float64, 12000)
		shift := []float64{0, 0.05, 0.3}[r.IntN(3)]
		for i := range a {
			a[i] = r.NormFloat64()
		}
		for i := range b {
			b[i] = r.NormFloat64() + shift
		}
		x, y := Of(a), Of(b)
		u, v := thinned(x, 100), thinned(y, 60)
		require.Equal(t, x.N(), u.N())
		exact, sketched := Merge(x, y).KS, Merge(u, v).KS
		require.InDelta(t, exact, sketched, u.RankError+v.RankError+1e-12)
		p := SketchedKS(sketched, u, v)
		require.GreaterOrEqual(t, p, KSPValue(exact, x.N(), y.N()))
		if shift == 0.3 {
			require.Less(t, p, 1e-6)
		}
		require.InDelta(t, x.Quantile(0.3), u.Quantile(0.3), 0.05)
		require.InDelta(t, x.Moments().Mean, u.Moments().Mean, 0.05)
		require.InDelta(t, 1, Merge(x, y).Wasserstein/Merge(u, v).Wasserstein, 1)
	}
}

// thinned keeps every kth value, which stands for k: its ranks are off by k values at most.
func thinned(s Sample, k int) Sample {
	out := Sample{RankError: float64(k) / s.N()}
	for i := k - 1; i < len(s.At); i += k {
		out.At, out.Cum = append(out.At, s.At[i]), append(out.Cum, float64(i+1))
	}
	return out
}

func TestNewCategories(t *testing.T) {
	require.Equal(t, Unseen{P: 1}, NewCategories([]float64{5, 3}, []float64{4, 0}))
	u := NewCategories([]float64{500, 300, 0}, []float64{400, 380, 20})
	require.Equal(t, 1, u.Categories)
	require.InDelta(t, 20./800, u.Share, 1e-15)
	require.Less(t, u.P, 1e-4)
	require.Greater(t, u.P, math.Pow(0.5, 20)/3)
	// A stray row of a rare category is nothing.
	require.Greater(t, NewCategories([]float64{500, 300, 0}, []float64{400, 399, 1}).P, 0.3)
	// By chance alone, the p-value is below alpha in no more than that share: with a long tail of rare categories.
	r := rand.New(rand.NewPCG(testseed.For(t), 2))
	below := 0
	const runs = 2000 / times
	for range runs {
		ref, cur := make([]float64, 400), make([]float64, 400)
		for i := range 900 {
			c := int(math.Pow(400, r.Float64()*1.0001)) % 400
			if i%3 == 0 {
				cur[c]++
			} else {
				ref[c]++
			}
		}
		if NewCategories(ref, cur).P <= 0.05 {
			below++
		}
	}
	require.LessOrEqual(t, float64(below), runs*0.05+3*math.Sqrt(runs*0.05*0.95), "of %d", runs)
}

func TestProportions(t *testing.T) {
	require.Equal(t, 1.0, Proportions(0, 100, 0, 50).P)
	require.Equal(t, 1.0, Proportions(100, 100, 50, 50).P)
	require.Equal(t, 1.0, Proportions(0, 0, 3, 50).P)
	require.InDelta(t, Fisher(0, 1000, 1, 100), Proportions(0, 1000, 1, 100).P, 1e-15)
	require.InDelta(t, 100./1100, Fisher(0, 1000, 1, 100), 1e-12) // the one null falls there by chance
	require.Equal(t, TwoProportions(180, 1000, 340, 1000), Proportions(180, 1000, 340, 1000))
	require.InDelta(t, 0.2003, CohenH(0, 0.01), 1e-4)
	require.Zero(t, CohenH(0.3, 0.3))
}

func TestHomogeneity(t *testing.T) {
	// Rare categories do not make the chi-square test fire: their counts are pooled.
	r := rand.New(rand.NewPCG(testseed.For(t), 3))
	below := 0
	const runs = 3000 / times
	for range runs {
		a, b := make([]float64, 30), make([]float64, 30)
		for i := range 600 {
			c := int(r.ExpFloat64() * 4)
			if c >= 30 {
				c = 29
			}
			if i%3 == 0 {
				b[c]++
			} else {
				a[c]++
			}
		}
		if Homogeneity(a, b).P <= 0.05 {
			below++
		}
	}
	require.InDelta(t, runs*0.05, float64(below), 4*math.Sqrt(runs*0.05*0.95))
	require.Equal(t, untested, Homogeneity([]float64{5}, []float64{9}))
	require.Equal(t, untested, Homogeneity(nil, nil))
	require.Less(t, Homogeneity([]float64{500, 500, 1}, []float64{300, 700, 2}).P, 1e-9)
}

func TestBenjaminiHochberg(t *testing.T) {
	// scipy.stats.false_discovery_control([0.01, 0.5, 0.02, 0.03])
	require.InDeltaSlice(t, []float64{0.04, 0.5, 0.04, 0.04}, BenjaminiHochberg([]float64{0.01, 0.5, 0.02, 0.03}), 1e-15)
	require.Empty(t, BenjaminiHochberg(nil))
}
