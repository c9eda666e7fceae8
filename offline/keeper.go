package offline

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/registry/feature"
)

// Keeper keeps the tables of all views small by itself: it compacts, lets old
// snapshots expire, and removes files that nothing names.
//
// Several processes may each have one. Nothing they do at the same time does harm:
// every step is a compare-and-swap, and who comes second finds nothing left to do.
// That they seldom meet is left to chance: each goes through the views in an order
// of its own and waits for a time of its own. A lease was not taken, for it
// would need a place to be kept and somebody to break it.
type Keeper struct {
	opt KeeperOptions
	met *keeperMetrics

	mu    sync.Mutex
	swept map[string]time.Time // guarded by mu; by view, when it was last swept here
	shown map[string]bool      // guarded by mu; views with gauges
}

// KeeperOptions are what a Keeper is made of.
type KeeperOptions struct {
	Tables Store
	Views  func(context.Context) ([]*feature.View, error) // those there are now
	// Snapshots tells which snapshots there are: tags of others are taken off (SweepTags). May be nil.
	Snapshots SnapshotLookup
	Config    Config // Upkeep says when and what, Compact and the rest how files are merged
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Now       func() time.Time // time.Now when nil
}

// Kept is what upkeep did to one table.
type Kept struct {
	Compacted Compacted
	Expired   Expired
	Swept     Swept
}

// NewKeeper makes a keeper; Run starts it.
func NewKeeper(o KeeperOptions) (*Keeper, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: "offline.keeper", What: "settings", Err: err}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Keeper{opt: o, met: newKeeperMetrics(o.Metrics), swept: map[string]time.Time{}, shown: map[string]bool{}}, nil
}

// Run works until ctx ends. Nothing that fails ends it: it is logged, counted and
// tried again in the next round.
func (k *Keeper) Run(ctx context.Context) error {
	// Processes that were started together do not begin together.
	for wait := rand.N(k.opt.Config.Upkeep.Interval/5 + 1); sleepFor(ctx, wait); wait = jittered(k.opt.Config.Upkeep.Interval) {
		k.Round(ctx)
	}
	return nil
}

// Round looks at every table once.
func (k *Keeper) Round(ctx context.Context) {
	views, err := k.opt.Views(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.met.runs.WithLabelValues("", "", "list", outcome(err)).Inc()
			k.opt.Log.Warn("upkeep: the views cannot be listed", "err", err)
		}
		return
	}
	k.forget(views)
	views = slices.Clone(views)
	rand.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
	var g errgroup.Group
	g.SetLimit(k.opt.Config.Upkeep.Concurrent)
	for _, v := range views {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			_, _ = k.Keep(ctx, v) // it has said what failed
			sleepFor(ctx, k.opt.Config.Upkeep.Pause)
			return nil
		})
	}
	_ = g.Wait()
}

// Keep does what a table needs. A step that fails does not keep the next one from
// being done; the errors are joined.
func (k *Keeper) Keep(ctx context.Context, v *feature.View) (kept Kept, err error) {
	t, err := k.opt.Tables.Table(ctx, v)
	if err != nil {
		k.failed(ctx, v, "open", err)
		return kept, err
	}
	defer t.Close()
	if k.opt.Config.Upkeep.Enabled {
		began := k.opt.Now()
		err = k.step(ctx, v, "compact", func() (err error) {
			kept.Compacted, err = Compact(ctx, t, CompactOptions{Config: k.opt.Config, Log: k.opt.Log})
			k.met.compacted(v, kept.Compacted)
			return err
		})
		if k.opt.Snapshots != nil {
			err = errors.Join(err, k.step(ctx, v, "tags", func() error {
				_, err := SweepTags(ctx, t, k.opt.Snapshots, k.opt.Now(), k.opt.Log)
				return err
			}))
		}
		err = errors.Join(err, k.step(ctx, v, "expire", func() (err error) {
			kept.Expired, err = k.expire(ctx, t)
			k.met.expired(v, kept.Expired)
			return err
		}))
		if k.sweepsNow(v) {
			err = errors.Join(err, k.step(ctx, v, "sweep", func() (err error) {
				kept.Swept, err = t.Sweep(ctx, SweepOptions{Before: k.opt.Now().Add(-k.opt.Config.Upkeep.OrphanAge).UnixMicro()})
				k.met.swept(v, kept.Swept)
				if err != nil {
					k.sweepsAgain(v)
				}
				return err
			}))
		}
		if err == nil {
			k.met.last.WithLabelValues(labelsOf(v)...).Set(float64(k.opt.Now().UnixMilli()) / 1000)
			if kept.Compacted.Gone+kept.Expired.Snapshots+kept.Swept.Files > 0 {
				k.opt.Log.Info("upkeep", "view", v.ID(), "files_merged", kept.Compacted.Gone, "into", kept.Compacted.Made, "snapshots_expired", kept.Expired.Snapshots,
					"files_removed", kept.Expired.Files, "orphans_removed", kept.Swept.Files, "took", k.opt.Now().Sub(began).Round(time.Millisecond))
			}
		}
	}
	return kept, errors.Join(err, k.show(ctx, v, t))
}

