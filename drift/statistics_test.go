package drift

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/weir-ml/weir/internal/testseed"
)

// The literals of this file were printed with %.17g by scipy 1.17.1 (numpy
// beside it); the call that made each stands with it.

func exact(v ...float64) distribution {
	x := numbers{raw: slices.Clone(v)}
	return x.distribution()
}

func near(t *testing.T, want, got float64, what ...any) {
	t.Helper()
	require.InDelta(t, 1, (got+1e-320)/(want+1e-320), 1e-9, append([]any{"want %.17g got %.17g", want, got}, what...)...)
}

func TestKolmogorov(t *testing.T) {
	// scipy.stats.kstwobign.sf(x)
	for _, c := range [][2]float64{
		{0.2, 0.99999999999949496}, {0.5, 0.96394524366487511}, {0.8, 0.54414241157419807}, {1, 0.26999967167735456},
		{1.17, 0.12939004218561884}, {1.18, 0.12345380942976571}, {1.2, 0.11224966667072497}, {1.5, 0.022217962616525127},
		{2, 0.00067092525577969533}, {3, 3.0459959489425258e-08}, {5, 3.8574996959278356e-22},
	} {
		near(t, c[1], kolmogorov(c[0]))
	}
	require.Equal(t, 1.0, kolmogorov(0))
	require.Zero(t, kolmogorov(1e6))
}

// sequence is numpy's side of the same generator: (state >> 11) / 2**53 of
// state = state*6364136223846793005 + 1442695040888963407.
func sequence(n int, seed uint64) []float64 {
	out := make([]float64, n)
	for i := range out {
		seed = seed*6364136223846793005 + 1442695040888963407
		out[i] = float64(seed>>11) / (1 << 53)
	}
	return out
}

func TestKS(t *testing.T) {
	// scipy.stats.ks_2samp(a, b).statistic
	require.InDelta(t, 0.3295454545454546, ks(exact(1, 2, 2, 3, 3, 3, 7, 8, 9, 10, 11), exact(2, 2, 2, 3, 4, 5, 5, 12)), 1e-15)
	u, v := sequence(3000, 1), sequence(2000, 2)
	for i := range v {
		v[i] = math.Pow(v[i], 1.1)
	}
	// r = scipy.stats.ks_2samp(u, v); scipy.stats.kstwobign.sf(sqrt(3000*2000/5000) * r.statistic)
	d := ks(exact(u...), exact(v...))
	near(t, 0.062666666666666662, d)
	near(t, 0.00016135244501300867, ksPValue(d, 0, 3000, 2000))
	require.Greater(t, ksPValue(d, 0.02, 3000, 2000), 0.01)
	require.Equal(t, 1.0, ksPValue(d, 1, 3000, 2000))
}

func TestKSAgainstGonum(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		a, b := make([]float64, 1+r.IntN(60)), make([]float64, 1+r.IntN(60))
		for i := range a {
			a[i] = float64(r.IntN(20)) // ties
		}
		for i := range b {
			b[i] = r.NormFloat64()*5 + 8
			if r.IntN(2) == 0 {
				b[i] = math.Round(b[i])
			}
		}
		slices.Sort(a)
		slices.Sort(b)
		require.InDelta(t, stat.KolmogorovSmirnov(a, nil, b, nil), ks(exact(a...), exact(b...)), 1e-12)
	}
}

func TestUpperGamma(t *testing.T) {
	// scipy.stats.chi2.sf(x, k)
	for _, c := range [][3]float64{
		{1, 0.5, 0.47950012218695337}, {1, 3.84, 0.050043521248705189}, {2, 9.21, 0.01000170200470548},
		{7, 1, 0.99482853651651548}, {7, 14.07, 0.049950250317479475}, {50, 40, 0.84322737817376225},
		{50, 90, 0.00044924622058603554}, {999, 1000, 0.48513148927490146}, {999, 1200, 1.112935044825893e-05},
		{3, 200, 4.2185411071920179e-43}, {1, 1400, 2.1010145162644003e-306},
	} {
		near(t, c[2], upperGamma(c[0]/2, c[1]/2), "k, x = ", c)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		k := 1 + float64(r.IntN(1000))
		x := k * (0.3 + 1.5*r.Float64())
		require.InDelta(t, distuv.ChiSquared{K: k}.Survival(x), upperGamma(k/2, x/2), 1e-10)
	}
	require.Zero(t, upperGamma(1, 1e9))
}

func TestChiSquare(t *testing.T) {
	for _, c := range []struct {
		ref, cur []float64
		stat, p  float64
	}{
		// scipy.stats.chisquare(cur, ref * sum(cur) / sum(ref))
		{[]float64{500, 300, 200}, []float64{90, 60, 50}, 3.5, 0.17377394345044511},
		{[]float64{5000, 3000, 1800, 150, 50}, []float64{480, 320, 170, 20, 10}, 9.3555555555555561, 0.052801384981466956},
		// scipy.stats.chisquare([480,310,170,20,20], [500,300,170,24,6]): the last two cells are pooled
		{[]float64{5000, 3000, 1700, 240, 30, 30}, []float64{480, 310, 170, 20, 15, 5}, 34.466666666666661, 5.9775676539339163e-07},
	} {
		s, p := chiSquare(c.ref, c.cur)
		near(t, c.stat, s)
		near(t, c.p, p)
	}
	// A category the reference has never seen: a few are noise, many are not.
	_, p := chiSquare([]float64{1000, 0}, []float64{997, 3})
	require.Greater(t, p, 0.5)
	_, p = chiSquare([]float64{1000, 0}, []float64{900, 100})
	require.Less(t, p, 1e-9)
	s, p := chiSquare([]float64{1000}, []float64{50})
	require.Equal(t, []float64{0, 1}, []float64{s, p})
}

func TestDistances(t *testing.T) {
	// scipy.spatial.distance.jensenshannon(p, q)
	near(t, 0.079794726229217017, jensenShannon([]float64{.5, .3, .2}, []float64{.4, .4, .2}))
	near(t, 0.83255461115769769, jensenShannon([]float64{1, 0}, []float64{0, 1}))
	near(t, 0.46450140402245899, jensenShannon([]float64{.5, .5, 0}, []float64{.25, .25, .5}))
	require.Zero(t, jensenShannon([]float64{.5, .5}, []float64{.5, .5}))
	// sum((r - c) * numpy.log(r / c)), zeros replaced by hand: none, by 1e-4, by min/1e6
	near(t, 0.17715567619105352, psi([]float64{.1, .2, .7}, []float64{.2, .3, .5}))
	near(t, 4.6043184666689498, psi([]float64{.5, .5, 0}, []float64{.25, .25, .5}))
	near(t, 14.681411859697818, psi([]float64{5e-5, 1 - 5e-5, 0}, []float64{.25, .25, .5}))
}

func TestQuantileBins(t *testing.T) {
	ten := make([]float64, 1000)
	for i := range ten {
		ten[i] = float64(i)
	}
	d := exact(ten...)
	cuts := quantileBins(d)
	require.Equal(t, []float64{99, 199, 299, 399, 499, 599, 699, 799, 899}, cuts)
	for _, s := range d.shares(cuts) {
		require.InDelta(t, 0.1, s, 1e-12)
	}
	constant := exact(7, 7, 7, 7)
	cuts = quantileBins(constant)
	require.Equal(t, []float64{0, 1, 0}, constant.shares(cuts))
	require.Equal(t, []float64{0.25, 0.5, 0.25}, exact(6.9, 7, 7, 7.1).shares(cuts))
}
