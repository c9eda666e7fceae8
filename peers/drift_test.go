//go:build peers

package peers

import (
	"bufio"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift/stats"
	"github.com/weir-ml/weir/internal/testseed"
)

// driftClient is drift/client.py.
type driftClient struct {
	t    testing.TB
	in   *json.Encoder
	out  *bufio.Reader
	errs *tail
}

func startDrift(t testing.TB) *driftClient {
	cmd := exec.Command(pythonOf(t, "drift"), "drift/client.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "DO_NOT_TRACK=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	c := &driftClient{t, json.NewEncoder(in), bufio.NewReaderSize(out, 1<<20), &tail{}}
	cmd.Stderr = c.errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	var version string
	c.answer(&version)
	t.Logf("Evidently %s", version)
	return c
}

func (c *driftClient) ask(q map[string]any, into any) {
	c.t.Helper()
	require.NoError(c.t, c.in.Encode(q))
	c.answer(into)
}

func (c *driftClient) answer(into any) {
	c.t.Helper()
	line, err := c.out.ReadBytes('\n')
	require.NoError(c.t, err, "%s", c.errs)
	var a struct {
		OK    json.RawMessage
		Error string
	}
	require.NoError(c.t, json.Unmarshal(line, &a))
	require.Empty(c.t, a.Error, "%s", c.errs)
	require.NoError(c.t, json.Unmarshal(a.OK, into))
}

// TestScipyAgrees computes every test and distance of random samples with scipy and
// Evidently and with drift/stats: they are the same within 1e-9.
func TestScipyAgrees(t *testing.T) {
	py := startDrift(t)
	compared := 0
	same := func(seed uint64, want map[string]any, got map[string]float64, q any) {
		t.Helper()
		for name, g := range got {
			w, ok := want[name]
			require.True(t, ok, "no %s", name)
			compared++
			if !numberAlike(w, g) {
				text, _ := json.Marshal(q)
				t.Errorf("seed %d, %s: want %v got %.17g\n%.2000s", seed, name, w, g, text)
			}
		}
	}
	for seed := range testseed.Each(t, 400) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		whole := rnd.IntN(3) == 0
		a, b := randomSample(rnd, whole), randomSample(rnd, whole)
		q := map[string]any{"numbers": [][]float64{a, b}, "whole": whole}
		var want map[string]any
		py.ask(q, &want)
		same(seed, want, statsOf(slices.Clone(a), slices.Clone(b), whole), q)

		ref, cur := randomCounts(rnd)
		q = map[string]any{"counts": [][]float64{ref, cur}}
		want = nil
		py.ask(q, &want)
		got := map[string]float64{}
		chi, g := stats.ChiSquare(ref, cur), stats.G(ref, cur)
		got["chi_square"], got["chi_square_stat"], got["g"], got["g_stat"] = chi.P, chi.Statistic, g.P, g.Statistic
		if _, refused := want["evidently_g"].(string); !refused {
			got["evidently_g"] = g.P
		}
		r, c := stats.Shares(ref), stats.Shares(cur)
		got["psi"], got["jensen_shannon"], got["kl"] = stats.PSI(r, c), stats.JensenShannon(r, c), stats.KL(r, c)
		got["hellinger"], got["linf"] = stats.Hellinger(r, c), stats.LInf(r, c)
		if least := slices.Min(ref) + slices.Min(cur); least >= 60 && len(ref) > 1 {
			h := stats.Homogeneity(ref, cur) // without pooling
			if _, ok := want["table"]; ok && sumOf(ref) < 10*sumOf(cur) && sumOf(cur) < 10*sumOf(ref) {
				got["table"], got["table_stat"] = h.P, h.Statistic
			}
		}
		if len(ref) == 2 {
			got["z"], got["fisher"] = stats.TwoProportions(ref[0], sumOf(ref), cur[0], sumOf(cur)).P, stats.Fisher(ref[0], sumOf(ref), cur[0], sumOf(cur))
		}
		same(seed, want, got, q)

		p := make([]float64, 1+rnd.IntN(20))
		for i := range p {
			p[i] = math.Pow(rnd.Float64(), 3)
		}
		var adjusted []float64
		py.ask(map[string]any{"p_values": p}, &adjusted)
		require.InDeltaSlice(t, adjusted, stats.BenjaminiHochberg(p), 1e-12)
	}
	t.Logf("%d numbers are the same", compared)
}

