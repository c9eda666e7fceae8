package serving

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// An answer of which the caller gets nothing is neither counted as one nor logged.
func TestDiscardedAnswer(t *testing.T) {
	f, sink, g := logging(t, LogConfig{Topic: "t", Sample: 1, Buffer: 1000})
	ask := func() *Answer {
		a, err := f.lookups.Ask(t.Context(), &Question{Service: "churn", Entities: func(keys []feature.Field) ([]feature.Vector, int, error) {
			v := feature.Vector{Type: keys[0].Type}
			v.Reset(keys[0].Type, 2)
			v.Valid[0], v.Valid[1] = true, true
			return []feature.Vector{v}, 2, nil
		}})
		require.NoError(t, err)
		return a
	}
	a := ask()
	a.Discard(feature.Errorf(feature.Unavailable, "lookup", "", "the store did not answer"))
	a.Release() // as a deferred one does
	require.Equal(t, 1.0, f.metric(`weir_lookups_refused_total{reason="unavailable"}`))
	require.Zero(t, f.metric(`weir_lookups_in_flight{}`))
	b := ask()
	b.Release()
	b.Discard(nil)
	require.Zero(t, f.metric(`weir_lookups_in_flight{}`))
	require.Equal(t, 1.0, f.metric(`weir_lookups_refused_total{reason="unavailable"}`))
	require.NoError(t, g.Close(t.Context()))
	require.Len(t, sink.all(), 2, "the rows of the second")
}
