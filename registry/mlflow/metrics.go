package mlflow

import "github.com/prometheus/client_golang/prometheus"

// Metrics count looks and calls.
type Metrics struct {
	syncs *prometheus.CounterVec
	hooks *prometheus.CounterVec
}

// NewMetrics registers them; r may be nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_mlflow_syncs_total", Help: "Looks at all of MLflow's aliases, by result."}, []string{"result"}),
		hooks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_mlflow_hooks_total", Help: "Calls of MLflow's webhooks, by the status they were answered with."}, []string{"status"}),
	}
	if r != nil {
		r.MustRegister(m.syncs, m.hooks)
	}
	return m
}
