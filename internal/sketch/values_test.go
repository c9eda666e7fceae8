package sketch

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/datasketches-go/common"
	"github.com/apache/datasketches-go/frequencies"
	"github.com/apache/datasketches-go/hll"
	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

func TestMixIsUndone(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	for _, x := range []uint64{0, 1, math.MaxUint64, 1 << 63, r.Uint64(), r.Uint64(), r.Uint64()} {
		require.Equal(t, x, Unmix(Mix(x)))
	}
}

// Estimates keep their promise, are the same in any order, and other tools read the same bytes.
func TestHLL(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	beyond := 0
	for _, n := range []int{0, 1, 10, 1000, 5000, 20_000, 100_000, 1_000_000} {
		from := r.Uint64()
		one, a, b := &HLL{}, &HLL{}, &HLL{}
		for i := range n {
			h := Mix(from + uint64(i))
			one.Add(h)
			if r.IntN(2) == 0 {
				a.Add(h)
			} else {
				b.Add(h)
			}
			one.Add(h)
		}
		b.Merge(a)
		require.Equal(t, one, b)
		off := math.Abs(one.Estimate()-float64(n)) / max(1, float64(n))
		require.Less(t, off, 1.6*HLLError, "%d", n)
		if off > HLLError {
			beyond++
		}
		lib, err := hll.NewHllSketchFromSlice(one.Datasketch(), true)
		require.NoError(t, err)
		est, err := lib.GetCompositeEstimate()
		require.NoError(t, err)
		require.InDelta(t, float64(n), est, 1.6*HLLError*float64(n)+1e-9)
		again, rest, err := ReadHLL(append(one.AppendBinary(nil), 7))
		require.NoError(t, err)
		require.Equal(t, []byte{7}, rest)
		require.Equal(t, one, again)
	}
	require.LessOrEqual(t, beyond, 1) // told with 99 % confidence
	_, _, err := ReadHLL(bytes.Repeat([]byte{hllMax + 1}, hllK))
	require.Error(t, err)
}

// A sample is the same in whatever order and parts values come, its counts are exact, and it is bounded.
func TestSampleInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	for _, texted := range []bool{false, true} {
		for _, n := range []int{0, 1, 100, mostValues, mostValues + 1, 4000, 30_000} {
			var all []string
			count := map[string]int64{}
			long := r.IntN(400)
			for range n {
				s := fmt.Sprint("value ", r.IntN(n))
				if r.IntN(10) == 0 {
					s += fmt.Sprintf("%*d", long, 1)
				}
				all = append(all, s)
				count[s]++
			}
			encode := func() []byte {
				r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				parts := make([]*Values, 1+r.IntN(4))
				for i := range parts {
					parts[i] = NewValues(Sample, texted)
				}
				for _, s := range all {
					parts[r.IntN(len(parts))].Add(xxhash.Sum64String(s), s, 1)
				}
				for _, p := range parts[1:] {
					parts[0].Merge(p)
				}
				v := parts[0]
				require.LessOrEqual(t, v.Size(), int64(56<<10))
				b := v.AppendBinary(nil)
				again, rest, err := ReadValues(b)
				require.NoError(t, err)
				require.Empty(t, rest)
				require.Equal(t, b, again.AppendBinary(nil))
				require.Equal(t, v.Whole(), again.Whole())
				return b
			}
			b := encode()
			require.Equal(t, b, encode())
			v, _, err := ReadValues(b)
			require.NoError(t, err)
			require.Equal(t, v.Whole(), v.Len() == len(count))
			byHash := map[uint64]string{}
			for s := range count {
				byHash[xxhash.Sum64String(s)] = s
			}
			v.Each(func(hash uint64, text []byte, n int64) {
				s := byHash[hash]
				require.Equal(t, count[s], n)
				if texted {
					require.Equal(t, Label(s), string(text))
				}
			})
			if !v.Whole() {
				require.InDelta(t, float64(len(count)), float64(v.Len())/v.Share(), 0.15*float64(len(count)))
			}
		}
	}
}

// A frequent value is there, its count off by no more than is told; others read it, too.
func TestFrequent(t *testing.T) {
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	for _, n := range []int{0, 500, 100_000} {
		parts := []*Values{NewValues(Frequent, true), NewValues(Frequent, true), NewValues(Frequent, true)}
		count := map[string]int64{}
		for range n {
			s := fmt.Sprint("v", int(math.Exp(r.Float64()*11)))
			count[s]++
			parts[r.IntN(3)].Add(xxhash.Sum64String(s), s, 1)
		}
		v := parts[0]
		v.Merge(parts[1])
		v.Merge(parts[2])
		b := v.AppendBinary(nil)
		v, _, err := ReadValues(b)
		require.NoError(t, err)
		require.Equal(t, b, v.AppendBinary(nil))
		require.LessOrEqual(t, v.Size(), int64(56<<10))
		require.Equal(t, n < 100_000, v.Whole())
		require.LessOrEqual(t, v.Off(), int64(n)/(mostValues/2))
		got := map[string]int64{}
		v.Each(func(_ uint64, text []byte, n int64) { got[string(text)] = n })
		for s, want := range count {
			require.LessOrEqual(t, got[s], want)
			require.LessOrEqual(t, want, got[s]+v.Off())
		}
		lib, err := frequencies.NewFrequencyItemsSketchFromSlice[string](v.Frequencies(int64(n), func(_ uint64, text []byte) string { return string(text) }), common.ItemSketchStringHasher{}, common.ItemSketchStringSerDe{})
		require.NoError(t, err)
		require.EqualValues(t, n, lib.GetStreamLength())
		require.Equal(t, v.Len(), lib.GetNumActiveItems())
		require.Equal(t, v.Off(), lib.GetMaximumError())
		for s, n := range got {
			low, err := lib.GetLowerBound(s)
			require.NoError(t, err)
			require.Equal(t, n, low)
		}
	}
}

// FuzzReadValues: whatever is read is bounded and stored the same way again.
func FuzzReadValues(f *testing.F) {
	for _, p := range []Policy{Sample, Frequent} {
		for _, n := range []int{0, 3, 2000} {
			v := NewValues(p, n != 3)
			for i := range n {
				v.Add(Mix(uint64(i)), fmt.Sprint(i), int64(i%3+1))
			}
			f.Add(v.AppendBinary(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := ReadValues(b)
		if err != nil {
			return
		}
		if got := v.AppendBinary(nil); !v.Whole() && v.off < 0 || len(got) > len(b)-len(rest) {
			t.Fatalf("%x is stored as %x", b[:len(b)-len(rest)], got)
		}
		v.Merge(v)
		v.Add(5, "five", 1)
	})
}
