package app

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
)

// A view that is deleted while a call waits for it is told of at once.
func TestWaitingForADeletedView(t *testing.T) {
	reg, err := registry.Open(t.Context(), memory.New(), registry.DefaultConfig(), registry.Checks{}, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = reg.Close() })
	v := &feature.View{Meta: feature.Meta{Name: "v"}, Source: "s", Entities: []string{"e"}, Features: []feature.Field{{Name: "f", Type: feature.Int64}}}
	p, err := reg.Apply(t.Context(), registry.Request{Definitions: []feature.Definition{
		&feature.Entity{Meta: feature.Meta{Name: "e"}, JoinKeys: []feature.Field{{Name: "n", Type: feature.Int64}}},
		&feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "s", EventTime: feature.TimeField{Field: "at"}}, v,
	}})
	require.NoError(t, err)
	require.Empty(t, p.Faults)
	cat, err := reg.Current(t.Context())
	require.NoError(t, err)
	view, err := cat.View(registry.DefaultProject, "v")
	require.NoError(t, err)
	w := &writes{a: &App{registry: reg, supervisor: nil}}
	asked := 0
	err = w.each(t.Context(), []*feature.View{view}, func(*feature.View) (bool, error) {
		if asked++; asked == 1 {
			_, err := reg.Delete(t.Context(), feature.Ref{Kind: feature.KindView, Project: registry.DefaultProject, Name: "v"})
			require.NoError(t, err)
		}
		return false, nil
	})
	require.EqualValues(t, "view v has been deleted meanwhile", w.why(view.SourceOf, 1, err))
}
