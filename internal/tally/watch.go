package tally

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Watch judges windows and tells of changes. Several may share a store: each
// verdict is recorded once.
//
// A window whose owner allows lateness gets an early verdict when the watermark
// reaches its end, an amended one whenever rows have come since, and is closed
// and judged for good when the lateness is over. Without lateness there is one verdict.
type Watch[D any, T Tally[T], V comparable] struct {
	store Store[T, V]
	judge Judge[D, T, V]
	opt   WatchOptions
	kick  chan struct{}

	// mu keeps passes apart: the loop's and those asked for by hand.
	mu     sync.Mutex
	faults Faults // of owners
	pruned time.Time
	flows  map[flowKey]*flow
	looked *view // how far the view that is looked at has come; nil where everything is to be judged now
	// unwatched are the owners of windows, and of what fires, that were not watched at asideAt.
	unwatched map[Series]bool
	asideAt   time.Time
}

// WatchOptions are what a Watch may be given; zero values are fine but for Config.
type WatchOptions struct {
	Config Config
	What   string // what is watched, for the log: "monitor"
	Told   func() // called after an event was recorded: Dispatcher.Kick
	// Passed is called after each look at all series, with its first error.
	Passed func(error)
	// Forgotten ends what fires for a series that is no longer watched, and says whether it told of that; nil leaves it.
	Forgotten func(context.Context, State) (told bool, err error)
	Log       *slog.Logger
	Now       func() time.Time // the wall clock when nil
}

// NewWatch makes a watch; Run starts it.
func NewWatch[D any, T Tally[T], V comparable](store Store[T, V], judge Judge[D, T, V], opt WatchOptions) *Watch[D, T, V] {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Told == nil {
		opt.Told = func() {}
	}
	if opt.Passed == nil {
		opt.Passed = func(error) {}
	}
	return &Watch[D, T, V]{store: store, judge: judge, opt: opt, kick: make(chan struct{}, 1), faults: Faults{}, flows: map[flowKey]*flow{}}
}

// Kick tells that windows may have moved. It never blocks.
func (w *Watch[D, T, V]) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run looks at everything until ctx ends: at every Kick, and every Config.Poll
// for partitions that become idle.
func (w *Watch[D, T, V]) Run(ctx context.Context) error {
	t := time.NewTicker(w.opt.Config.Poll)
	defer t.Stop()
	for {
		_ = w.Pass(ctx) // logged there; the next pass tries again
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-w.kick:
		}
	}
}

// Pass looks at everything once. An owner that cannot be judged does not
// keep the others from it; the error is the first.
func (w *Watch[D, T, V]) Pass(ctx context.Context) (first error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.opt.Passed(first) }()
	all, err := w.judge.Watched(ctx)
	w.fault(ctx, "", err)
	if err != nil {
		return err
	}
	for i := range all {
		_, err := w.look(ctx, &all[i], false)
		w.fault(ctx, all[i].String(), err)
		if err != nil && first == nil {
			first = err
		}
	}
	err = w.aside(ctx, all)
	if err != nil && first == nil {
		first = err
	}
	if w.faults.New(ctx, "\x00aside", err) { // no owner is called so
		w.opt.Log.Error("what nothing watches any more cannot be ended, will try again", "of", w.opt.What, "error", err)
	}
	if err = w.prune(ctx, all); w.faults.New(ctx, "\x00prune", err) {
		w.opt.Log.Error("what is older than it is kept for cannot be forgotten, will try again", "of", w.opt.What, "error", err)
	}
	return first
}

// prune forgets what is too old to be needed, once an hour.
func (w *Watch[D, T, V]) prune(ctx context.Context, all []Watched[D]) error {
	now := w.opt.Now()
	if now.Sub(w.pruned) <= time.Hour {
		return nil
	}
	keep, err := w.kept(ctx, all)
	if err == nil {
		c := w.opt.Config
		err = w.store.Prune(ctx, now.Add(-c.KeepSettled), now.Add(-c.KeepProfiles), now.Add(-c.KeepDelivered), keep...)
	}
	if err == nil {
		w.pruned = now
	}
	return err
}

// fault logs what an owner suffers from when it changes.
func (w *Watch[D, T, V]) fault(ctx context.Context, owner string, err error) {
	if w.faults.New(ctx, owner, err) {
		w.opt.Log.Error(w.opt.What+" cannot be judged, will try again", w.opt.What, owner, "error", err)
	}
}

