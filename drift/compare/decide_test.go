package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// numbersOf and textsOf make columns without a file.
func numbersOf(n int, value func() float64) *column {
	c := newColumn(feature.Float64)
	for range n {
		c.float(value())
	}
	c.rows = int64(n)
	return c
}

func textsOf(n int, value func() string) *column {
	c := newColumn(feature.String)
	for range n {
		if s := value(); s == "" {
			c.nulls++
		} else {
			c.text(s)
		}
	}
	c.rows = int64(n)
	return c
}

// judged compares columns by the default method.
func judged(ref, cur []*column) *Report {
	o := Options{}.withDefaults()
	w, r := worker{o: &o}, &Report{}
	for i := range ref {
		r.Columns = append(r.Columns, w.compareColumn(fmt.Sprint("c", i), ref[i], cur[i]))
	}
	r.decide(&o)
	return r
}

// TestFalseAlarms: with nothing drifted, a comparison of three columns finds something
// in no more than alpha of all windows, large and small ones: by both conditions together, and
// by significance alone.
func TestFalseAlarms(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	names := []string{"a", "b", "c", "d", "e", "f", "g", ""}
	category := func() string { return names[min(7, int(r.ExpFloat64()*2))] }
	rare := func() string { return fmt.Sprint(int(math.Exp(r.ExpFloat64() * 1.5))) } // a long tail: unseen ones come in any window
	const windows = 1000 / min(times, 4)
	most := windows*DefaultAlpha + 3*math.Sqrt(windows*DefaultAlpha*(1-DefaultAlpha))
	for _, c := range []struct{ ref, rows int }{{1000, 100}, {500, 500}, {5000, 5000}} {
		alarms, significant := 0, 0
		for i := range windows {
			text := category
			if i%2 == 0 {
				text = rare
			}
			mostly := c.rows / 5 // a column of fewer values, to be quick where rows are many
			a := []*column{numbersOf(c.ref, r.NormFloat64), numbersOf(c.ref/5, func() float64 { return math.Floor(r.ExpFloat64() * 8) }), textsOf(c.ref/5, text)}
			b := []*column{numbersOf(c.rows, r.NormFloat64), numbersOf(mostly, func() float64 { return math.Floor(r.ExpFloat64() * 8) }), textsOf(mostly, text)}
			v := judged(a, b)
			if v.Drift {
				alarms++
			}
			for _, x := range v.Columns {
				if plain(x.Score) <= DefaultAlpha || plain(x.Tests.NullsAdjusted) <= DefaultAlpha || plain(x.Tests.UnseenAdjusted) <= DefaultAlpha {
					significant++
					break
				}
			}
		}
		t.Logf("%d rows: %d alarms, %d significant, of %d windows", c.rows, alarms, significant, windows)
		require.LessOrEqual(t, float64(alarms), most, "%d rows", c.rows)
		require.LessOrEqual(t, float64(significant), most, "%d rows", c.rows)
	}
}

// TestPower: a shift of a tenth of a standard deviation at 5,000 rows is significant.
func TestPower(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 2))
	const windows = 200 / min(times, 4)
	found, drifted := 0, 0
	for range windows {
		a := numbersOf(20000, r.NormFloat64)
		v := judged([]*column{a}, []*column{numbersOf(5000, func() float64 { return r.NormFloat64() + 0.1 })})
		if plain(v.Columns[0].Score) <= DefaultAlpha {
			found++
		}
		v = judged([]*column{a}, []*column{numbersOf(1000, func() float64 { return r.NormFloat64() + 0.3 })})
		if v.Drift {
			drifted++
		}
	}
	t.Logf("of %d: %d significant, %d drifted at 0.3", windows, found, drifted)
	require.GreaterOrEqual(t, found, windows*95/100)
	require.GreaterOrEqual(t, drifted, windows*95/100)
}

