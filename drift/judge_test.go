package drift

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func judged(features ...feature.Field) *feature.Monitor {
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}, Features: features}
	return &feature.Monitor{Meta: feature.Meta{Project: "p", Name: "m"}, View: "v", ViewOf: v, Window: feature.Window{Size: "1h"}}
}

func profileOf(cols map[string]any) *Profile {
	p := &Profile{}
	var f folder
	for name, c := range cols {
		switch c := c.(type) {
		case []float64:
			f.update(p.at(name, Numbers), floats(c, nil), 0, len(c))
			p.Rows = int64(len(c))
		case []string:
			f.update(p.at(name, Categories), texts1(c, nil), 0, len(c))
			p.Rows = int64(len(c))
		}
	}
	return p
}

func normal(r *rand.Rand, n int, mean, sd float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = mean + sd*r.NormFloat64()
	}
	return v
}

func draw(r *rand.Rand, n int, weights ...float64) []string {
	v := make([]string, n)
	for i := range v {
		x := r.Float64()
		k := 0
		for k < len(weights)-1 && x >= weights[k] {
			x -= weights[k]
			k++
		}
		v[i] = fmt.Sprintf("c%d", k)
	}
	return v
}

// Windows from the reference's own distribution are not drift; windows half a
// standard deviation away are.
func TestFalseAlarmsAndPower(t *testing.T) {
	const seed = 20260102
	r := rand.New(rand.NewPCG(seed, 1))
	num := []feature.Field{{Name: "a", Type: feature.Float64}, {Name: "b", Type: feature.Float64}, {Name: "c", Type: feature.String}, {Name: "d", Type: feature.Bool}}
	m := judged(num...)
	bools := func(n int) []string {
		v := draw(r, n, 0.9, 0.1)
		return v
	}
	window := func(n int, shift float64) *Profile {
		skewed := normal(r, n, shift, 1)
		for i := range skewed {
			skewed[i] = math.Exp(skewed[i])
		}
		return profileOf(map[string]any{"a": normal(r, n, 10+2*shift, 2), "b": skewed, "c": draw(r, n, .3, .2, .15, .1, .1, .05, .05, .05), "d": bools(n)})
	}
	ref := window(20000, 0)
	for _, n := range []int{500, 5000} {
		runs := 300
		if testing.Short() {
			runs = 60
		}
		alarms, significant := 0, 0
		for range runs {
			v := Judge(m, ref, window(n, 0))
			if v.Outcome == Drifted {
				alarms++
			}
			for _, f := range v.Features {
				if *f.PValue <= v.Alpha {
					significant++
				}
			}
		}
		t.Logf("%d null windows of %d rows, 4 features: %d alarms, %d significant features", runs, n, alarms, significant)
		require.Zero(t, alarms)
		// Bonferroni at 0.01; the sketches' error makes KS stricter. Chi-square takes the reference
		// as exact, which costs a little where the window is not small beside it.
		require.LessOrEqual(t, significant, runs/20)
	}
	// Half a standard deviation is a PSI of 0.25, a little above the threshold:
	// a feature alone misses it now and then, never for want of significance.
	const runs = 100
	found, each := 0, [4]int{}
	for range runs {
		v := Judge(m, ref, window(1000, 0.5))
		if v.Outcome == Drifted {
			found++
		}
		for i, f := range v.Features {
			if f.Drifted() {
				each[i]++
			}
			if i < 2 {
				require.LessOrEqual(t, *f.PValue, v.Alpha)
			}
		}
	}
	t.Logf("%d windows of 1000 rows, two features shifted by half a standard deviation: %d found, by feature %v", runs, found, each)
	require.GreaterOrEqual(t, found, 95)
	require.GreaterOrEqual(t, min(each[0], each[1]), 80)
	require.Equal(t, [2]int{}, [2]int(each[2:]))
}

