package app

import (
	"context"
	"time"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// The rooms fit each other's interfaces without knowing each other.
var (
	_ ingest.Sink      = (*offline.Writer)(nil)
	_ ingest.Committer = (*offline.Writer)(nil)
	_ ingest.Sink      = (*online.Writer)(nil)
	_ ingest.Sink      = (*drift.Tap)(nil)
	_ ingest.HeldTaker = (*tally.Tap[*expect.WindowTally])(nil)
	_ online.History   = history{}
	_ drift.History    = history{}
	_ ingest.Shower    = (*online.Writer)(nil)
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
	return offline.Newest(ctx, t, offline.NewestOptions{}, fn)
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
		ow := a.onlineWriter(v)
		o.Sinks = append(o.Sinks, ow)
		o.Close = a.mending(ow, v, w.Close)
	}
	o.Sinks = append(o.Sinks, drift.NewTap(v, cat.Monitors(), a.drift, drift.TapOptions{Log: a.log, Metrics: a.driftMetrics, Settled: a.kickWatch}))
	if tap := a.qualityTap(v); tap != nil {
		o.Sinks = append(o.Sinks, tap)
	}
	o.Sinks = append(o.Sinks, w)
	return o, nil
}

// mendInterval is how often a quiet view looks whether the online store has lost
// rows: a Redis that restarted empty, say. A commit looks by itself.
const mendInterval = 5 * time.Second

// mending looks for losses until the outlets are closed.
func (a *App) mending(w *online.Writer, v *feature.View, last func() error) func() error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(mendInterval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			rows, err := w.Mend(ctx)
			switch {
			case err != nil && ctx.Err() == nil:
				a.log.Debug("looking for lost online rows", "view", v.ID(), "err", err) // writes and lookups report the outage
			case rows > 0:
				a.log.Info("rows that the online store had lost were written again", "view", v.ID(), "rows", rows)
			}
		}
	}()
	return func() error {
		cancel()
		<-done
		return last()
	}
}

func (a *App) onlineWriter(v *feature.View) *online.Writer {
	return online.NewWriter(v, a.store, history{a.tables}, online.Options{
		Config: a.cfg.Online, Log: a.log, Metrics: a.onlineMetrics, SoleWriter: a.cfg.EmbeddedRedis()})
}
