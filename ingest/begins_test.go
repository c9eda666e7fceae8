package ingest_test

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
)

// A view's counts are there before its first event: the share of what is held back is asked for where nothing has passed, too.
func TestCountsBeginAtNothing(t *testing.T) {
	reg := prometheus.NewRegistry()
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}}
	ingest.NewPipeline(ingest.PipelineConfig{Source: &feature.Source{}, Outlets: []*ingest.Outlets{{View: v}}, Log: slog.New(slog.DiscardHandler), Metrics: ingest.NewMetrics(reg)})
	all, err := reg.Gather()
	require.NoError(t, err)
	seen := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			seen[f.GetName()] += 1 + m.GetCounter().GetValue()
		}
	}
	require.Equal(t, 1.0, seen["weir_ingest_rows_total"])
	require.Equal(t, 1.0, seen["weir_quarantined_events_total"])
}
