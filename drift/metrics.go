package drift

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the numbers of a process's taps and watch. Make them once a
// process and pass them to each.
type Metrics struct {
	settle   prometheus.Histogram
	windows  *prometheus.CounterVec
	events   *prometheus.CounterVec
	drifting *prometheus.GaugeVec
	passes   *prometheus.CounterVec
	measured *prometheus.GaugeVec
	coverage *prometheus.GaugeVec
}

// NewMetrics registers them with reg, which may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		settle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_drift_settle_seconds", Help: "Time to merge a commit's deltas into the windows.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
		windows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_drift_windows_total", Help: "Windows closed, by what came of them."}, []string{"project", "monitor", "outcome"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_drift_events_total", Help: "Changes of a monitor's state."}, []string{"project", "monitor", "type"}),
		drifting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_drift_drifting", Help: "1 while a monitor drifts."}, []string{"project", "monitor"}),
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_drift_passes_total", Help: "Looks at all monitors, by whether they worked."}, []string{"result"}),
		measured: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_drift_performance", Help: "A metric of the model in the window judged last."}, []string{"project", "monitor", "metric"}),
		coverage: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_drift_outcome_coverage", Help: "Share of the predictions in the window judged last that have an outcome."}, []string{"project", "monitor"}),
	}
	if reg != nil {
		reg.MustRegister(m.settle, m.windows, m.events, m.drifting, m.passes, m.measured, m.coverage)
	}
	return m
}
