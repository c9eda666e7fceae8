package audit_test

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// life is how long a replay lives: it dies at a step, and whatever it calls from
// then on fails. The step itself may still happen.
type life struct {
	mu     sync.Mutex
	left   int // steps; below zero it lives on
	after  bool
	cancel func()
	dead   bool
}

var errDead = feature.Errorf(feature.Internal, "test", "", "killed")

func (l *life) step(f func() error) error {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return errDead
	}
	l.left--
	dies := l.left == 0
	l.dead = dies
	l.mu.Unlock()
	if dies {
		if l.after {
			_ = f()
		}
		l.cancel()
		return errDead
	}
	return f()
}

// mortal is a sink, and the table's side, whose calls are steps of a life.
type mortal struct {
	ingest.Sink
	table ingest.Committer
	l     *life
	shows bool
}

func (m *mortal) Shows() bool { return m.shows }
func (m *mortal) Assign(ctx context.Context, at []feature.Position) error {
	return m.l.step(func() error { return m.Sink.Assign(ctx, at) })
}
func (m *mortal) Write(ctx context.Context, b *feature.Batch) error {
	return m.l.step(func() error { return m.Sink.Write(ctx, b) })
}
func (m *mortal) Stage(ctx context.Context, c *feature.Commit) error {
	return m.l.step(func() error { return m.Sink.Stage(ctx, c) })
}
func (m *mortal) Settle(ctx context.Context, c *feature.Commit) error {
	return m.l.step(func() error { return m.Sink.Settle(ctx, c) })
}
func (m *mortal) Positions(ctx context.Context) (at []feature.Position, err error) {
	err = m.l.step(func() error { at, err = m.table.Positions(ctx); return err })
	return at, err
}
func (m *mortal) Commit(ctx context.Context, c *feature.Commit) error {
	return m.l.step(func() error { return m.table.Commit(ctx, c) })
}

// replayer makes one that lives as l says.
func (w *replays) replayer(l *life) *ingest.Replayer {
	c := w.cfg
	c.BatchRows, c.FlushInterval = 7, time.Nanosecond // a commit for every few entries
	return ingest.NewReplayer(w.replayConfig(l, c))
}

func (w *replays) replayConfig(l *life, c ingest.Config) ingest.ReplayConfig {
	return ingest.ReplayConfig{Config: c, Catalogs: w.reg, Kafka: w.opts, Quarantine: quarantine.NewWriter(w.client()),
		Reader: quarantine.NewReader(w.opts...), Rows: w.rows, Replicas: 1, Log: w.log, Metrics: w.met,
		Open: func(ctx context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			t, err := w.store.Table(ctx, v)
			if err != nil {
				return nil, err
			}
			s, err := offline.NewWriter(t, offline.DefaultConfig(), w.log, prometheus.NewRegistry())
			if err != nil {
				return nil, err
			}
			table := &mortal{Sink: s, table: s, l: l}
			shown := &mortal{Sink: w.onlineWriter(v), l: l, shows: true}
			return &ingest.Outlets{View: v, Sinks: []ingest.Sink{shown, table}, Table: table, Close: func() error { _ = s.Close(); return t.Close() }}, nil
		}}
}
