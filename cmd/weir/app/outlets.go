package app

import (
	"context"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// The rooms fit each other's interfaces without knowing each other.
var (
	_ ingest.Sink      = (*offline.Writer)(nil)
	_ ingest.Committer = (*offline.Writer)(nil)
	_ ingest.Sink      = (*online.Writer)(nil)
	_ ingest.Sink      = (*drift.Tap)(nil)
	_ online.History   = history{}
	_ drift.History    = history{}
	_ ingest.Catalogs  = (*registry.Registry)(nil)
	_ offline.Profiler = (*drift.Profiler)(nil)
)

// history reads views' tables for the rooms that need rows again.
type history struct{ tables offline.Store }

// Newest gives the newest row of every key.
func (h history) Newest(ctx context.Context, v *feature.View, fn func(*feature.Batch) error) error {
	t, err := h.tables.Table(ctx, v)
	if err != nil {
		return err
	}
	defer t.Close()
	return offline.Newest(ctx, t, fn)
}

// Positions returns where a view's table stands.
func (h history) Positions(ctx context.Context, v *feature.View) ([]feature.Position, error) {
	t, err := h.tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	st, err := t.Load(ctx, offline.Version{})
	if err != nil {
		return nil, err
	}
	return st.Positions, nil
}

// Since gives the rows of the listed partitions at or after their positions.
func (h history) Since(ctx context.Context, v *feature.View, since []feature.Position, fn func(*feature.Batch) error) error {
	if len(since) == 0 {
		return nil
	}
	t, err := h.tables.Table(ctx, v)
	if err != nil {
		return err
	}
	defer t.Close()
	return offline.Scan(ctx, t, offline.ScanOptions{Since: since}, fn)
}

// Scan gives rows of a range of event time.
func (h history) Scan(ctx context.Context, v *feature.View, from, to int64, columns []string, fn func(*feature.Batch) error) error {
	t, err := h.tables.Table(ctx, v)
	if err != nil {
		return err
	}
	defer t.Close()
	return offline.Scan(ctx, t, offline.ScanOptions{Columns: columns, EventFrom: from, EventTo: to}, fn)
}

// openOutlets opens where the rows of a view go: the online store first, for
// its latency is what users see, then the monitors, then the table.
func (a *App) openOutlets(ctx context.Context, cat *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
	t, err := a.tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	w, err := offline.NewWriter(t, a.cfg.Offline, a.log, a.metrics)
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	o := &ingest.Outlets{View: v, Table: w, Close: w.Close}
	if v.IsOnline() {
		o.Sinks = append(o.Sinks, a.onlineWriter(v))
	}
	var monitors []*feature.Monitor
	for _, m := range cat.Monitors() {
		if m.ViewOf != nil && m.ViewOf.ID() == v.ID() {
			monitors = append(monitors, m)
		}
	}
	o.Sinks = append(o.Sinks, drift.NewTap(v, monitors, a.drift, drift.TapOptions{Log: a.log, Metrics: a.driftMetrics, Settled: a.kickWatch}), w)
	return o, nil
}

func (a *App) onlineWriter(v *feature.View) *online.Writer {
	return online.NewWriter(v, a.store, history{a.tables}, online.Options{
		Config: a.cfg.Online, Log: a.log, Metrics: a.onlineMetrics, SoleWriter: a.cfg.EmbeddedRedis()})
}
