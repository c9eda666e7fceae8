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

// someWindow has two features of numbers and two of categories, a few nulls and a heavy tail among them.
func someWindow(r *rand.Rand, n int, shift float64) *Profile {
	skewed := normal(r, n, shift, 1)
	for i := range skewed {
		skewed[i] = math.Exp(skewed[i])
	}
	p := profileOf(map[string]any{"a": normal(r, n, 10+2*shift, 2), "b": skewed, "c": draw(r, n, .3, .2, .15, .1, .1, .05, .05, .05), "d": draw(r, n, 0.9, 0.1)})
	for range n {
		if r.IntN(50) == 0 {
			p.Sketch("a").Nulls++
		}
	}
	return p
}

func someMonitor() *feature.Monitor {
	return judged(feature.Field{Name: "a", Type: feature.Float64}, feature.Field{Name: "b", Type: feature.Float64},
		feature.Field{Name: "c", Type: feature.String}, feature.Field{Name: "d", Type: feature.Bool})
}

// A window that has not drifted fires at the stated rate or less, whatever its size: 1,000 windows each,
// within three standard deviations; by significance alone as well, before any effect is looked at.
func TestFalseAlarms(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): a thousand windows of each size")
	}
	r := rand.New(rand.NewPCG(20260102, 1))
	m := someMonitor()
	m.MinCount = 50
	ref := NewBaseline(someWindow(r, 20000, 0))
	const windows = 1000
	alpha := m.WithDefaults().Alpha
	most := windows*alpha + 3*math.Sqrt(windows*alpha*(1-alpha))
	for _, n := range []int{100, 500, 5000} {
		alarms, significant := 0, 0
		for range windows {
			v := Judge(m, ref, someWindow(r, n, 0))
			if v.Outcome == Drifted {
				alarms++
			}
			least := 1.0
			for _, f := range v.Features {
				for _, c := range f.Checks {
					least = min(least, c.Adjusted)
				}
			}
			if least <= alpha {
				significant++
			}
		}
		t.Logf("%d windows of %d rows: %d alarms, %d significant, at most %.1f", windows, n, alarms, significant, most)
		require.LessOrEqual(t, float64(significant), most)
		require.LessOrEqual(t, float64(alarms), most)
	}
}

// A quarter of a standard deviation at 5,000 rows is found from sketches, in the features that have it.
func TestPower(t *testing.T) {
	r := rand.New(rand.NewPCG(20260102, 2))
	m := someMonitor()
	ref := NewBaseline(someWindow(r, 20000, 0))
	const windows = 60
	each := [4]int{}
	for range windows {
		for i, f := range Judge(m, ref, someWindow(r, 5000, 0.25)).Features {
			if f.Drifted() {
				each[i]++
			}
		}
	}
	t.Logf("%d windows of 5000 rows, two features moved by a quarter of a standard deviation: found %v", windows, each)
	require.GreaterOrEqual(t, min(each[0], each[1]), windows*95/100)
	require.LessOrEqual(t, each[2]+each[3], 2)
}

