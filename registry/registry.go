package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// Registry is the catalog of a store, kept up to date in memory. Safe for
// concurrent use, also by several processes on one store.
//
//   - Reading (Current, Get, List) never touches the store.
//   - What this process changes is seen here at once; what others change, one
//     poll interval later at most. Apply and Plan look at the store first.
//   - While the store does not answer, the last known catalog stays in use.
type Registry struct {
	store  Store
	cfg    Config
	checks Checks
	log    *slog.Logger
	now    func() time.Time

	current atomic.Pointer[state] // written under mu; revisions only go up
	applies sync.Mutex            // one Apply of this process at a time: they would only meet in the store

	mu     sync.Mutex
	subs   map[*subscription]struct{} // under mu; nil after Close
	past   map[int64]*Catalog         // under mu; old revisions asked for
	order  []int64                    // under mu; keys of past, oldest question first
	failed bool                       // under mu; the last poll did not reach the store

	stop context.CancelFunc
	done chan struct{}

	revision prometheus.Gauge
	failures prometheus.Counter
}

// pastCatalogs is how many old catalogs stay in memory: replays ask for few.
const pastCatalogs = 8

// Open reads the catalog and starts to follow it. The store stays the caller's:
// close it after the registry. checks are run on what Plan and Apply are given.
func Open(ctx context.Context, store Store, cfg Config, checks Checks, log *slog.Logger, metrics prometheus.Registerer) (*Registry, error) {
	if err := cfg.Validate(); err != nil {
		return nil, feature.Errorf(feature.Invalid, "registry.open", "", "%w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		store: store, cfg: cfg, checks: checks, log: log, now: time.Now,
		subs: map[*subscription]struct{}{}, past: map[int64]*Catalog{}, done: make(chan struct{}),
		revision: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_registry_revision", Help: "Revision of the catalog in use."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_registry_refresh_failures_total", Help: "Looks for a newer catalog that did not reach the store."}),
	}
	empty, _ := build(0, nil, nil)
	r.current.Store(&state{catalog: empty, records: map[feature.Ref]Record{}})
	if _, err := r.refresh(ctx); err != nil {
		return nil, err
	}
	if metrics != nil {
		if err := errors.Join(metrics.Register(r.revision), metrics.Register(r.failures)); err != nil {
			return nil, feature.Errorf(feature.Internal, "registry.open", "", "%w", err)
		}
	}
	ctx, r.stop = context.WithCancel(context.Background())
	go r.follow(ctx)
	return r, nil
}

// Close stops following the store and closes all subscriptions.
func (r *Registry) Close() error {
	r.stop()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.subs {
		close(s.ch)
	}
	r.subs = nil
	return nil
}

func (r *Registry) follow(ctx context.Context) {
	defer close(r.done)
	t := time.NewTicker(r.cfg.PollInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		_, err := r.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		was := r.failed
		r.failed = err != nil
		r.mu.Unlock()
		switch { // a line when it starts and when it ends, not one a second
		case err != nil:
			r.failures.Inc()
			if !was {
				r.log.Warn("the catalog cannot be refreshed, the last known one stays in use", "revision", r.current.Load().catalog.revision, "error", err)
			}
		case was:
			r.log.Info("the catalog is refreshed again", "revision", r.current.Load().catalog.revision)
		}
	}
}

// Current is the newest catalog known here. It does not touch the store, so the
// error is always nil; it is there for those that ask a remote registry.
func (r *Registry) Current(context.Context) (*Catalog, error) {
	return r.current.Load().catalog, nil
}

// Refresh looks at the store now and returns the newest catalog.
func (r *Registry) Refresh(ctx context.Context) (*Catalog, error) {
	s, err := r.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return s.catalog, nil
}

func (r *Registry) refresh(ctx context.Context) (*state, error) {
	newest, err := r.store.Revision(ctx)
	if err != nil {
		return nil, err
	}
	if s := r.current.Load(); s.catalog.revision >= newest {
		return s, nil
	}
	s, err := r.load(ctx, newest)
	if err != nil {
		return nil, err
	}
	return r.install(s), nil
}

// load rebuilds a revision from its records.
func (r *Registry) load(ctx context.Context, revision int64) (*state, error) {
	records, err := r.store.Load(ctx, revision)
	if err != nil {
		return nil, err
	}
	s := &state{records: make(map[feature.Ref]Record, len(records))}
	items := make([]item, 0, len(records))
	for _, rec := range records {
		d, err := Decode(rec.Ref.Kind, rec.Body)
		if err != nil {
			return nil, feature.Errorf(feature.Internal, "registry.load", fmt.Sprintf("%s@%d", rec.Ref, rec.Version), "%w", err).
				WithHint("was it written by a newer weir?")
		}
		s.records[rec.Ref] = rec
		items = append(items, item{d, rec.Version})
	}
	var faults []refFault
	if s.catalog, faults = build(revision, items, nil); len(faults) > 0 {
		return nil, feature.Errorf(feature.Internal, "registry.load", fmt.Sprintf("revision %d", revision), "%s: %w", faults[0].ref, faults[0].Fault)
	}
	return s, nil
}

// install makes s current unless something newer is, tells the subscribers, and
// returns what is current.
func (r *Registry) install(s *state) *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.current.Load(); now.catalog.revision >= s.catalog.revision {
		return now
	}
	r.current.Store(s)
	r.revision.Set(float64(s.catalog.revision))
	for sub := range r.subs {
		sub.offer(s.catalog)
	}
	return s
}

// At is the catalog as it was at a revision; feature.NotFound for one that does not exist.
func (r *Registry) At(ctx context.Context, revision int64) (*Catalog, error) {
	if revision > r.current.Load().catalog.revision {
		if _, err := r.refresh(ctx); err != nil {
			return nil, err
		}
	}
	if c := r.current.Load().catalog; c.revision == revision {
		return c, nil
	}
	r.mu.Lock()
	c := r.past[revision]
	r.mu.Unlock()
	if c != nil {
		return c, nil
	}
	s, err := r.load(ctx, revision)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.past[revision] == nil {
		if len(r.order) == pastCatalogs {
			delete(r.past, r.order[0])
			r.order = r.order[1:]
		}
		r.past[revision] = s.catalog
		r.order = append(r.order, revision)
	}
	return r.past[revision], nil
}

// Get is Catalog.Get on the current catalog.
func (r *Registry) Get(ctx context.Context, ref feature.Ref) (feature.Definition, error) {
	c, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	return c.Get(ref)
}

// List is Catalog.Select on the current catalog.
func (r *Registry) List(ctx context.Context, s Selector) ([]feature.Definition, error) {
	c, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	return c.Select(s), nil
}

// Snapshots is where snapshots are remembered.
func (r *Registry) Snapshots() Snapshots { return r.store }