// TestScipyTails compares the distribution by which large samples are judged, where
// each of its formulas serves and where they meet.
func TestScipyTails(t *testing.T) {
	py := startDrift(t)
	rnd := rand.New(rand.NewPCG(testseed.For(t), 10))
	var q [][2]float64
	for range 1000 {
		n := math.Round(math.Pow(10, rnd.Float64()*5.3)) + 1
		z := rnd.Float64() * 6
		if rnd.IntN(4) == 0 {
			z = rnd.Float64() * 1.8
		}
		q = append(q, [2]float64{n, min(1, z/math.Sqrt(n))})
	}
	var want []float64
	py.ask(map[string]any{"tails": q}, &want)
	for i, x := range q {
		require.InDelta(t, want[i], stats.KolmogorovTail(int(x[0]), x[1]), 1e-9, "n %v x %.17g", x[0], x[1])
	}
}

func statsOf(a, b []float64, whole bool) map[string]float64 {
	ref, cur := stats.Of(a), stats.Of(b)
	m, of := stats.Merge(ref, cur), ref.Moments()
	cells, wide := stats.Cells(ref, cur, m.DistinctA, whole), stats.HellingerCells(ref, cur, m.Distinct, whole)
	r, c := stats.Shares(cells.A), stats.Shares(cells.B)
	p := stats.KSPValue(m.KS, ref.N(), cur.N())
	return map[string]float64{"ks": m.KS, "ks_p": p, "evidently_ks": p, "wasserstein": m.Wasserstein, "evidently_wasserstein": stats.Normed(m.Wasserstein, of.Std),
		"mean": of.Mean, "std": of.Std, "q1": ref.Quantile(0.25), "median": ref.Quantile(0.5), "q3": ref.Quantile(0.75),
		"psi": stats.PSI(r, c), "jensen_shannon": stats.JensenShannon(r, c), "kl": stats.KL(r, c), "hellinger": stats.Hellinger(stats.Shares(wide.A), stats.Shares(wide.B))}
}

// numberAlike compares within 1e-9, of large numbers in proportion.
func numberAlike(want any, got float64) bool {
	switch w := want.(type) {
	case float64:
		// A distance of equal shares is a root of what rounding leaves: within the root of it.
		return w == got || math.Abs(w-got) <= 1e-9*max(1, math.Abs(w)) || w < 1e-7 && got < 1e-7
	case string:
		return w == "Infinity" && math.IsInf(got, 1) || w == "NaN" && math.IsNaN(got)
	case nil:
		return math.IsNaN(got) || math.IsInf(got, 0)
	}
	return false
}

func sumOf(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum
}

func randomSample(rnd *rand.Rand, whole bool) []float64 {
	n := 1 + rnd.IntN([]int{3, 60, 1200, 3000}[rnd.IntN(4)])
	if rnd.IntN(40) == 0 {
		n = 10001 + rnd.IntN(3000) // as many as take the approximation
	}
	out := make([]float64, n)
	at, wide := rnd.NormFloat64()*[]float64{0, 0.1, 5}[rnd.IntN(3)], math.Pow(10, rnd.Float64()*4-2)
	shape := rnd.IntN(5)
	for i := range out {
		switch shape {
		case 0:
			out[i] = at // a constant
		case 1:
			out[i] = math.Round((at + rnd.NormFloat64()*wide) * 2) // ties
		case 2:
			out[i] = math.Exp(rnd.NormFloat64() * 2)
		default:
			out[i] = at + rnd.NormFloat64()*wide
		}
		if whole {
			out[i] = math.Round(out[i] * 3)
		}
	}
	return out
}

func randomCounts(rnd *rand.Rand) (ref, cur []float64) {
	n := 2 + rnd.IntN(12)
	if rnd.IntN(4) == 0 {
		n = 2
	}
	most := []int{4, 100, 3000}[rnd.IntN(3)]
	for range n {
		r, c := float64(rnd.IntN(most)), float64(rnd.IntN(most))
		if r+c == 0 {
			r = 1 // a category that neither has is none
		}
		ref, cur = append(ref, r), append(cur, c)
	}
	ref[0]++
	cur[0]++
	if rnd.IntN(3) == 0 { // as many in both, which Evidently's g_test asks for
		if d := sumOf(ref) - sumOf(cur); d > 0 {
			cur[0] += d
		} else {
			ref[0] -= d
		}
	}
	return ref, cur
}
