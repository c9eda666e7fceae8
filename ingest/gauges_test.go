package ingest_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
)

// TestGaugeOfOneStoppedView: a partition needs a person where any view has stopped, whichever comes last.
func TestGaugeOfOneStoppedView(t *testing.T) {
	f := setup(t, 1)
	f.truncated(41)

	second, table := *f.view, &sinktest.Table{}
	second.Meta.Name = "new_view"
	w := table.Open()
	stop := f.run(f.table.Open(), f.config(), func(c *ingest.PipelineConfig) {
		c.Outlets = append(c.Outlets, &ingest.Outlets{View: &second, Sinks: []ingest.Sink{w}, Table: w})
	})
	require.Eventually(t, func() bool { p := table.Positions(); return len(p) == 1 && p[0].Next == 100 }, 3*time.Minute, 5*time.Millisecond)
	require.Equal(t, 1, f.stopped())
	require.NoError(t, stop())
}

// lags are the partitions of which a process shows how far it is behind.
func lags(t *testing.T, reg *prometheus.Registry) (partitions []string) {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, m := range all {
		if m.GetName() != "weir_ingest_lag_events" {
			continue
		}
		for _, x := range m.GetMetric() {
			for _, l := range x.GetLabel() {
				if l.GetName() == "partition" {
					partitions = append(partitions, l.GetValue())
				}
			}
		}
	}
	return partitions
}

// TestLagOfPartitionsThatWent: what a worker last knew of a partition that another one has now is no lag of the source.
func TestLagOfPartitionsThatWent(t *testing.T) {
	f := setup(t, 4)
	events, ends := f.spread(42, 400, 4)
	f.produce(events...)
	stop := f.run(f.table.Open(), f.config())
	f.committed(ends)
	require.Eventually(t, func() bool { return len(lags(t, f.reg)) == 4 }, 3*time.Minute, 5*time.Millisecond)

	other := prometheus.NewRegistry()
	stop2 := f.run(f.table.Open(), f.config(), func(c *ingest.PipelineConfig) { c.Metrics = ingest.NewMetrics(other) })
	require.Eventually(t, func() bool { return len(lags(t, f.reg)) == 2 && len(lags(t, other)) == 2 }, 3*time.Minute, 5*time.Millisecond)
	require.ElementsMatch(t, []string{"0", "1", "2", "3"}, append(lags(t, f.reg), lags(t, other)...))
	require.NoError(t, stop2())
	require.Eventually(t, func() bool { return len(lags(t, f.reg)) == 4 }, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
	f.verify(events)
}
