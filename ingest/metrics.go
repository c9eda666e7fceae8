package ingest

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// Metrics counts what comes in. One per process, shared by all pipelines.
type Metrics struct {
	events      *prometheus.CounterVec
	rows        *prometheus.CounterVec
	quarantined *prometheus.CounterVec
	held        *prometheus.CounterVec
	failed      *prometheus.CounterVec
	retries     *prometheus.CounterVec
	flush       *prometheus.HistogramVec
	lag         *prometheus.GaugeVec
	stopped     *prometheus.GaugeVec
	paused      *prometheus.GaugeVec
	restarts    *prometheus.CounterVec
	newest      *prometheus.GaugeVec
	committed   *prometheus.GaugeVec
	buffered    *prometheus.GaugeVec
	shadows     *shadowMetrics

	rejectPaused, rejectRate *prometheus.GaugeVec

	mu  sync.Mutex
	top map[string]int64 // guarded by mu; newest effective time seen of each view
	out map[string]int64 // guarded by mu; events held back, by view
}

// Newest is the newest effective time seen of a view since the start, microseconds UTC; 0 when none.
func (m *Metrics) Newest(project, view string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.top[project+"/"+view]
}

// Held is how many events of a view were held back since the start.
func (m *Metrics) Held(project, view string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out[project+"/"+view]
}

// heldBack counts an event that is held back, and each rule that it failed once.
func (m *Metrics) heldBack(project, view string, reasons []feature.Reason) {
	seen := map[string]bool{}
	for _, r := range reasons {
		if !seen[r.Rule] {
			seen[r.Rule] = true
			m.quarantined.WithLabelValues(project, view, r.Rule).Inc()
		}
	}
	m.held.WithLabelValues(project, view).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out[project+"/"+view]++
}

// begins shows a view's counts from 0 on: a rate of what has no number before its first event misses that
// event, and the share of what is held back would have no rows to be compared with where nothing passes.
func (m *Metrics) begins(v *feature.View) {
	m.rows.WithLabelValues(v.Meta.Project, v.Meta.Name)
	m.held.WithLabelValues(v.Meta.Project, v.Meta.Name)
}

// seen moves the newest effective time of a view forward.
func (m *Metrics) seen(v *feature.View, effective int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.top[v.ID()]; !ok || effective > old {
		m.top[v.ID()] = effective
		m.newest.WithLabelValues(v.Meta.Project, v.Meta.Name).Set(float64(effective) / 1e6)
	}
}

// NewMetrics registers the room's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		top: map[string]int64{}, out: map[string]int64{}, shadows: newShadowMetrics(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ingest_events_total", Help: "Events read, by source; an event read again after a restart counts again."},
			[]string{"project", "source"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ingest_rows_total", Help: "Good rows handed to the sinks, by view."},
			[]string{"project", "view"}),
		held: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_quarantined_events_total", Help: "Events held back, by view; each counts once whatever number of rules failed."},
			[]string{"project", "view"}),
		quarantined: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_quarantined_total", Help: "Failed rules of events held back, by view and rule."},
			[]string{"project", "view", "rule"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_expectation_failures_total", Help: "Rows that failed an expectation, by severity; only critical ones are held back."},
			[]string{"project", "view", "expectation", "column", "severity"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ingest_retries_total", Help: "Calls repeated because a store or broker did not answer."},
			[]string{"project", "view", "step"}),
		flush: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_ingest_flush_seconds", Help: "From the cut of a flush to its commit, by view.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 14)},
			[]string{"project", "view"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_ingest_lag_events", Help: "Events in the log that are not yet processed."},
			[]string{"project", "source", "partition"}),
		stopped: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_ingest_stopped", Help: "1 where a partition stopped and needs a person."},
			[]string{"project", "source", "partition"}),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_ingest_paused", Help: "1 where a partition is not fetched because what it has waits for a slow sink, or because it stopped."},
			[]string{"project", "source", "partition"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ingest_restarts_total", Help: "Times a source ended by itself and was started again, by the kind of its error."},
			[]string{"project", "source", "kind"}),
		newest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_view_newest_event_timestamp_seconds", Help: "Newest effective time among the rows of a view; time() minus this is its freshness."},
			[]string{"project", "view"}),
		committed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_view_last_commit_timestamp_seconds", Help: "When the view's table last took a commit of this worker."},
			[]string{"project", "view"}),
		buffered: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_ingest_buffered_bytes", Help: "Memory held between Kafka and the files, by source; ingest.memory_limit bounds it."},
			[]string{"project", "source"}),
	}
	m.rejectPaused = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "weir_view_paused", Help: "1 where a view waits for a person because more than max_reject_rate of its last events would be held back."},
		[]string{"project", "view"})
	m.rejectRate = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "weir_view_reject_rate", Help: "Share of a view's last reject_events events on this worker that were held back; only with max_reject_rate."},
		[]string{"project", "view"})
	r.MustRegister(m.rejectPaused, m.rejectRate, m.events, m.rows, m.quarantined, m.held, m.failed, m.retries, m.flush, m.lag, m.stopped, m.paused, m.restarts, m.newest, m.committed, m.buffered,
		m.shadows.rows, m.shadows.rejected, m.shadows.failed)
	return m
}
