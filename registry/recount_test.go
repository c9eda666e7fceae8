package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/registry/registrytest"
)

// A monitor counts anew from the version on that has another view, and also when it comes back to the one that it had: nobody
// counted that meanwhile. Other changes, and a deletion, leave it as it is.
func TestMonitorsCountAnewWithAnotherView(t *testing.T) {
	r := registrytest.Open(t, memory.New(), registry.Checks{})
	view := func(name string) *feature.View {
		return &feature.View{Meta: feature.Meta{Name: name}, Source: "s", Entities: []string{"a"}, Features: []feature.Field{{Name: "x", Type: feature.Int64}}}
	}
	apply(t, r, entity("a"), view("v"), view("w"), &feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "t", EventTime: feature.TimeField{Field: "at"}})
	ref := feature.Ref{Kind: feature.KindMonitor, Name: "m"}
	put := func(view, size string, said int) *feature.Monitor {
		apply(t, r, &feature.Monitor{Meta: feature.Meta{Name: "m"}, View: view, Window: feature.Window{Size: size}, SinceVersion: said,
			Reference: feature.Reference{Trailing: feature.Duration(1e9 * 3600 * 24)}})
		m, err := must(r.Current(ctx)).Monitor(registry.DefaultProject, "m")
		require.NoError(t, err)
		return m
	}
	since := func(m *feature.Monitor) [2]int { return [2]int{m.Version, m.SinceVersion} }
	require.Equal(t, [2]int{1, 0}, since(put("v", "1h", 0)))
	require.Equal(t, [2]int{2, 0}, since(put("v", "2h", 0)))
	require.Equal(t, [2]int{3, 3}, since(put("w", "2h", 0)))
	require.Equal(t, [2]int{3, 3}, since(put("w", "2h", 0)), "the same again is no change")
	require.Equal(t, [2]int{3, 3}, since(put("w", "2h", 1)), "whatever the manifest says")
	require.Equal(t, [2]int{4, 3}, since(put("w", "1h", 3)))
	require.Equal(t, [2]int{5, 5}, since(put("v", "1h", 0)))
	_, err := r.Delete(ctx, ref)
	require.NoError(t, err)
	require.Equal(t, [2]int{6, 5}, since(put("v", "1h", 0)), "it goes on with its windows")
	_, err = r.Delete(ctx, ref)
	require.NoError(t, err)
	require.Equal(t, [2]int{7, 7}, since(put("w", "1h", 0)))
}
