package online

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// Metrics counts what the room does. One per process, shared by all writers and readers.
type Metrics struct {
	rows     *prometheus.CounterVec
	refilled *prometheus.CounterVec
	lost     *prometheus.CounterVec
	rebuilt  *prometheus.CounterVec
	bad      *prometheus.CounterVec
	store    *prometheus.HistogramVec
}

// NewMetrics registers the room's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_online_rows_total", Help: "Rows written, by view and outcome: stored, superseded (by a newer row of the same batch or of the store)."},
			[]string{"project", "view", "outcome"}),
		refilled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_online_refilled_rows_total", Help: "Rows written again from the table because the store did not have them."},
			[]string{"project", "view"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_online_losses_total", Help: "Times the store was found to have lost acknowledged writes."},
			[]string{"project", "view"}),
		rebuilt: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_online_materialized_rows_total", Help: "Rows that a rebuild of the store went over, by view and outcome: stored, newer (the store had a newer one), mended (a row that differed all the same), pruned (a row the table does not have)."},
			[]string{"project", "view", "outcome"}),
		bad: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_online_bad_values_total", Help: "Values that could not be read: damaged, or of a schema the store no longer knows."},
			[]string{"project", "view"}),
		store: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_online_store_seconds", Help: "Time the store took for a lookup's keys or a batch's rows.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}},
			[]string{"op"}),
	}
	r.MustRegister(m.rows, m.refilled, m.lost, m.rebuilt, m.bad, m.store)
	return m
}

func labels(v *feature.View) []string { return []string{projectOf(v), v.Meta.Name} }