// step runs one step and counts how it went.
func (k *Keeper) step(ctx context.Context, v *feature.View, name string, f func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := f()
	if err == nil {
		k.met.runs.WithLabelValues(append(labelsOf(v), name, "ok")...).Inc()
		return nil
	}
	k.failed(ctx, v, name, err)
	return err
}

func (k *Keeper) failed(ctx context.Context, v *feature.View, step string, err error) {
	if ctx.Err() != nil {
		return // stopped, not failed
	}
	k.met.runs.WithLabelValues(append(labelsOf(v), step, outcome(err))...).Inc()
	if feature.KindOf(err) == feature.Conflict {
		k.opt.Log.Debug("upkeep: somebody else was first", "view", v.ID(), "step", step, "err", err)
		return
	}
	k.opt.Log.Warn("upkeep: tried again in the next round", "view", v.ID(), "step", step, "err", err)
}

// outcome is what counts a failed step.
func outcome(err error) string {
	if feature.KindOf(err) == feature.Conflict {
		return "conflict"
	}
	return "error"
}

func (k *Keeper) expire(ctx context.Context, t Table) (Expired, error) {
	c := k.opt.Config.Upkeep
	before := k.opt.Now().Add(-c.SnapshotAge).UnixMicro()
	if c.SnapshotsMost > 0 {
		all, err := t.History(ctx)
		if err != nil {
			return Expired{}, err
		}
		before = max(before, min(crowded(all, c.SnapshotsMost), k.opt.Now().Add(-youngest).UnixMicro()))
	}
	return t.Expire(ctx, ExpireOptions{Before: before, Keep: c.SnapshotsKept})
}

// crowded is the time before which snapshots have to have been replaced so that no
// more than most stay; 0 when there are not more.
func crowded(all []Snapshot, most int) int64 {
	var made []int64
	for _, s := range all {
		if len(s.Tags) == 0 {
			made = append(made, s.CommittedAt)
		}
	}
	if len(made) <= most {
		return 0
	}
	slices.SortFunc(made, func(a, b int64) int { return cmp.Compare(b, a) })
	// What made[most] was replaced by is made[most-1].
	return made[most-1] + 1
}

// sweepsNow tells whether a table's folder is to be listed this time. A process
// that has just begun waits too, so that one that is started again and again does
// not list all folders each time.
func (k *Keeper) sweepsNow(v *feature.View) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.opt.Now()
	last, ok := k.swept[v.ID()]
	if !ok {
		last = now.Add(-rand.N(k.opt.Config.Upkeep.SweepInterval))
		k.swept[v.ID()] = last
	}
	if now.Sub(last) < k.opt.Config.Upkeep.SweepInterval {
		return false
	}
	k.swept[v.ID()] = now
	return true
}

// sweepsAgain has the next round try what failed in this one.
func (k *Keeper) sweepsAgain(v *feature.View) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.swept[v.ID()] = k.opt.Now().Add(-k.opt.Config.Upkeep.SweepInterval)
}

// show sets the gauges of a table.
func (k *Keeper) show(ctx context.Context, v *feature.View, t Table) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st, err := t.Load(ctx, Version{})
	if err != nil {
		k.failed(ctx, v, "load", err)
		return err
	}
	all, err := t.History(ctx)
	if err != nil {
		k.failed(ctx, v, "history", err)
		return err
	}
	k.met.show(v, st, len(all))
	k.mu.Lock()
	k.shown[v.ID()] = true
	k.mu.Unlock()
	return nil
}

// forget takes the gauges of views away that are no more.
func (k *Keeper) forget(views []*feature.View) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.shown {
		if !slices.ContainsFunc(views, func(v *feature.View) bool { return v.ID() == id }) {
			k.met.hide(id)
			delete(k.shown, id)
			delete(k.swept, id)
		}
	}
}

// jittered is d, a fifth more or less.
func jittered(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5+1) }

// sleepFor waits; false when ctx ended before.
func sleepFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