func TestConstantReference(t *testing.T) {
	constant := func(v float64) func() float64 { return func() float64 { return v } }
	for name, c := range map[string]struct {
		ref, cur func() float64
		drift    bool
	}{
		"the same":          {constant(1000), constant(1000), false},
		"rounding":          {constant(0.3), constant(0.1 + 0.2), false},
		"another":           {constant(1000), constant(1001), true},
		"zero":              {constant(0), constant(0), false},
		"zero, then little": {constant(0), constant(1e-12), true},
	} {
		v := judged([]*column{numbersOf(500, c.ref)}, []*column{numbersOf(400, c.cur)})
		require.Equal(t, c.drift, v.Drift, name)
		require.LessOrEqual(t, float64(v.Columns[0].Effect.Value), 1.0, name)
	}
	// One value of a hundred is another: not enough to call it moved.
	i := 0
	v := judged([]*column{numbersOf(500, constant(7))}, []*column{numbersOf(500, func() float64 {
		if i++; i%100 == 0 {
			return 1e9
		}
		return 7
	})})
	require.False(t, v.Drift)
	require.InDelta(t, 0.01, float64(v.Columns[0].Effect.Value), 1e-12)
}

func TestNullsAndNewCategories(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 3))
	some := func(nulls, other float64) func() string {
		return func() string {
			switch f := r.Float64(); {
			case f < nulls:
				return ""
			case f < nulls+other:
				return "other"
			}
			return []string{"x", "y"}[r.IntN(2)]
		}
	}
	v := judged([]*column{textsOf(4000, some(0, 0)), textsOf(4000, some(0.02, 0)), textsOf(4000, some(0.18, 0))},
		[]*column{textsOf(3000, some(0.03, 0)), textsOf(3000, some(0.02, 0.04)), textsOf(3000, some(0.34, 0))})
	require.Equal(t, []string{"nulls"}, v.Columns[0].Reasons)
	require.Contains(t, v.Columns[1].Reasons, "new_categories")
	require.Equal(t, []string{"other"}, v.Columns[1].Tests.NewCategories.Top)
	require.Equal(t, []string{"nulls"}, v.Columns[2].Reasons)
	require.Regexp(t, `^missing \d+ % → \d+ %$`, v.Columns[2].Found())
	// A column that has become empty is one of nulls alone.
	v = judged([]*column{numbersOf(300, r.NormFloat64)}, []*column{{typ: feature.Float64, kind: Numbers, rows: 200, nulls: 200}})
	require.Equal(t, []string{"nulls"}, v.Columns[0].Reasons)
	require.Equal(t, "no values", v.Columns[0].Untested)
}

// TestInfinities: what is no number is counted, and takes part in nothing.
func TestInfinities(t *testing.T) {
	ref := numbersOf(100, func() float64 { return 1 })
	cur := newColumn(feature.Float64)
	for _, x := range []float64{1, math.Inf(1), 1, math.NaN(), math.Inf(-1), 1} {
		cur.float(x)
	}
	cur.rows = 6
	c := judged([]*column{ref}, []*column{cur}).Columns[0]
	require.Equal(t, Side{Type: "float64", Values: 3, NaN: 1, Infinite: 2, Distinct: 1, Mean: num(1), Std: num(0), Min: num(1), Median: num(1), Max: num(1)}, c.Current)
	require.Zero(t, c.Tests.KS.Statistic)
	require.InDelta(t, 1./6, float64(c.Tests.Nulls.Current), 1e-12)
}

// TestNothingButNaN: of a file of one batch, however long, that has no number at all.
func TestNothingButNaN(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(16 << 20)) // one that is deeper by row ends the process
	v := make([]float64, 1<<20)
	for i := range v {
		v[i] = math.NaN()
	}
	v[7], v[8], v[len(v)-1] = 1, 2, 3
	c := newColumn(feature.Float64)
	c.floats(v)
	require.Equal(t, []float64{1, 2, 3}, c.numbers)
	require.EqualValues(t, len(v)-3, c.nan)
	c.floats([]float64{4, math.Inf(1), 5})
	require.Equal(t, []float64{1, 2, 3, 4, 5}, c.numbers)
	require.EqualValues(t, 1, c.infinite)
}
