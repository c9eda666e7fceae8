package drift

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift/stats"
)

func exact(v ...float64) distribution {
	x := numbers{raw: slices.Clone(v)}
	return x.distribution()
}

func ks(a, b distribution) float64 {
	return stats.Merge(stats.Sample{At: a.At, Cum: a.Cum}, stats.Sample{At: b.At, Cum: b.Cum}).KS
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
