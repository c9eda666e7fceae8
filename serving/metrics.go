package serving

import "github.com/prometheus/client_golang/prometheus"

// metrics counts calls and what lookups find.
type metrics struct {
	calls  *prometheus.HistogramVec
	lookup *prometheus.HistogramVec
	rows   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	fine := prometheus.ExponentialBuckets(0.00005, 2, 17) // 50 µs to 3 s
	m := &metrics{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_grpc_seconds", Help: "Duration of gRPC calls, by method and code.", Buckets: fine}, []string{"method", "code"}),
		lookup: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_lookup_seconds", Help: "Duration of lookups, by service; lookups of single features under the service \"\".", Buckets: fine}, []string{"project", "service"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_lookup_rows_total", Help: "Rows looked up, by view and what was found."}, []string{"project", "view", "status"}),
	}
	r.MustRegister(m.calls, m.lookup, m.rows)
	return m
}