// What is missing, new or extreme is found where the distribution of the rest stays as it is.
func TestJudgeOtherThanDistribution(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	m := someMonitor()
	m.ViewOf.Features = append(m.ViewOf.Features, feature.Field{Name: "at", Type: feature.Timestamp})
	whole := someWindow(r, 20000, 0)
	whole.at("at", NullsOnly).Count = 20000
	ref := NewBaseline(whole)
	window := func(change func(p *Profile)) *Verdict {
		p := someWindow(r, 2000, 0)
		p.at("at", NullsOnly).Count = 2000
		change(p)
		return Judge(m, ref, p)
	}
	reasons := func(v *Verdict, name string) []string {
		require.Equal(t, []string{name}, v.DriftedFeatures())
		for i := range v.Features {
			if v.Features[i].Name == name {
				return v.Features[i].Reasons()
			}
		}
		return nil
	}
	require.Equal(t, Steady, window(func(*Profile) {}).Outcome)
	require.Equal(t, []string{"nulls"}, reasons(window(func(p *Profile) { p.Sketch("b").Nulls = 100 }), "b"))
	require.Equal(t, []string{"nulls"}, reasons(window(func(p *Profile) { p.Sketch("at").Nulls, p.Sketch("at").Count = 2000, 0 }), "at"))
	require.Equal(t, []string{"new_categories"}, reasons(window(func(p *Profile) {
		p.Sketch("d").cat.add("new", 30)
		p.Sketch("d").Count += 30
	}), "d"))
	// So many that the error of both sketches, taken off their share, leaves enough; the distribution may notice them too.
	m.Tests = []string{feature.TestNulls, feature.TestNewCategories, feature.TestOutliers}
	require.Equal(t, []string{"outliers"}, reasons(window(func(p *Profile) {
		var f folder
		far := make([]float64, 130)
		for i := range far {
			far[i] = 25 + float64(i)/100
		}
		f.update(p.Sketch("a"), floats(far, nil), 0, len(far))
	}), "a"))
	m.Tests = nil
	// Everything is gone: there is nothing to compare, and that is found.
	v := window(func(p *Profile) { *p.Sketch("a") = Sketch{Shape: Numbers, Nulls: 2000} })
	require.Equal(t, []string{"nulls"}, reasons(v, "a"))

	m.Tests = []string{feature.TestDistribution}
	require.Equal(t, Steady, window(func(p *Profile) { p.Sketch("b").Nulls = 100 }).Outcome)
	m.Tests, m.PSI = nil, 0.2
	v = window(func(*Profile) {})
	require.Equal(t, "psi", v.Features[0].Checks[0].Effect)
	require.GreaterOrEqual(t, v.Features[0].Checks[0].Threshold, 0.2)
}

// A reference whose hours differ makes hours that differ no drift, and a baseline is stored with that.
func TestChunksOfTheReference(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	m := judged(feature.Field{Name: "a", Type: feature.Float64})
	hour := func(k int) *Profile {
		return profileOf(map[string]any{"a": normal(r, 500, math.Sin(float64(k)/24*2*math.Pi), 1)})
	}
	whole, chunks := &Profile{}, []*Profile{}
	for k := range 24 {
		p := hour(k)
		chunks = append(chunks, p)
		whole.Merge(p)
	}
	text, err := NewBaseline(whole, chunks...).MarshalBinary()
	require.NoError(t, err)
	ref, err := DecodeBaseline(text)
	require.NoError(t, err)
	plain, err := whole.MarshalBinary()
	require.NoError(t, err)
	before, err := DecodeBaseline(plain) // as it was stored before there were chunks
	require.NoError(t, err)
	alarms := 0
	for k := range 24 {
		require.Equal(t, Steady, Judge(m, ref, hour(k)).Outcome, k)
		if Judge(m, before, hour(k)).Outcome == Drifted {
			alarms++
		}
	}
	require.Greater(t, alarms, 12)
	require.Equal(t, Drifted, Judge(m, ref, profileOf(map[string]any{"a": normal(r, 500, 4, 1)})).Outcome)
	_, err = DecodeBaseline(text[:len(text)-1])
	require.Error(t, err)
}

func TestJudgeCategories(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	m := judged(feature.Field{Name: "c", Type: feature.String})
	ref := profileOf(map[string]any{"c": draw(r, 10000, .6, .3, .1)})
	v := Judge(m, NewBaseline(ref), profileOf(map[string]any{"c": draw(r, 1000, .4, .3, .3)}))
	require.Equal(t, Drifted, v.Outcome)
	require.Equal(t, "chi_square", v.Features[0].Test)
	require.Greater(t, *v.Features[0].JS, 0.1)
	require.Equal(t, []string{"c"}, v.DriftedFeatures())
	// A category that the reference has never seen.
	v = Judge(m, NewBaseline(ref), profileOf(map[string]any{"c": draw(r, 1000, .5, .2, .1, .2)}))
	require.Equal(t, Drifted, v.Outcome)

	// Beyond the cap: identifiers as categories, other ones each time, are one cell.
	many := func(from int) []string {
		v := draw(r, 6000, .5, .5)
		for i := 0; i < len(v); i += 2 {
			v[i] = fmt.Sprint("id", from+i)
		}
		return v
	}
	v = Judge(m, NewBaseline(profileOf(map[string]any{"c": many(0)})), profileOf(map[string]any{"c": many(100000)}))
	require.Equal(t, Steady, v.Outcome)
}

