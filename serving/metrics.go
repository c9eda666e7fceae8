package serving

import "github.com/prometheus/client_golang/prometheus"

// metrics counts calls and lookups.
type metrics struct {
	calls *prometheus.HistogramVec
	http  *prometheus.HistogramVec
	seen  *observations
}

func newMetrics(r prometheus.Registerer) *metrics {
	fine := prometheus.ExponentialBuckets(0.00005, 2, 17) // 50 µs to 3 s
	m := &metrics{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_grpc_seconds", Help: "Duration of gRPC calls, by method and code.", Buckets: fine}, []string{"method", "code"}),
		http: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_http_seconds", Help: "Duration of calls over HTTP, by route and status.", Buckets: fine}, []string{"route", "code"}),
	}
	m.seen = newObservations(r)
	r.MustRegister(m.calls, m.http)
	return m
}
