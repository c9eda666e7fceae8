package outbox

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

// Dispatcher works an outbox off. Several may share one store.
type Dispatcher struct {
	store Store
	to    map[string]Deliverer
	names []string
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	kick  chan struct{}

	delivered, failed, dead *prometheus.CounterVec
}

// New makes a dispatcher for the destinations of to. now may be nil for the
// wall clock, reg nil for no metrics.
func New(store Store, to map[string]Deliverer, cfg Config, log *slog.Logger, reg prometheus.Registerer, now func() time.Time) *Dispatcher {
	if now == nil {
		now = time.Now
	}
	d := &Dispatcher{store: store, to: to, cfg: cfg, log: log, now: now, kick: make(chan struct{}, 1)}
	for name := range to {
		d.names = append(d.names, name)
	}
	slices.Sort(d.names)
	vec := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"destination"})
		if reg != nil {
			reg.MustRegister(v)
		}
		return v
	}
	d.delivered = vec("weir_outbox_delivered_total", "Entries that their destination acknowledged.")
	d.failed = vec("weir_outbox_failed_total", "Attempts that failed.")
	d.dead = vec("weir_outbox_dead_total", "Entries given up.")
	return d
}

// Kick tells that there may be new entries. It never blocks.
func (d *Dispatcher) Kick() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. A store that does not answer is asked again.
func (d *Dispatcher) Run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	away := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-d.kick:
		}
		n, err := d.Step(ctx)
		switch { // a line when an outage starts and when it ends, not one a look
		case ctx.Err() != nil:
		case err != nil && !away:
			d.log.Error("outbox cannot be read, will try again", "error", err)
		case err == nil && away:
			d.log.Info("outbox is read again")
		}
		away = err != nil
		wait := d.cfg.Poll
		if n > 0 && err == nil {
			wait = 0 // there may be more
		}
		t.Reset(wait)
	}
}

// Step delivers what is due now, at most one batch, and returns how many
// entries it took up.
func (d *Dispatcher) Step(ctx context.Context) (int, error) {
	if len(d.names) == 0 {
		return 0, nil
	}
	start := d.now()
	due, err := d.store.Claim(ctx, d.names, start, d.cfg.Lease, d.cfg.Batch)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	type lane struct{ destination, key string }
	var order []lane
	lanes := map[lane][]*Entry{}
	for i := range due {
		l := lane{due[i].Destination, due[i].Key}
		if lanes[l] == nil {
			order = append(order, l)
		}
		lanes[l] = append(lanes[l], &due[i])
	}
	var mu sync.Mutex
	var done, release []string
	var g errgroup.Group
	g.SetLimit(d.cfg.Parallel)
	for _, l := range order {
		g.Go(func() error {
			for i, e := range lanes[l] {
				// What cannot be finished well before the lease ends is left for the next step.
				if ctx.Err() != nil || d.now().Sub(start) > d.cfg.Lease-d.cfg.Timeout {
					mu.Lock()
					for _, rest := range lanes[l][i:] {
						release = append(release, rest.ID)
					}
					mu.Unlock()
					return nil
				}
				if err := d.deliver(ctx, e); err != nil {
					mu.Lock()
					for _, rest := range lanes[l][i+1:] {
						release = append(release, rest.ID)
					}
					mu.Unlock()
					return d.fail(ctx, e, err)
				}
				mu.Lock()
				done = append(done, e.ID)
				mu.Unlock()
			}
			return nil
		})
	}
	err = g.Wait()
	// What was acknowledged is recorded even while stopping: or it is sent again.
	rec, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
	defer cancel()
	if len(done) > 0 {
		if e := d.store.Done(rec, done, d.now()); e != nil {
			err = e
		}
	}
	if len(release) > 0 {
		if e := d.store.Release(rec, release, d.now()); e != nil && err == nil {
			err = e
		}
	}
	return len(due), err
}

func (d *Dispatcher) deliver(ctx context.Context, e *Entry) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	err := d.to[e.Destination].Deliver(ctx, e)
	if err == nil {
		d.delivered.WithLabelValues(e.Destination).Inc()
	}
	return err
}

func (d *Dispatcher) fail(ctx context.Context, e *Entry, cause error) error {
	rec, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
	defer cancel()
	if ctx.Err() != nil { // stopping is not the destination's fault
		return d.store.Release(rec, []string{e.ID}, d.now())
	}
	kind := feature.KindOf(cause)
	dead := kind == feature.Invalid || kind == feature.Unsupported || e.Attempts+1 >= d.cfg.MaxAttempts
	wait := d.cfg.MaxBackoff
	if e.Attempts < 30 {
		wait = min(wait, d.cfg.Backoff<<e.Attempts)
	}
	if wait <= 0 {
		wait = d.cfg.MaxBackoff
	}
	d.failed.WithLabelValues(e.Destination).Inc()
	if dead {
		d.dead.WithLabelValues(e.Destination).Inc()
		d.log.Error("event given up: it stays in the outbox and can be sent again", "id", e.ID, "destination", e.Destination, "attempts", e.Attempts+1, "error", cause)
	} else {
		d.log.Warn("event not delivered, will try again", "id", e.ID, "destination", e.Destination, "attempt", e.Attempts+1, "in", wait, "error", cause)
	}
	now := d.now()
	return d.store.Fail(rec, e.ID, cause.Error(), now, now.Add(wait), dead)
}
