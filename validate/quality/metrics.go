package quality

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/internal/tally"
)

// Metrics are the numbers of a process's watching. Make them once a process.
// Their labels are names of the catalog: expectations and windows are none.
type Metrics struct {
	results *prometheus.CounterVec
	events  *prometheus.CounterVec
	firing  *prometheus.GaugeVec
	age     *prometheus.GaugeVec
	volume  *prometheus.GaugeVec
	passes  *prometheus.CounterVec
	settle  prometheus.Histogram
}

// NewMetrics registers them with reg, which may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		results: counter("weir_quality_window_results_total", "Expectations judged on windows, by what came of them; amended windows count again.",
			"project", "view", "suite", "severity", "outcome"),
		events: counter("weir_quality_events_total", "Alerts that began or ended.", "project", "view", "type"),
		firing: gauge("weir_quality_alerts_firing", "1 while an alert fires; rule is the suite, freshness, volume or reject_rate.", "project", "view", "rule"),
		age:    gauge("weir_view_rows_last_seconds", "Seconds since rows last landed, of views with a rule by the clock.", "project", "view"),
		volume: gauge("weir_view_rows_last_period", "Rows that landed in the last period of a view's volume rule.", "project", "view"),
		passes: counter("weir_quality_passes_total", "Looks at all views, by whether they worked.", "result"),
		settle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_quality_settle_seconds", Help: "Time to merge a commit's rows into the windows.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}),
	}
	if reg != nil {
		reg.MustRegister(m.results, m.events, m.firing, m.age, m.volume, m.passes, m.settle)
	}
	return m
}

func (m *Metrics) told(x *Alert, e *tally.Event) {
	m.events.WithLabelValues(x.Project, x.View, e.Type).Inc()
	m.fires(x.Project, x.View, label(x.Rule, x.Suite), x.Firing, true)
}

func label(r Rule, suite string) string {
	if r == SuiteRule {
		return suite
	}
	return string(r)
}

// fires shows whether a rule fires; one that is no longer watched is not shown.
func (m *Metrics) fires(project, view, rule string, on, watched bool) {
	switch {
	case on:
		m.firing.WithLabelValues(project, view, rule).Set(1)
	case watched:
		m.firing.WithLabelValues(project, view, rule).Set(0)
	default:
		m.firing.DeleteLabelValues(project, view, rule)
	}
}

// forget removes what is told of a view that is no longer watched by the clock.
func (m *Metrics) forget(project, view string) {
	l := prometheus.Labels{"project": project, "view": view}
	m.age.DeletePartialMatch(l)
	m.volume.DeletePartialMatch(l)
}

func (m *Metrics) passed(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.passes.WithLabelValues(result).Inc()
}

// Merged notes how long it took to merge a commit: tally.TapOptions.Merged.
func (m *Metrics) Merged(d time.Duration) { m.settle.Observe(d.Seconds()) }
