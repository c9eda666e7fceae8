package tally

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Tap is the sink of one view that folds its rows into the windows of its
// targets. It satisfies ingest.Sink.
//
// Two invariants. A row is folded once: each partition remembers the offset it
// has come to and skips what lies below; so does the store, because what is counted
// stays counted when the table is rolled back, and comes again. A fold counts once: what was cut for a
// commit is staged under the commit's id before the commit, and merged by the
// store when it has landed; what did not land is dropped there.
//
// The steps: Write folds into the partition's folds; Cut moves them, whole, to
// the commit (no merging: it must not block); Stage merges the partitions of the
// commit and stores one record; Settle has the store merge it.
//
// Counting at Write and taking back what did not land was not done: sketches
// cannot forget.
type Tap[T Tally[T]] struct {
	view  string
	store Stager[T]
	opt   TapOptions

	plan atomic.Pointer[plan[T]] // replaced by SetTargets, read by each Write

	// mu guards the maps and dead. A partition's own fields are guarded by its mutex,
	// which is taken after mu, never before.
	mu    sync.Mutex
	parts map[part]*partition[T]
	cuts  map[string]*cut[T]
	dead  []string // discarded commits that may still be staged
	// landed holds the progress of commits that were not staged because nobody
	// wanted them, for the first target that does.
	landed map[part]Mark

	bytes atomic.Int64
}

// TapOptions are what a Tap may be given; zero values are fine but for Name.
type TapOptions struct {
	Name string // of the sink
	// Held folds the rows that a suite held back too. They then move event time as well,
	// so that windows end where everything is held back.
	Held bool
	// Progress has the progress kept also where there is no target.
	Progress bool
	Log      *slog.Logger
	Merged   func(time.Duration) // called after each merge of a commit, with how long it took
	Settled  func()              // called after each Settle that moved a window or progress: Watch.Kick
	Now      func() time.Time    // only for how long a partition has been quiet
}

type part struct {
	topic [16]byte
	num   int32
}

func partOf(p feature.Position) part { return part{p.TopicID, p.Partition} }

// partition is what was written of a partition since it was last cut.
type partition[T Tally[T]] struct {
	mu       sync.Mutex
	next     int64 // rows below are folded, or were before this worker
	known    bool  // next was told by Assign
	counted  int64 // rows below are in the windows, also where the table was rolled back below it
	maxEvent int64
	any      bool
	rows     int64 // written since the last cut
	folds    map[foldKey[T]]*fold[T]
	bytes    int64
	gone     bool // replaced or revoked while a batch was under way: the rows come again
	bound    *binding[T]
}

type foldKey[T Tally[T]] struct {
	to    *target[T]
	start int64
}

type fold[T any] struct {
	win   window.Window
	tally T
}

// plan is what the targets ask for.
type plan[T Tally[T]] struct{ targets []*target[T] }

type target[T Tally[T]] struct {
	Target[T]
	series Series
	size   window.Size
}

// binding is what folds a plan's targets in the batches of one version of the view.
type binding[T Tally[T]] struct {
	plan  *plan[T]
	view  *feature.View
	folds []func(t T, b *feature.Batch, from, to int, held bool)
}

// cut is what belongs to one commit.
type cut[T Tally[T]] struct {
	marks  []Mark
	folds  []cutFold[T]
	bytes  int64
	staged *Staged[T] // made by the first Stage
}

type cutFold[T Tally[T]] struct {
	key      foldKey[T]
	importID string
	*fold[T]
}

// NewTap makes the sink of a view.
func NewTap[T Tally[T]](view *feature.View, targets []Target[T], store Stager[T], opt TapOptions) *Tap[T] {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Merged == nil {
		opt.Merged = func(time.Duration) {}
	}
	if opt.Settled == nil {
		opt.Settled = func() {}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	t := &Tap[T]{
		view: view.ID(), store: store, opt: opt,
		parts: map[part]*partition[T]{}, cuts: map[string]*cut[T]{}, landed: map[part]Mark{},
	}
	t.SetTargets(targets)
	return t
}

// SetTargets replaces the targets. It may be called at any time: a batch being
// written still goes to the old ones.
func (t *Tap[T]) SetTargets(targets []Target[T]) {
	p := &plan[T]{}
	for _, to := range targets {
		size, err := window.Parse(to.Window().Pane())
		if err != nil { // the catalog does not let it in
			t.opt.Log.Error("windows are not counted", "windows", to.Series().String(), "error", err)
			continue
		}
		p.targets = append(p.targets, &target[T]{Target: to, series: to.Series(), size: size})
	}
	t.plan.Store(p)
}

// Name implements ingest.Sink.
func (t *Tap[T]) Name() string { return t.opt.Name }

// Buffered is about how many bytes the folds take that are not yet settled.
func (t *Tap[T]) Buffered() int64 { return t.bytes.Load() }

// Assign implements ingest.Sink. Commits of this Tap that name the partitions and whose
// outcome was unknown are decided by where the table stands.
func (t *Tap[T]) Assign(ctx context.Context, at []feature.Position) error {
	counted := map[part]int64{}
	if t.watched() {
		// A commit of our own whose outcome was unknown: it has landed, and should the
		// store have taken it for dead, it is still here.
		for _, p := range at {
			if x, _ := t.pending(p.Commit); x != nil && x.staged != nil {
				if err := t.merge(ctx, p.Commit, x.staged); err != nil {
					return err
				}
			}
		}
		if err := t.store.Assign(ctx, t.view, at, t.opt.Now()); err != nil {
			return err
		}
		all, err := t.store.Progress(ctx, t.view)
		if err != nil {
			return err
		}
		for _, p := range all {
			counted[part{p.TopicID, p.Partition}] = p.Next
		}
		t.opt.Settled()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, x := range t.cuts {
		if slices.ContainsFunc(x.marks, func(m Mark) bool {
			return slices.ContainsFunc(at, func(p feature.Position) bool { return partOf(p) == part{m.TopicID, m.Partition} })
		}) {
			// Settled above, or it has not landed and its rows come again.
			t.bytes.Add(-x.bytes)
			delete(t.cuts, id)
		}
	}
	for _, p := range at {
		if _, ok := t.landed[partOf(p)]; !ok && !t.watched() {
			t.landed[partOf(p)] = Mark{TopicID: p.TopicID, Partition: p.Partition, Next: p.Next, Drained: true}
		}
		t.forget(partOf(p))
		from := max(p.Next, counted[partOf(p)])
		t.parts[partOf(p)] = &partition[T]{next: from, known: true, counted: from}
	}
	return nil
}

// Revoke implements ingest.Sink.
func (t *Tap[T]) Revoke(parts []feature.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range parts {
		t.forget(partOf(p))
	}
}

// forget drops what was not cut of a partition; t.mu is held.
func (t *Tap[T]) forget(k part) {
	p := t.parts[k]
	if p == nil {
		return
	}
	p.mu.Lock()
	t.bytes.Add(-p.bytes)
	p.bytes, p.folds, p.gone = 0, nil, true
	p.mu.Unlock()
	delete(t.parts, k)
}

// TakesHeld implements ingest.HeldTaker.
func (t *Tap[T]) TakesHeld() bool { return t.opt.Held }