// Judge closes all windows of an owner now, judges those that wait for a verdict,
// and returns the windows that got one for good, without their profiles and the newest 2,000 at most. Rows that come later for them
// are late. ErrNotWatched when the owner is not watched.
func (w *Watch[D, T, V]) Judge(ctx context.Context, project, owner string) (judged []Record[T, V], err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, err := w.judge.Watched(ctx)
	if err != nil {
		return nil, err
	}
	found := false
	for i := range all {
		if all[i].Project != project || all[i].Owner != owner {
			continue
		}
		found = true
		some, err := w.look(ctx, &all[i], true)
		judged = append(judged, some...)
		if err != nil {
			return judged, err
		}
	}
	if !found {
		return nil, ErrNotWatched
	}
	return judged, nil
}

// ErrNotWatched is what Watch.Judge returns for an owner that nobody watches.
var ErrNotWatched = feature.Errorf(feature.NotFound, "tally.judge", "owner", "there is none")

// mostReturned is how many windows Judge returns.
const mostReturned = 2000

// newest are the last n, and nothing before them in memory.
func newest[R any](all []R, n int) []R {
	if len(all) <= n {
		return all
	}
	return slices.Clone(all[len(all)-n:])
}

// chunk is how many windows are judged before the next are read: their profiles take memory.
const chunk = 32

// look closes and judges the windows of a series; force closes all of them.
func (w *Watch[D, T, V]) look(ctx context.Context, x *Watched[D], force bool) ([]Record[T, V], error) {
	v, err := w.progress(ctx, x)
	if err != nil {
		return nil, err
	}
	if w.looked = &v; force {
		w.looked = nil
	}
	q := WindowQuery{Project: x.Project, Owner: x.Owner, Size: x.Size, States: []WindowState{Open}}
	bare := q
	bare.Bare = true
	open, err := w.store.Windows(ctx, bare)
	if err != nil {
		return nil, err
	}
	merges, err := w.merges(ctx, x, open)
	if err != nil {
		return nil, err
	}
	var starts []int64
	var early []Record[T, V]
	for i := range open {
		r := &open[i]
		switch {
		case force || v.due(x.Window.Lateness.Micros(), r.span(), r.Rows > r.ImportRows, r.Imports):
			starts = append(starts, r.Start)
		case x.Window.Rows == 0 && merges[i] > r.Seen && r.Rows > r.ImportRows && v.marked && r.span().Due(v.mark, 0) && !w.judge.Skips(x, r.Start-x.Window.Reach(), r.End):
			early = append(early, *r)
		}
	}
	if len(starts) > 0 {
		if err := w.store.Close(ctx, x.Series, starts, w.opt.Now()); err != nil {
			return nil, err
		}
	}
	past, err := w.past(ctx, x, &v, force)
	if err != nil {
		return nil, err
	}
	// Oldest first: those that are over come before those that may change.
	judged, err := w.last(ctx, x, q, past, force)
	if err != nil {
		return judged, err
	}
	return judged, w.early(ctx, x, q, early, past)
}

// last judges what is closed, for good, and returns the newest of it where that is wanted: an import of years leaves a
// hundred thousand windows, and their profiles would be gigabytes.
func (w *Watch[D, T, V]) last(ctx context.Context, x *Watched[D], q WindowQuery, past func(int64) bool, wanted bool) (judged []Record[T, V], err error) {
	defer func() { judged = newest(judged, mostReturned) }()
	var none T
	for {
		q.States, q.Profiles, q.Bare, q.Limit = []WindowState{Closed}, false, true, 1
		wait, err := w.store.Windows(ctx, q)
		if err != nil || len(wait) == 0 {
			return judged, err
		}
		if waits, err := w.waits(ctx, x, wait[0], past); err != nil || waits {
			return judged, err
		}
		q.Profiles, q.Bare, q.Limit = true, false, chunk
		if wait, err = w.store.Windows(ctx, q); err != nil {
			return judged, err
		}
		for i := range wait {
			done, err := w.verdict(ctx, x, &wait[i], Judged, past)
			if err != nil || !done {
				return judged, err
			}
			if wanted && wait[i].State != Part && wait[i].State != Passed {
				wait[i].Profile = none
				if judged = append(judged, wait[i]); len(judged) >= 2*mostReturned {
					judged = newest(judged, mostReturned)
				}
			}
		}
	}
}

