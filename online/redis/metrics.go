package redis

import "github.com/prometheus/client_golang/prometheus"

var (
	descOpen      = prometheus.NewDesc("weir_redis_shut", "1 while lookups of a server's keys fail at once, because it does not answer.", []string{"server"}, nil)
	descInFlight  = prometheus.NewDesc("weir_redis_lookups_in_flight", "Lookups under way on a server.", []string{"server"}, nil)
	descTurned    = prometheus.NewDesc("weir_redis_lookups_turned_away_total", "Lookups that were not sent to a server, by reason: limit (redis.max_in_flight), shut (it does not answer).", []string{"server", "reason"}, nil)
	descRetried   = prometheus.NewDesc("weir_redis_lookups_retried_total", "Lookups sent again because their connection was dead.", []string{"server"}, nil)
	descProbes    = prometheus.NewDesc("weir_redis_probes_total", "Times a server that does not answer was asked whether it does.", []string{"server"}, nil)
	descRedirects = prometheus.NewDesc("weir_redis_redirects_total", "Requests for keys that had moved to another server of the cluster.", nil, nil)
)

// Describe and Collect make the store a prometheus.Collector: register it where metrics are wanted.
func (s *Store) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descOpen, descInFlight, descTurned, descRetried, descProbes, descRedirects} {
		ch <- d
	}
}

func (s *Store) Collect(ch chan<- prometheus.Metric) {
	for _, l := range s.top.all() {
		open := 0.0
		if l.shut.Load() != nil {
			open = 1
		}
		ch <- prometheus.MustNewConstMetric(descOpen, prometheus.GaugeValue, open, l.addr)
		ch <- prometheus.MustNewConstMetric(descInFlight, prometheus.GaugeValue, float64(l.inFlight.Load()), l.addr)
		ch <- prometheus.MustNewConstMetric(descTurned, prometheus.CounterValue, float64(l.shed.Load()), l.addr, "limit")
		ch <- prometheus.MustNewConstMetric(descTurned, prometheus.CounterValue, float64(l.refused.Load()), l.addr, "shut")
		ch <- prometheus.MustNewConstMetric(descRetried, prometheus.CounterValue, float64(l.retried.Load()), l.addr)
		ch <- prometheus.MustNewConstMetric(descProbes, prometheus.CounterValue, float64(l.probes.Load()), l.addr)
	}
	ch <- prometheus.MustNewConstMetric(descRedirects, prometheus.CounterValue, float64(s.redirects.Load()))
}
