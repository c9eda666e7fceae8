package offline

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// viewMetrics are the writer's metrics of one view.
type viewMetrics struct {
	rows, bytes, files, conflicts prometheus.Counter
	stage, commit                 prometheus.Observer
}

func newViewMetrics(reg prometheus.Registerer, v *feature.View) *viewMetrics {
	label := []string{"view"}
	counter := func(name, help string) prometheus.Counter {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "weir", Subsystem: "offline", Name: name, Help: help}, label)).WithLabelValues(v.ID())
	}
	histogram := func(name, help string) prometheus.Observer {
		return register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "weir", Subsystem: "offline", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}, label)).WithLabelValues(v.ID())
	}
	return &viewMetrics{
		rows:      counter("rows_written_total", "Rows written into data files."),
		bytes:     counter("bytes_written_total", "Bytes of the data files written."),
		files:     counter("files_written_total", "Data files written."),
		conflicts: counter("commit_conflicts_total", "Commits refused because the table had moved on."),
		stage:     histogram("stage_seconds", "Time to sort the rows of a flush and write its files."),
		commit:    histogram("commit_seconds", "Time of a table commit."),
	}
}

// register returns the collector that is in force: c, or the equal one that
// another view's writer has registered before.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var taken prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &taken) {
		if old, ok := taken.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}
