package drift_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/registry/feature"
)

// drifting is what a process's gauge says of the house's monitor.
func drifting(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range all {
		if f.GetName() == "weir_drift_drifting" {
			require.Len(t, f.GetMetric(), 1)
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "there is no weir_drift_drifting")
	return 0
}

// Of several processes one judges a window, and the gauges of the others follow: an alert on them would go on for good.
func TestGaugesFollowOtherProcesses(t *testing.T) {
	h := newHouse(t, nil)
	process := func() (*drift.Watch, *prometheus.Registry) {
		reg := prometheus.NewRegistry()
		return drift.NewWatch(drift.WatchOptions{Store: h.store, References: h, History: h, Config: drift.DefaultConfig(), Route: h.route, Now: h.clock, Metrics: drift.NewMetrics(reg),
			Monitors: func(context.Context) ([]*feature.Monitor, error) { return []*feature.Monitor{h.mon}, nil }}), reg
	}
	first, shows := process()
	second, other := process()
	stream := func(by *drift.Watch, from, to int64, mean float64) {
		for w := from; w < to; w++ {
			h.flush(1, one(h.rows(w, 300, mean)))
			require.NoError(t, by.Pass(bg))
		}
	}
	stream(first, 0, 2, 0)
	stream(first, 2, 5, 3)
	require.Equal(t, []string{"detected.v1"}, h.events())
	require.Equal(t, 1.0, drifting(t, shows))

	stream(second, 5, 9, 0)
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	require.Equal(t, 0.0, drifting(t, other))
	h.now = h.now.Add(20 * time.Second)
	require.NoError(t, first.Pass(bg))
	require.Equal(t, 0.0, drifting(t, shows))
}
