package serving

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// metrics counts calls and lookups.
type metrics struct {
	calls *prometheus.HistogramVec
	http  *prometheus.HistogramVec
	seen  *observations
	byEnd sync.Map // callEnd -> prometheus.Observer: finding one by its labels takes longer than to observe
}

type callEnd struct {
	method string // of those that are registered; no other call comes as far as here
	code   codes.Code
}

// called is what a call's duration goes to.
func (m *metrics) called(method string, code codes.Code) prometheus.Observer {
	k := callEnd{method, code}
	if o, ok := m.byEnd.Load(k); ok {
		return o.(prometheus.Observer)
	}
	o := m.calls.WithLabelValues(method, code.String())
	m.byEnd.Store(k, o)
	return o
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
