package sketch

import (
	"fmt"
	"math"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func TestDistinct(t *testing.T) {
	for _, n := range []int{0, 1, 40, 2000, 50_000} {
		var one, a, b Distinct
		for i := range n {
			for range 2 {
				one.AddNumbers([]float64{float64(i)})
			}
			part := &a
			if i%3 == 0 {
				part = &b
			}
			part.Add(NumberHash(float64(i)))
		}
		require.InDelta(t, n, one.Estimate(), 1.5*DistinctError*float64(n), "told with 99 %% confidence; the hashes are always the same")
		a.Merge(&b)
		require.Equal(t, one, a)
		stored := one.AppendBinary(nil)
		require.Len(t, stored, DistinctBytes)
		back, err := ReadDistinct(stored)
		require.NoError(t, err)
		require.Equal(t, one, *back)
	}
	require.Equal(t, NumberHash(0), NumberHash(math.Copysign(0, -1)))
	bad := make([]byte, DistinctBytes)
	bad[9] = 63
	_, err := ReadDistinct(bad)
	require.Error(t, err)
	_, err = ReadDistinct(bad[1:])
	require.Error(t, err)
}

func TestValuesWithinBounds(t *testing.T) {
	v := NewValues(Frequent, true).Within(100, 2000)
	require.Zero(t, v.Of(1))
	require.False(t, v.Count(1, 5))
	total := 0
	for i := range 3000 {
		text := fmt.Sprint("value ", i)
		n := 1
		if i < 10 {
			n = 500
		}
		total += n
		if v.Whole() && v.Len() < 100 {
			require.Equal(t, len(v.texts)+len(text)+1 <= 2000, v.Fits(len(text)))
		}
		v.Add(xxhash.Sum64String(text), text, int64(n))
	}
	v.TrimTexts(300)
	require.LessOrEqual(t, v.TextBytes(), 300)
	require.LessOrEqual(t, len(v.AppendTexts(nil)), 300)
	for i := range 10 {
		hash := xxhash.Sum64String(fmt.Sprint("value ", i))
		require.LessOrEqual(t, v.Of(hash), int64(500))
		require.GreaterOrEqual(t, v.Of(hash)+v.Off(), int64(500))
	}
	require.Less(t, v.Off(), int64(500))
	other := NewValues(Frequent, true).Within(100, 2000)
	for i := range 95 {
		text := fmt.Sprint(i)
		other.Add(xxhash.Sum64String(text), text, 1)
	}
	require.False(t, v.FitsAll(other))
	require.True(t, other.FitsAll(other), "what is there already takes no room")
	v.TrimTexts(0)
	require.Zero(t, v.Len())
}
