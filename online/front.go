package online

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/registry/feature"
)

// front answers lookups in front of a store: from a local cache, with the last known value where the
// store does not answer, and with one question for what several requests ask for at once.
// All of it is off by default, for all of it can answer with what is not the newest any more.
//
// How old an answer can be: a cached one CacheTTL, a stale one StaleFor, both counted from when
// the store was asked; a shared one as long as the question that it shares took.
type front struct {
	Store
	cfg     Config
	cache   *cache   // nil: neither CacheTTL nor StaleFor
	flights *flights // nil: no Coalesce
	clock   func() time.Time

	hits, misses, stale, shared prometheus.Counter
}

// Careful is a store that can tell an absence from a loss, at the price of a failure. Lookups want that: a false
// "not found" goes into a prediction. What compares and mends the store wants to see what is there.
type Careful interface {
	// Lookups is the store for lookups.
	Lookups() Store
}

// InFront makes the store that lookups go to: Careful where it can be, and with what cfg asks for in front of it.
// clock is time.Now when nil.
func InFront(s Store, cfg Config, clock func() time.Time, reg prometheus.Registerer) Store {
	if c, ok := s.(Careful); ok {
		s = c.Lookups()
	}
	if cfg.CacheTTL == 0 && cfg.StaleFor == 0 && !cfg.Coalesce {
		return s
	}
	if clock == nil {
		clock = time.Now
	}
	count := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	f := &front{Store: s, cfg: cfg, clock: clock,
		hits:   count("weir_online_cache_hits_total", "Values answered from the local cache (online.cache_ttl)."),
		misses: count("weir_online_cache_misses_total", "Values that the store was asked for because the local cache had none that was young enough."),
		stale:  count("weir_online_stale_values_total", "Values answered as they were last known, because the store did not answer (online.stale_for)."),
		shared: count("weir_online_shared_values_total", "Values answered by a question that another request had under way (online.coalesce)."),
	}
	if cfg.CacheTTL > 0 || cfg.StaleFor > 0 {
		f.cache = newCache(cfg.CacheBytes)
	}
	if cfg.Coalesce {
		f.flights = newFlights()
	}
	return f
}

func (f *front) Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	if f.cache == nil {
		return f.ask(ctx, keys, vals, failed)
	}
	asked := f.clock()
	if f.cfg.CacheTTL == 0 {
		err := f.ask(ctx, keys, vals, failed)
		return f.keep(asked, err, keys, vals, failed)
	}
	missing := make([]int, 0, len(keys))
	for i, k := range keys {
		if v, ok := f.cache.get(k, asked.Add(-f.cfg.CacheTTL)); ok {
			vals[i] = v
		} else {
			missing = append(missing, i)
		}
	}
	f.hits.Add(float64(len(keys) - len(missing)))
	f.misses.Add(float64(len(missing)))
	if len(missing) == 0 {
		return nil
	}
	some := fraction{keys: make([]string, len(missing)), vals: make([][]byte, len(missing)), failed: make([]bool, len(missing))}
	for j, i := range missing {
		some.keys[j] = keys[i]
	}
	err := f.keep(asked, f.ask(ctx, some.keys, some.vals, some.failed), some.keys, some.vals, some.failed)
	for j, i := range missing {
		vals[i], failed[i] = some.vals[j], some.failed[j]
	}
	if err != nil && len(missing) < len(keys) {
		err = partly(err)
	}
	return err
}

// fraction is some of a request's keys.
type fraction struct {
	keys   []string
	vals   [][]byte
	failed []bool
}

// keep remembers what the store said, and says what it said before where it says nothing.
func (f *front) keep(asked time.Time, err error, keys []string, vals [][]byte, failed []bool) error {
	left, old := 0, 0
	for i, k := range keys {
		if !failed[i] {
			f.cache.put(k, vals[i], asked)
			continue
		}
		left++
		if f.cfg.StaleFor == 0 {
			continue
		}
		// A key that was absent may be there by now: that is no value to fall back on.
		if v, ok := f.cache.get(k, asked.Add(-f.cfg.StaleFor)); ok && v != nil {
			vals[i], failed[i] = v, false
			old++
		}
	}
	f.stale.Add(float64(old))
	switch {
	case left == old:
		return nil
	case old > 0:
		return partly(err)
	}
	return err
}

// partly is the error of an answer that has good parts. Exhausted means that there are none.
func partly(err error) error {
	if feature.KindOf(err) != feature.Exhausted {
		return err
	}
	return &feature.Error{Kind: feature.Unavailable, Op: "online.get", Err: err}
}

func (f *front) ask(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	if f.flights == nil {
		return f.Store.Get(ctx, keys, vals, failed)
	}
	n, err := f.flights.get(ctx, f.Store, keys, vals, failed)
	f.shared.Add(float64(n))
	return err
}
