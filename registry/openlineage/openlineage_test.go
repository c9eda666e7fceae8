package openlineage_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/openlineage"
)

func made() feature.Snapshot {
	return feature.Snapshot{ID: "01k", Project: "shop", Service: "churn", ServiceVersion: 2, Rows: 7, CreatedAt: 1_700_000_000_000_000,
		Tables:  []feature.SnapshotTable{{View: "profile", ViewVersion: 3, Version: 42}, {View: "usage"}},
		Columns: []feature.SnapshotColumn{{Name: "tenure", View: "profile", Type: feature.Int64}, {Name: "calls", View: "usage", Type: feature.Float64}}}
}

func TestEvent(t *testing.T) {
	b, err := openlineage.Event(made(), "ns")
	require.NoError(t, err)
	again, err := openlineage.Event(made(), "ns")
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
	var e struct {
		EventType, EventTime, SchemaURL string
		Run                             struct{ RunID string }
		Job                             struct{ Namespace, Name string }
		Inputs, Outputs                 []struct {
			Namespace, Name string
			Facets          struct {
				Version struct{ DatasetVersion string }
				Schema  struct{ Fields []struct{ Name, Type string } }
			}
			OutputFacets struct{ OutputStatistics struct{ RowCount int64 } }
		}
	}
	require.NoError(t, json.Unmarshal(b, &e))
	require.Equal(t, "COMPLETE", e.EventType)
	require.Equal(t, "2023-11-14T22:13:20Z", e.EventTime)
	require.Equal(t, openlineage.RunID("01k"), e.Run.RunID)
	require.Equal(t, "ns shop.snapshot.churn", e.Job.Namespace+" "+e.Job.Name)
	require.Len(t, e.Inputs, 2)
	require.Equal(t, "shop.profile", e.Inputs[0].Name)
	require.Equal(t, "42", e.Inputs[0].Facets.Version.DatasetVersion)
	require.Equal(t, []struct{ Name, Type string }{{"tenure", "int64"}}, e.Inputs[0].Facets.Schema.Fields)
	require.Len(t, e.Outputs, 1)
	require.Equal(t, "shop.trainingset.01k", e.Outputs[0].Name)
	require.Len(t, e.Outputs[0].Facets.Schema.Fields, 2)
	require.EqualValues(t, 7, e.Outputs[0].OutputFacets.OutputStatistics.RowCount)
}

func TestConfig(t *testing.T) {
	require.NoError(t, openlineage.DefaultConfig().Validate())
	err := openlineage.Config{URL: "marquez", Token: "hunter2"}.Validate()
	for _, says := range []string{"openlineage.url", "openlineage.token", "openlineage.namespace"} {
		require.ErrorContains(t, err, says)
	}
	require.NotContains(t, err.Error(), "hunter2")
}