// TestJudgeLInf: skew as the largest change of a share, which the Jensen-Shannon distance takes for small.
func TestJudgeLInf(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	ref := NewBaseline(profileOf(map[string]any{"c": draw(r, 20000, .6, .3, .1)}))
	moved, same := profileOf(map[string]any{"c": draw(r, 5000, .52, .38, .1)}), profileOf(map[string]any{"c": draw(r, 5000, .6, .3, .1)})
	for _, c := range []struct {
		js, linf    float64
		moved, same Outcome
	}{{0, 0, Steady, Steady}, {0, .05, Drifted, Steady}, {0, .2, Steady, Steady}, {.03, 0, Drifted, Steady}, {0, 1e-9, Drifted, Steady}} {
		m := judged(feature.Field{Name: "c", Type: feature.String})
		m.JS, m.LInf = c.js, c.linf
		v := Judge(m, ref, moved)
		require.Equal(t, c.moved, v.Outcome, "%+v", c)
		require.Equal(t, c.same, Judge(m, ref, same).Outcome, "%+v", c)
		require.InDelta(t, .08, *v.Features[0].LInf, .02)
		if c.linf > 0 {
			require.Equal(t, "l_infinity", v.Features[0].Checks[0].Effect)
			require.GreaterOrEqual(t, v.Features[0].Checks[0].Threshold, c.linf)
		}
	}
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
		v := Judge(m, NewBaseline(ref), profileOf(map[string]any{"x": c.x, "y": draw(rand.New(rand.NewPCG(1, 1)), 1000, 1)}))
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
	require.Equal(t, Drifted, Judge(m, NewBaseline(ref), huge).Outcome)
}

func TestJudgeOutcomes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	m := judged(feature.Field{Name: "a", Type: feature.Float64}, feature.Field{Name: "b", Type: feature.Float64}, feature.Field{Name: "t", Type: feature.Timestamp},
		feature.Field{Name: "s", Type: feature.String}, feature.Field{Name: "q", Type: feature.Int64})
	ref := profileOf(map[string]any{"a": normal(r, 1000, 0, 1), "v__b": normal(r, 1000, 0, 1), "t": normal(r, 10, 0, 1), "s": normal(r, 1000, 0, 1)})
	ref.at("t", NullsOnly)
	*ref.Sketch("t") = Sketch{Shape: NullsOnly, Count: 10}
	v := Judge(m, NewBaseline(ref), profileOf(map[string]any{"a": normal(r, 199, 0, 1), "b": normal(r, 200, 0, 1)}))
	got := map[string]Outcome{}
	for _, f := range v.Features {
		got[f.Name] = f.Outcome
	}
	require.Equal(t, map[string]Outcome{"a": Insufficient, "b": Steady, "t": CountedOnly, "s": NoReference, "q": NoReference}, got)
	require.Equal(t, Steady, v.Outcome)
	require.Equal(t, 0.01, v.Alpha, "one feature is tested")

	m.Features = []string{"a"}
	v = Judge(m, NewBaseline(ref), &Profile{})
	require.Len(t, v.Features, 1)
	require.Equal(t, Insufficient, v.Outcome)
	require.Equal(t, 0.01, v.Alpha)
	require.Equal(t, Insufficient, Judge(m, NewBaseline(&Profile{}), &Profile{}).Outcome)
}
