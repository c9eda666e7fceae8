package outbox

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// Dispatcher works an outbox off. Several may share one store.
//
// Each destination is worked off by itself, so that one that hangs, or has much
// to catch up with, takes no time and no place of the others.
type Dispatcher struct {
	store Store
	lines []*line // by name
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	gone  func()
	away  atomic.Bool // the store does not answer

	delivered, failed, dead *prometheus.CounterVec
}

// line is one destination.
type line struct {
	name string
	to   Deliverer
	kick chan struct{}
}

// New makes a dispatcher for the destinations of to. now may be nil for the
// wall clock, reg nil for no metrics.
func New(store Store, to map[string]Deliverer, cfg Config, log *slog.Logger, reg prometheus.Registerer, now func() time.Time) *Dispatcher {
	if now == nil {
		now = time.Now
	}
	d := &Dispatcher{store: store, cfg: cfg, log: log, now: now, gone: func() {}}
	for name, x := range to {
		d.lines = append(d.lines, &line{name, x, make(chan struct{}, 1)})
	}
	slices.SortFunc(d.lines, func(a, b *line) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
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

// OnDead has f called, which must not block, after an entry was given up. Call it before Run.
func (d *Dispatcher) OnDead(f func()) { d.gone = f }

// Kick tells that there may be new entries. It never blocks.
func (d *Dispatcher) Kick() {
	for _, l := range d.lines {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// Run delivers until ctx ends. A store that does not answer is asked again.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, l := range d.lines {
		wg.Go(func() { d.run(ctx, l) })
	}
	wg.Wait()
	return nil
}

func (d *Dispatcher) run(ctx context.Context, l *line) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-l.kick:
		}
		n, err := d.step(ctx, l)
		if ctx.Err() == nil && d.away.CompareAndSwap(err == nil, err != nil) {
			// A line when an outage starts and when it ends, not one a look.
			if err != nil {
				d.log.Error("outbox cannot be read, will try again", "error", err)
			} else {
				d.log.Info("outbox is read again")
			}
		}
		wait := d.cfg.Poll
		if n > 0 && err == nil {
			wait = 0 // there may be more
		}
		t.Reset(wait)
	}
}

// Step delivers what is due now, at most one batch of each destination, and returns how many
// entries it took up.
func (d *Dispatcher) Step(ctx context.Context) (n int, first error) {
	for _, l := range d.lines {
		k, err := d.step(ctx, l)
		if n += k; err != nil && first == nil {
			first = err
		}
	}
	return n, first
}

// taken is what has become of a batch.
type taken struct {
	mu            sync.Mutex
	done, release []string
	recorded      time.Time // when done was last emptied
	err           error
}

// recordAfter is for how long acknowledgements are kept together: they cost a transaction,
// and what a process that dies has kept is sent twice.
const recordAfter = time.Second

// step delivers at most one batch of a destination: keys side by side, the entries of a key one after another.
func (d *Dispatcher) step(ctx context.Context, l *line) (int, error) {
	start := d.now()
	due, err := d.store.Claim(ctx, l.name, start, d.cfg.Lease, d.cfg.Batch)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	var order []string
	keys := map[string][]*Entry{}
	for i := range due {
		k := due[i].Key
		if keys[k] == nil {
			order = append(order, k)
		}
		keys[k] = append(keys[k], &due[i])
	}
	is := &taken{recorded: start}
	next := make(chan []*Entry)
	var wg sync.WaitGroup
	for range min(d.cfg.Parallel, len(order)) {
		wg.Go(func() {
			for entries := range next {
				d.inOrder(ctx, l, entries, start, is)
			}
		})
	}
	for _, k := range order {
		next <- keys[k]
	}
	close(next)
	wg.Wait()
	if e := d.record(ctx, is, 0); e != nil {
		is.err = e
	}
	rec, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
	defer cancel()
	if len(is.release) > 0 {
		if e := d.store.Release(rec, is.release, d.now()); e != nil && is.err == nil {
			is.err = e
		}
	}
	return len(due), is.err
}

// record marks delivered what was acknowledged, unless that was done less than after ago. It is done even while
// stopping, or it is sent again; where it fails the next one has it as well.
func (d *Dispatcher) record(ctx context.Context, is *taken, after time.Duration) error {
	now := d.now()
	is.mu.Lock()
	ids := is.done
	if len(ids) == 0 || now.Sub(is.recorded) < after {
		is.mu.Unlock()
		return nil
	}
	is.done, is.recorded = nil, now
	is.mu.Unlock()
	rec, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.cfg.Timeout)
	defer cancel()
	err := d.store.Done(rec, ids, now)
	if err != nil {
		is.mu.Lock()
		is.done = append(ids, is.done...)
		is.mu.Unlock()
	}
	return err
}

// inOrder delivers the entries of one key up to the first that fails.
func (d *Dispatcher) inOrder(ctx context.Context, l *line, entries []*Entry, start time.Time, is *taken) {
	var release []string
	var err error
	rest := func(from int) {
		for _, e := range entries[from:] {
			release = append(release, e.ID)
		}
	}
	for i, e := range entries {
		// What cannot be finished, and recorded, well before the lease ends is left for the next step: Config has
		// two timeouts at least in a lease.
		if ctx.Err() != nil || d.now().Sub(start) > d.cfg.Lease/3 {
			rest(i)
			break
		}
		if cause := d.deliver(ctx, l, e); cause != nil {
			rest(i + 1)
			err = d.fail(ctx, e, cause)
			break
		}
		is.mu.Lock()
		is.done = append(is.done, e.ID)
		is.mu.Unlock()
		_ = d.record(ctx, is, recordAfter) // or at the end
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.release = append(is.release, release...)
	if is.err == nil {
		is.err = err
	}
}

func (d *Dispatcher) deliver(ctx context.Context, l *line, e *Entry) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	err := l.to.Deliver(ctx, e)
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
		d.log.Error("event given up: it stays in the outbox and can be sent again", "event", e.Event(), "destination", e.Destination, "attempts", e.Attempts+1, "error", cause)
	} else {
		d.log.Warn("event not delivered, will try again", "event", e.Event(), "destination", e.Destination, "attempt", e.Attempts+1, "in", wait, "error", cause)
	}
	now := d.now()
	err := d.store.Fail(rec, e.ID, cause.Error(), now, now.Add(wait), dead)
	if dead && err == nil {
		d.gone()
	}
	return err
}