func TestJudgeCategories(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	m := judged(feature.Field{Name: "c", Type: feature.String})
	ref := profileOf(map[string]any{"c": draw(r, 10000, .6, .3, .1)})
	v := Judge(m, ref, profileOf(map[string]any{"c": draw(r, 1000, .4, .3, .3)}))
	require.Equal(t, Drifted, v.Outcome)
	require.Equal(t, "chi_square", v.Features[0].Test)
	require.Greater(t, *v.Features[0].JS, 0.1)
	require.Equal(t, []string{"c"}, v.DriftedFeatures())
	// A category that the reference has never seen.
	v = Judge(m, ref, profileOf(map[string]any{"c": draw(r, 1000, .5, .2, .1, .2)}))
	require.Equal(t, Drifted, v.Outcome)

	// Beyond the cap: identifiers as categories, other ones each time, are one cell.
	many := func(from int) []string {
		v := draw(r, 6000, .5, .5)
		for i := 0; i < len(v); i += 2 {
			v[i] = fmt.Sprint("id", from+i)
		}
		return v
	}
	v = Judge(m, profileOf(map[string]any{"c": many(0)}), profileOf(map[string]any{"c": many(100000)}))
	require.Equal(t, Steady, v.Outcome)
}

func TestConstantReferenceDoesNotExplode(t *testing.T) {
	m := judged(feature.Field{Name: "x", Type: feature.Float64}, feature.Field{Name: "y", Type: feature.String})
	constant := func(n int, v float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = v
		}
		return out
	}
	ref := profileOf(map[string]any{"x": constant(5000, 7), "y": draw(rand.New(rand.NewPCG(1, 1)), 5000, 1)})
	for _, c := range []struct {
		x    []float64
		want Outcome
	}{
		{constant(1000, 7), Steady},
		{append(constant(999, 7), 7.0001), Steady},
		{constant(1000, 7.0001), Drifted},
		{constant(1000, 6.9999), Drifted},
		{constant(1000, -math.MaxFloat64), Drifted},
	} {
		v := Judge(m, ref, profileOf(map[string]any{"x": c.x, "y": draw(rand.New(rand.NewPCG(1, 1)), 1000, 1)}))
		require.Equal(t, c.want, v.Outcome)
		for _, f := range v.Features {
			for _, x := range []*float64{f.Statistic, f.PValue, f.PSI, f.JS} {
				require.False(t, x != nil && (math.IsNaN(*x) || math.IsInf(*x, 0)), f.Name)
			}
		}
		require.Less(t, *v.Features[0].PSI, 50.0)
		require.Equal(t, Steady, v.Features[1].Outcome)
	}
	// Huge values: the moments overflow, nothing else does.
	huge := profileOf(map[string]any{"x": append(constant(500, math.MaxFloat64), constant(500, -math.MaxFloat64)...)})
	require.Equal(t, Drifted, Judge(m, ref, huge).Outcome)
}

func TestJudgeOutcomes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	m := judged(feature.Field{Name: "a", Type: feature.Float64}, feature.Field{Name: "b", Type: feature.Float64}, feature.Field{Name: "t", Type: feature.Timestamp},
		feature.Field{Name: "s", Type: feature.String}, feature.Field{Name: "q", Type: feature.Int64})
	ref := profileOf(map[string]any{"a": normal(r, 1000, 0, 1), "v__b": normal(r, 1000, 0, 1), "t": normal(r, 10, 0, 1), "s": normal(r, 1000, 0, 1)})
	ref.at("t", NullsOnly)
	*ref.Sketch("t") = Sketch{Shape: NullsOnly, Count: 10}
	v := Judge(m, ref, profileOf(map[string]any{"a": normal(r, 199, 0, 1), "b": normal(r, 200, 0, 1)}))
	got := map[string]Outcome{}
	for _, f := range v.Features {
		got[f.Name] = f.Outcome
	}
	require.Equal(t, map[string]Outcome{"a": Insufficient, "b": Steady, "t": CountedOnly, "s": NoReference, "q": NoReference}, got)
	require.Equal(t, Steady, v.Outcome)
	require.Equal(t, 0.01/4, v.Alpha)

	m.Features = []string{"a"}
	v = Judge(m, ref, &Profile{})
	require.Len(t, v.Features, 1)
	require.Equal(t, Insufficient, v.Outcome)
	require.Equal(t, 0.01, v.Alpha)
	require.Equal(t, Insufficient, Judge(m, &Profile{}, &Profile{}).Outcome)
}
