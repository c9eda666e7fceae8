package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/registry/feature"
)

// TestDefinitionsEvolve: rows are right under the name and the type of their time,
// whatever the feature is called and however wide it is now.
func TestDefinitionsEvolve(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newSeed(), 2)
	features := func(f ...feature.Field) *feature.View {
		v := view()
		v.Features = f
		return v
	}
	i32, i64, f32, f64 := feature.Int32, feature.Int64, feature.Float32, feature.Float64
	w.apply(features(feature.Field{Name: "seen", Type: i32, Path: "extra"}, feature.Field{Name: "ratio", Path: "score", Type: f32}))
	first, err := w.reg.Current(t.Context())
	require.NoError(t, err)
	stop := w.worker()
	for _, v := range []*feature.View{
		nil,
		features(feature.Field{Name: "seen", Type: i64, Path: "extra"}, feature.Field{Name: "ratio", Path: "score", Type: f64}),
		features(feature.Field{Name: "ratio", Path: "score", Type: f64}, feature.Field{Name: "count", Type: i64, Path: "extra", RenamedFrom: "seen"}),
		features(feature.Field{Name: "ratio", Path: "score", Type: f64}, feature.Field{Name: "count", Type: i64, Path: "extra"}, feature.Field{Name: "seen", Type: i32, Path: "age"}),
		features(feature.Field{Name: "ratio", Path: "score", Type: f64}, feature.Field{Name: "seen", Type: i64, Path: "extra", RenamedFrom: "count"},
			feature.Field{Name: "count", Type: i64, Path: "age", RenamedFrom: "seen"}),
	} {
		if v != nil {
			w.apply(v)
		}
		w.produce(100)
		w.drained()
		w.clean()
	}
	stop()
	log, table, held := counts(w.clean(), false)
	require.EqualValues(t, 5*2*100, log)
	require.Equal(t, log, table+held)
	for revision := first.Revision(); revision <= first.Revision()+4; revision++ {
		cat, err := w.reg.At(t.Context(), revision)
		require.NoError(t, err)
		old, err := cat.View("p", "person")
		require.NoError(t, err)
		r, err := w.auditor().Run(t.Context(), old, audit.Options{}, nil)
		require.NoError(t, err)
		require.Zero(t, r.Found, "as revision %d sees it: %+v", revision, r.Differences)
	}
}
