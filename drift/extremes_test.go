package drift

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestVerdictsOfExtremes: whatever the numbers are, a verdict and a baseline are fit for JSON. One that is not could never be
// stored: the window would be judged again and again, and those after it never.
func TestVerdictsOfExtremes(t *testing.T) {
	extremes := []float64{0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64, 1e308, -1e308, 5e-324, -5e-324, 1, -1, 1e154, -1e160, 1 + 1e-15, 1e300, math.Inf(1), math.NaN()}
	r := rand.New(rand.NewPCG(testseed.For(t), 1))
	for range 200 {
		few := make([]float64, 1+r.IntN(3))
		for i := range few {
			few[i] = extremes[r.IntN(len(extremes))]
		}
		profile := func(n int) *Profile {
			v := make([]float64, n)
			for i := range v {
				switch r.IntN(6) {
				case 0:
					v[i] = r.NormFloat64()
				case 1:
					v[i] = extremes[r.IntN(len(extremes))]
				default:
					v[i] = few[r.IntN(len(few))]
				}
			}
			return profileOf(map[string]any{"x": v})
		}
		whole, chunks := profile([]int{1, 100, 6000}[r.IntN(3)]), make([]*Profile, r.IntN(16))
		for i := range chunks {
			chunks[i] = profile(50 + r.IntN(500))
			whole.Merge(chunks[i])
		}
		b, err := NewBaseline(whole, chunks...).MarshalBinary()
		require.NoError(t, err)
		ref, err := DecodeBaseline(b)
		require.NoError(t, err)
		m := &feature.Monitor{ViewOf: &feature.View{Features: []feature.Field{{Name: "x", Type: feature.Float64}}}, MinCount: 1, Alpha: 0.5, Distance: 1e-9}
		if r.IntN(2) == 0 {
			m.Distance, m.PSI = 0, 0.1
		}
		_, err = json.Marshal(Judge(m, ref, profile([]int{1, 3, 300}[r.IntN(3)])))
		require.NoError(t, err)
	}
}
