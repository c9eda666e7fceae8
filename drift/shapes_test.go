package drift

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/testseed"
)

// longLabel is one of many that begin alike; some are longer than what is kept.
func longLabel(i int) string {
	return fmt.Sprintf("https://shop.example.com/catalog/%05d/%s", i, strings.Repeat("x", i%120))
}

// Whatever the values are, what is stored of a feature and a window is at most 8 KiB, is
// read again as it was, and tells how many different values there were.
func TestStoredWithinEightKiB(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	zipf := rand.NewZipf(r, 1.2, 1, 1<<20)
	const rows = 60_000
	for _, c := range []struct {
		name   string
		number func(i int) float64
		text   func(i int) string
	}{
		{name: "random numbers", number: func(int) float64 { return r.NormFloat64() }},
		{name: "rising numbers", number: func(i int) float64 { return float64(i) }},
		{name: "ten numbers", number: func(int) float64 { return float64(r.IntN(10)) }},
		{name: "three labels", text: func(int) string { return fmt.Sprint(r.IntN(3)) }},
		{name: "500 short labels", text: func(int) string { return fmt.Sprint(r.IntN(500)) }},
		{name: "1,000 long labels", text: func(int) string { return longLabel(r.IntN(1000)) }},
		{name: "many long labels, some often", text: func(int) string { return longLabel(int(zipf.Uint64())) }},
		{name: "all different", text: func(i int) string { return fmt.Sprint("id-", i) }},
		{name: "one label, often", text: func(int) string { return longLabel(7) }},
	} {
		s, same := NewSketch(Numbers), map[any]int64{}
		for i := range rows {
			if c.number != nil {
				v := c.number(i)
				s.num.add([]float64{v})
				same[v]++
			} else {
				s.Shape = Categories
				v := c.text(i)
				s.cat.add(v, 1)
				same[v]++
			}
		}
		s.Count = rows
		b, err := s.MarshalBinary()
		require.NoError(t, err)
		require.LessOrEqual(t, len(b), 8<<10, c.name)
		back := round(t, s)
		n, within, ok := back.Distinct()
		require.True(t, ok, c.name)
		// Told with 99 % confidence; half as much again comes about once in 10,000 runs.
		require.InDelta(t, len(same), n, 1.5*within*float64(len(same)), c.name)
		require.Equal(t, len(same) <= 500 && s.Shape == Categories, within == 0, c.name)
		listed := int64(0)
		top, other := back.Categories()
		for _, x := range top {
			if want, ok := same[x.Value]; ok {
				require.LessOrEqual(t, x.Count, want, c.name)
				require.GreaterOrEqual(t, x.Count+back.CategoryError(), want, c.name)
			}
			listed += x.Count
		}
		for v, want := range same {
			if text, ok := v.(string); ok {
				require.LessOrEqual(t, want, back.cat.of(text)+back.CategoryError(), "%s: %s", c.name, text)
			}
		}
		if s.Shape == Categories {
			require.EqualValues(t, rows, listed+other, c.name)
		}
		t.Logf("%s: %d bytes, %d listed within %d, %.0f of %d different", c.name, len(b), len(top), back.CategoryError(), n, len(same))
	}
}

// Counts beyond what a window ever has fit as well.
func TestStoredCountsOfAnySize(t *testing.T) {
	s := NewSketch(Categories)
	for i := range 3000 {
		s.cat.add(longLabel(i), 1<<50)
		s.Count += 1 << 50
	}
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	require.LessOrEqual(t, len(b), 8<<10)
	round(t, s)
}

// Sketches merge in any order, stored or not in between, and windows are compared by the same
// numbers: those of one that has seen all rows.
func TestCategoriesMergeInAnyOrder(t *testing.T) {
	for seed := range testseed.Each(t, 30) {
		r := rand.New(rand.NewPCG(seed, 2))
		kinds := []int{5, 480, 520, 700, 5000}[r.IntN(5)]
		one := NewSketch(Categories)
		parts := make([]*Sketch, 1+r.IntN(6))
		for i := range parts {
			parts[i] = NewSketch(Categories)
		}
		for range 3000 {
			v := fmt.Sprint("k", r.IntN(kinds))
			if kinds == 700 {
				v = longLabel(r.IntN(kinds))
			}
			for _, s := range []*Sketch{one, parts[r.IntN(len(parts))]} {
				s.cat.add(v, 1)
				s.Count++
			}
		}
		for len(parts) > 1 {
			i := 1 + r.IntN(len(parts)-1)
			a, b := parts[0], parts[i]
			if r.IntN(2) == 0 {
				b = round(t, b)
			}
			require.NoError(t, a.Merge(b))
			parts = slices.Delete(parts, i, i+1)
			r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		}
		merged := round(t, parts[0])
		require.Equal(t, one.Count, merged.Count)
		x, y := cells(one, merged)
		require.Equal(t, x, y, "seed %d", seed)
		n, within, _ := one.Distinct()
		m, alike, _ := merged.Distinct()
		require.Equal(t, []float64{n, within}, []float64{m, alike}, "seed %d", seed)
		require.Equal(t, one.cat.groups(), merged.cat.groups())
	}
}

