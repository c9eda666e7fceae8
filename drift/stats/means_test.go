package stats

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The numbers are scipy's (1.17); peers/drift compares random ones.
func TestWorseIsOneSided(t *testing.T) {
	same := func(want, got float64) {
		t.Helper()
		require.InEpsilon(t, want, got, 1e-8)
	}
	same(0.04577584991528775, Greater(Mean{500, 1, 2}, Mean{300, 1.2, 3}).P)
	same(0.045695633032999686, Greater(Mean{50000, .31, .9}, Mean{200, .55, 4}).P)
	same(0.999098237559703, Greater(Mean{20, 1, .5}, Mean{5, .2, .1}).P)
	same(2.506412606701359e-99, Greater(Mean{1000, 3, 1}, Mean{1000, 4, 1}).P)
	same(0.023202269943611534, GreaterThan(Mean{300, 1.2, 3}, 1).P)
	same(0.259259259259259, GreaterThan(Mean{5, 2, .1}, 1.9).P)
	same(0.15865537491690979, GreaterThan(Mean{1e6, .5, 1}, .499).P)

	same(0.13124791928069612, Fewer(5, 1000, 0, 500).P)
	same(6.590051419284671e-07, Fewer(998, 1000, 190, 200).P)
	same(0.42857142857142855, Fewer(1, 3, 0, 4).P)
	same(1.38809134835974e-18, Fewer(7, 9, 0, 2000).P)
	require.InDelta(t, 0.06828165604250282, Fewer(39500, 50000, 770, 1000).P, 0.01, "z is close to the exact test where there are many")
	same(1-Fewer(770, 1000, 39500, 50000).P, Fewer(39500, 50000, 770, 1000).P)

	same(0.0982101902889013, FewerThan(150, 200, .79).P)
	same(0.5279143988435933, FewerThan(158, 200, .79).P)
	same(0.028247524900000005, FewerThan(0, 10, .3).P)
	same(0.18135117052136443, FewerThan(199, 200, .999).P)
	same(0.00017927615384966586, FewerThan(770000, 1000000, .7715).P)
	same(1, FewerThan(7, 7, .5).P)
}

// What says nothing has a p-value of 1, and what cannot be by chance has 0.
func TestWorseAtTheEdges(t *testing.T) {
	for name, got := range map[string]Test{
		"no values":       Greater(Mean{}, Mean{300, 1, 1}),
		"one value":       GreaterThan(Mean{1, 5, 0}, 1),
		"equal constants": Greater(Mean{9, 2, 0}, Mean{9, 2, 0}),
		"less":            GreaterThan(Mean{9, 1, 0}, 2),
		"overflow":        Greater(Mean{9, 1, math.Inf(1)}, Mean{9, 2, 1}),
		"nothing":         Fewer(0, 0, 0, 9),
		"all in both":     Fewer(9, 9, 5, 5),
		"none in both":    Fewer(0, 9, 0, 5),
		"no rows":         FewerThan(0, 0, .5),
		"all":             FewerThan(5, 5, 1),
	} {
		require.Equal(t, 1.0, got.P, name)
	}
	require.Zero(t, Greater(Mean{9, 2, 0}, Mean{9, 3, 0}).P)
	require.Zero(t, FewerThan(4, 5, 1).P)
}
