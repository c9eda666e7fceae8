package offline

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// Joins is what all joins of a process share: how much memory each may take, the
// folder they spill to, and the places of those that run at once.
type Joins struct {
	cfg     JoinConfig
	log     *slog.Logger
	folder  *spillFolder
	places  *semaphore.Weighted // first come, first served
	waiting atomic.Int64
	running atomic.Int64
	metrics *joinMetrics
}

// joinMetrics are what joins show of themselves.
type joinMetrics struct {
	running, waiting, held prometheus.Gauge
	written                prometheus.Counter
}

func newJoinMetrics(reg prometheus.Registerer) *joinMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return register(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	return &joinMetrics{
		running: gauge("weir_joins_running", "Point-in-time joins that run."),
		waiting: gauge("weir_joins_waiting", "Point-in-time joins that wait for their turn."),
		held:    gauge("weir_joins_spill_files", "Spill files of joins that run."),
		written: register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_joins_spilled_bytes_total", Help: "Bytes that joins have written to the spill folder."})),
	}
}

// NewJoins returns the place for a process's joins, and removes from the spill
// folder what processes that died have left there. An empty folder name means one in
// the system's folder of temporary files.
func NewJoins(cfg JoinConfig, log *slog.Logger, reg prometheus.Registerer) (*Joins, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	j := newJoins(cfg, log, reg)
	if err := j.folder.sweep(); err != nil {
		// It is needed only by joins that spill, which will say so.
		j.log.Warn("the spill folder cannot be swept", "err", err)
	}
	return j, nil
}

func newJoins(cfg JoinConfig, log *slog.Logger, reg prometheus.Registerer) *Joins {
	dir := cfg.SpillDir
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("weir-spill-%d", os.Getuid()))
	}
	return &Joins{cfg: cfg, log: log.With("room", "offline"), folder: &spillFolder{dir: dir, disk: osDisk{}},
		places: semaphore.NewWeighted(int64(cfg.Concurrent)), metrics: newJoinMetrics(reg)}
}

// Close removes the process's spill files. No join may run any more.
func (p *Joins) Close() error { return p.folder.close() }

// In has all joins for snapshots run in a place; it returns s.
func (s *Snapshots) In(p *Joins) *Snapshots {
	s.joins = p
	return s
}

// orOwn is p, or where there is none a place for one join; done gives it back.
func (p *Joins) orOwn() (_ *Joins, done func()) {
	if p != nil {
		return p, func() {}
	}
	own := newJoins(DefaultJoinConfig(), slog.New(slog.DiscardHandler), nil)
	return own, func() { _ = own.Close() }
}

// enter waits for a place. leave gives it back.
func (p *Joins) enter(ctx context.Context, what string, wait func()) (leave func(), err error) {
	if !p.places.TryAcquire(1) {
		wait()
		p.waiting.Add(1)
		p.metrics.waiting.Inc()
		p.log.Info("a join waits for its turn", "service", what, "running", p.running.Load(), "waiting", p.waiting.Load(), "setting", "offline.join.concurrent")
		err := p.places.Acquire(ctx, 1)
		p.waiting.Add(-1)
		p.metrics.waiting.Dec()
		if err != nil {
			return nil, context.Cause(ctx)
		}
	}
	p.running.Add(1)
	p.metrics.running.Inc()
	return func() {
		p.running.Add(-1)
		p.metrics.running.Dec()
		p.places.Release(1)
	}, nil
}

// spill is where one join keeps what it cannot hold.
func (p *Joins) spill() *spill {
	return &spill{folder: p.folder, limit: p.cfg.MaxSpillBytes, counter: p.metrics.written, held: p.metrics.held}
}
