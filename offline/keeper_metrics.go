package offline

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// keeperMetrics are what upkeep shows of itself and of the tables.
type keeperMetrics struct {
	runs                                                *prometheus.CounterVec
	mergedFiles, mergedBytes, snapshots, files, orphans *prometheus.CounterVec
	last, tableFiles, tableSnapshots, tableRows, bytes  *prometheus.GaugeVec
}

func newKeeperMetrics(reg prometheus.Registerer) *keeperMetrics {
	view := []string{"project", "view"}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(view[:2:2], more...)))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, view))
	}
	return &keeperMetrics{
		runs:           counter("weir_upkeep_runs_total", "Steps of upkeep (compact, expire, sweep) by how they went: ok, conflict (somebody else was first) or error.", "step", "result"),
		mergedFiles:    counter("weir_upkeep_files_compacted_total", "Data files that compaction has replaced."),
		mergedBytes:    counter("weir_upkeep_bytes_compacted_total", "Bytes of the data files that compaction has replaced."),
		snapshots:      counter("weir_upkeep_snapshots_expired_total", "Snapshots of tables that have expired."),
		files:          counter("weir_upkeep_files_removed_total", "Files that went with expired snapshots."),
		orphans:        counter("weir_upkeep_orphans_removed_total", "Files removed that nothing named."),
		last:           gauge("weir_upkeep_last_success_timestamp_seconds", "When a table last had all it needed from this process."),
		tableFiles:     gauge("weir_table_files", "Data files of a table's newest state."),
		tableSnapshots: gauge("weir_table_snapshots", "Snapshots that a table has."),
		tableRows:      gauge("weir_table_rows", "Rows of a table."),
		bytes:          gauge("weir_table_bytes", "Bytes of the data files of a table's newest state."),
	}
}

func labelsOf(v *feature.View) []string {
	project, name, _ := strings.Cut(v.ID(), "/")
	return []string{project, name}
}

func (m *keeperMetrics) compacted(v *feature.View, x Compacted) {
	m.mergedFiles.WithLabelValues(labelsOf(v)...).Add(float64(x.Gone))
	m.mergedBytes.WithLabelValues(labelsOf(v)...).Add(float64(x.BytesGone))
}

func (m *keeperMetrics) expired(v *feature.View, x Expired) {
	m.snapshots.WithLabelValues(labelsOf(v)...).Add(float64(x.Snapshots))
	m.files.WithLabelValues(labelsOf(v)...).Add(float64(x.Files))
}

func (m *keeperMetrics) swept(v *feature.View, x Swept) {
	m.orphans.WithLabelValues(labelsOf(v)...).Add(float64(x.Files))
}

func (m *keeperMetrics) show(v *feature.View, st *State, snapshots int) {
	var size int64
	for _, f := range st.Files {
		size += f.Bytes
	}
	l := labelsOf(v)
	m.tableFiles.WithLabelValues(l...).Set(float64(len(st.Files)))
	m.tableSnapshots.WithLabelValues(l...).Set(float64(snapshots))
	m.tableRows.WithLabelValues(l...).Set(float64(st.Rows))
	m.bytes.WithLabelValues(l...).Set(float64(size))
}

func (m *keeperMetrics) hide(view string) {
	project, name, _ := strings.Cut(view, "/")
	for _, g := range []*prometheus.GaugeVec{m.last, m.tableFiles, m.tableSnapshots, m.tableRows, m.bytes} {
		g.DeleteLabelValues(project, name)
	}
}