// A sketch of few categories is compared with one of many by the groups of both.
func TestCellsOfFewAndMany(t *testing.T) {
	few, many := NewSketch(Categories), NewSketch(Categories)
	for i := range 4000 {
		few.cat.add(fmt.Sprint(i%4), 1)
		many.cat.add(fmt.Sprint(i), 1)
	}
	few.Count, many.Count = 4000, 4000
	a, b := cells(few, many)
	sum := [2]float64{}
	used := 0
	for i := range a {
		sum[0], sum[1] = sum[0]+a[i], sum[1]+b[i]
		if a[i] > 0 {
			used++
		}
	}
	require.Equal(t, [2]float64{4000, 4000}, sum)
	require.Equal(t, buckets, len(a))
	require.LessOrEqual(t, used, 4)
}

// A value that looks like the label of a long one counts as that: it is read so too.
func TestLabelsAreTheirValues(t *testing.T) {
	long := strings.Repeat("ab", 50)
	var c categories
	c.add(long, 2)
	c.add(label(long), 1)
	c.add("…#xxxxxxxxxxxxxxxx", 1)
	require.Equal(t, []Category{{label(long), 3}, {"…#xxxxxxxxxxxxxxxx", 1}}, c.sorted())
	require.EqualValues(t, 3, c.of(long))
}

// What the first version has stored is read, and merges with what this one has seen.
func TestFirstFormat(t *testing.T) {
	b, err := os.ReadFile("testdata/profile-1.bin")
	require.NoError(t, err)
	p, err := DecodeProfile(b)
	require.NoError(t, err)
	require.EqualValues(t, 5000, p.Rows)
	know := map[string][2]float64{} // how many different values, and whether that is known
	for _, f := range p.Features {
		n, _, ok := f.Distinct()
		if know[f.Name] = [2]float64{n, 0}; ok {
			know[f.Name] = [2]float64{n, 1}
		}
	}
	require.InDelta(t, 1000, know["thousand"][0], 60, "1,000 are more than are counted one by one now")
	delete(know, "thousand")
	require.Equal(t, map[string][2]float64{"few": {3, 1}, "many": {}, "some": {20, 1}, "most": {}, "none": {}}, know)
	mid, ok := p.Sketch("many").Quantile(0.5)
	require.True(t, ok)
	require.InDelta(t, 0.5, mid, 0.03)
	require.Nil(t, p.Sketch("many").HLL())
	require.Nil(t, p.Sketch("most").HLL())
	top, other := p.Sketch("most").Categories()
	require.EqualValues(t, 103, p.Sketch("most").CategoryError(), "100 rows beyond the first 1,000 values, and 3 of each that is in no list")
	sum := other
	for _, c := range top {
		sum += c.Count
	}
	require.EqualValues(t, 3000, sum)
	x, y := cells(p.Sketch("some"), p.Sketch("some"))
	require.Len(t, x, 20)
	require.Equal(t, x, y)
	x, _ = cells(p.Sketch("most"), p.Sketch("some"))
	require.Len(t, x, 1, "what old rows were is not known")

	second, err := p.MarshalBinary()
	require.NoError(t, err)
	again, err := DecodeProfile(second)
	require.NoError(t, err)
	third, err := again.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, second, third)
	p.Merge(again)
	require.EqualValues(t, 6000, p.Sketch("most").Count)
	_, _, ok = p.Sketch("many").Distinct()
	require.False(t, ok, "it saw rows that nobody told apart")
}

// Other tools read what a sketch gives them; reading changes nothing.
func TestSketchesForOthersLeaveThemExact(t *testing.T) {
	s := NewSketch(Numbers)
	s.num.add([]float64{2, 1, 2, 0, math.Copysign(0, -1)})
	s.Count = 5
	require.NotEmpty(t, s.KLL())
	require.Len(t, s.HLL(), 40+2048)
	require.Nil(t, s.FrequentItems())
	n, within, ok := s.Distinct()
	require.True(t, ok)
	require.Equal(t, [2]float64{3, 0}, [2]float64{n, within})
	require.Zero(t, s.RankError())
	require.NoError(t, sketch.CheckKLL(s.KLL()))
}