// waits reports whether the window that ends with a pane has to wait. It is asked of the first, which the others stand behind: they
// may do so for weeks, and their profiles would be read at every look.
func (w *Watch[D, T, V]) waits(ctx context.Context, x *Watched[D], r Record[T, V], past func(int64) bool) (bool, error) {
	if r.Seen > 0 {
		return false, nil
	}
	start, ends, err := w.begins(ctx, x, &r)
	if err != nil || ends != Judged || w.judge.Skips(x, start, r.End) {
		return ends == Open, err
	}
	r.Start = start
	return w.judge.Waits(ctx, x, &r, past)
}

// early judges open windows whose end the stream has reached.
func (w *Watch[D, T, V]) early(ctx context.Context, x *Watched[D], q WindowQuery, early []Record[T, V], past func(int64) bool) error {
	if len(early) > 0 {
		if waits, err := w.waits(ctx, x, early[0], past); err != nil || waits {
			return err
		}
	}
	starts := make([]int64, len(early))
	for i := range early {
		starts[i] = early[i].Start
	}
	q.Profiles = true
	for len(starts) > 0 {
		q.Starts = starts[:min(chunk, len(starts))]
		starts = starts[len(q.Starts):]
		some, err := w.store.Windows(ctx, q)
		if err != nil {
			return err
		}
		for i := range some {
			if done, err := w.verdict(ctx, x, &some[i], Open, past); err != nil || !done {
				return err
			}
		}
	}
	return nil
}

// verdict gives the window that ends with a pane its verdict and records it with all that follows
// from it; r becomes the window. done is false while it has to wait, or when another watch was first.
func (w *Watch[D, T, V]) verdict(ctx context.Context, x *Watched[D], r *Record[T, V], to WindowState, past func(int64) bool) (done bool, err error) {
	pane := r.Start
	start, ends, err := w.begins(ctx, x, r)
	if err != nil || ends == Open {
		return false, err
	}
	if ends == Judged {
		if *r, err = w.whole(ctx, x, start, r); err != nil {
			return false, err
		}
	}
	j := &Judgement[V]{Series: r.Series, Start: pane, State: to, Deltas: r.Deltas, Seen: r.Seen, Change: Change{At: w.opt.Now()}}
	switch {
	case ends != Judged:
		j.State = ends
	case w.judge.Skips(x, r.Start, r.End):
		j.State = Skipped
	case r.Seen > 0 && r.Seen == r.Deltas:
		j.Verdict = r.Verdict // nothing has come since the early one
	default:
		v, o, wait, err := w.judge.Judge(ctx, x, r, past)
		if err != nil || wait {
			return false, err
		}
		j.Verdict = v
		if err := w.turn(ctx, x, r, j, o); err != nil {
			return false, err
		}
	}
	ok, err := w.store.Record(ctx, j)
	if err != nil || !ok {
		// Another watch was first: what waits is to be read anew.
		return false, err
	}
	r.Take(j)
	if j.State == Passed {
		w.opt.Log.Info("rows are in no window: they came for a time between those that were judged", w.opt.What, x.String(), "window", r.span().String(), "rows", r.Rows)
	}
	if j.State == Part || j.State == Passed {
		return true, nil
	}
	w.opt.Log.Debug("window judged", w.opt.What, x.String(), "window", r.span().String(), "rows", r.Rows, "state", j.State, "amended", r.Amended)
	w.judge.Recorded(x, r, j)
	if j.Event != nil {
		w.opt.Told()
	}
	return true, nil
}

// turn finds the state that a verdict leads to, and the event.
func (w *Watch[D, T, V]) turn(ctx context.Context, x *Watched[D], r *Record[T, V], j *Judgement[V], o Outcome) error {
	all, err := w.store.States(ctx, r.Project, r.Owner)
	if err != nil {
		return err
	}
	st := State{Series: r.Series}
	for _, s := range all {
		if s.Series == r.Series {
			st = s
		}
	}
	next, turn, moved := st.Count(r.Start, o, x.Fire, x.Resolve)
	if !moved {
		return nil
	}
	next.View, next.Version = x.View, x.Version
	if turn != nil {
		after := *r // as it will be when the event is read
		after.Take(j)
		if j.Event, j.Outbox, err = w.judge.Turned(x, &after, j.Verdict, *turn, j.At); err != nil {
			return err
		}
		if j.Event != nil {
			next.Event = j.Event.ID
		}
	}
	j.Next = &next
	return nil
}

func (w *Record[T, V]) span() window.Window { return window.Window{Start: w.Start, End: w.End} }
