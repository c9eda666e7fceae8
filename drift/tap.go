package drift

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Tap is the sink of one view that folds its rows into the windows of the
// view's monitors. It satisfies ingest.Sink.
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
type Tap struct {
	view  string
	store Store
	opt   TapOptions

	plan atomic.Pointer[plan] // replaced by SetMonitors, read by each Write

	// mu guards the maps and dead. A partition's own fields are guarded by its mutex,
	// which is taken after mu, never before.
	mu    sync.Mutex
	parts map[part]*partition
	cuts  map[string]*cut
	dead  []string // discarded commits that may still be staged
	// landed holds the progress of commits that were not staged because no
	// monitor wanted them, for the first monitor that does.
	landed map[part]Mark

	bytes atomic.Int64
}

// TapOptions are what a Tap may be given; zero values are fine.
type TapOptions struct {
	Log     *slog.Logger
	Metrics *Metrics
	Settled func()           // called after each Settle that moved a window or progress: Watch.Kick
	Now     func() time.Time // only for how long a partition has been quiet
}

type part struct {
	topic [16]byte
	num   int32
}

func partOf(p feature.Position) part { return part{p.TopicID, p.Partition} }

// partition is what was written of a partition since it was last cut.
type partition struct {
	mu       sync.Mutex
	next     int64 // rows below are folded, or were before this worker
	known    bool  // next was told by Assign
	counted  int64 // rows below are in the windows, also where the table was rolled back below it
	maxEvent int64
	any      bool
	folds    map[foldKey]*fold
	bytes    int64
	gone     bool // replaced or revoked while a batch was under way: the rows come again
	bound    *binding
	f        folder
}

type foldKey struct {
	to    *target
	start int64
}

// fold is the sketches of one window, in the order of target.fields.
type fold struct {
	win      window.Window
	rows     int64
	sketches []*Sketch
}

// plan is what the monitors ask for.
type plan struct{ targets []*target }

type target struct {
	series Series
	size   window.Size
	fields []feature.Field
}

// binding is a plan's columns in the batches of one version of the view.
type binding struct {
	plan *plan
	view *feature.View
	cols [][]int // for each target and field; -1 where the view does not have it
}

// cut is what belongs to one commit.
type cut struct {
	marks  []Mark
	folds  []cutFold
	bytes  int64
	staged *Staged // made by the first Stage
}

type cutFold struct {
	key      foldKey
	importID string
	*fold
}

// NewTap makes the sink of a view for the monitors that watch it; others are left out.
func NewTap(view *feature.View, monitors []*feature.Monitor, store Store, opt TapOptions) *Tap {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Metrics == nil {
		opt.Metrics = NewMetrics(nil)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	t := &Tap{
		view: view.ID(), store: store, opt: opt,
		parts: map[part]*partition{}, cuts: map[string]*cut{}, landed: map[part]Mark{},
	}
	t.SetMonitors(monitors)
	return t
}

// SetMonitors replaces the monitors; those of other views are left out. It may
// be called at any time: a batch being written still goes to the old ones.
func (t *Tap) SetMonitors(monitors []*feature.Monitor) {
	p := &plan{}
	for _, m := range monitors {
		if m.ViewOf == nil || m.ViewOf.ID() != t.view {
			continue
		}
		size, err := window.Parse(m.Window.Size)
		if err != nil { // the catalog does not let it in
			t.opt.Log.Error("monitor is not watched", "monitor", m.ID(), "error", err)
			continue
		}
		p.targets = append(p.targets, &target{series: SeriesOf(m), size: size, fields: Monitored(m)})
	}
	t.plan.Store(p)
}

// Name implements ingest.Sink.
func (t *Tap) Name() string { return "drift" }

// Buffered is about how many bytes the folds take that are not yet settled.
func (t *Tap) Buffered() int64 { return t.bytes.Load() }

// Assign implements ingest.Sink. Commits of this Tap that name the partitions and whose
// outcome was unknown are decided by where the table stands.
func (t *Tap) Assign(ctx context.Context, at []feature.Position) error {
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
		t.settled()
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
		t.parts[partOf(p)] = &partition{next: from, known: true, counted: from}
	}
	return nil
}

// Revoke implements ingest.Sink.
func (t *Tap) Revoke(parts []feature.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range parts {
		t.forget(partOf(p))
	}
}

// forget drops what was not cut of a partition; t.mu is held.
func (t *Tap) forget(k part) {
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

// Write implements ingest.Sink.
func (t *Tap) Write(_ context.Context, b *feature.Batch) error {
	covered := b.Covered()
	k := part{covered.TopicID, covered.Partition}
	t.mu.Lock()
	p := t.parts[k]
	if p == nil {
		p = &partition{}
		t.parts[k] = p
	}
	t.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	from := 0
	if p.known {
		from = b.From(p.next)
	}
	p.next, p.known = max(p.next, covered.Next), true
	n := b.Len()
	for i := from; i < n; i++ {
		// A tombstone's time is when it was sent, which says nothing about how far events have come.
		if ts := b.EventTime[i]; !b.Deleted(i) && (!p.any || ts > p.maxEvent) {
			p.maxEvent, p.any = ts, true
		}
	}
	pl := t.plan.Load()
	if len(pl.targets) == 0 || from == n {
		return nil
	}
	p.bind(pl, b.View)
	for ti, to := range pl.targets {
		p.fold(to, p.bound.cols[ti], b, from)
	}
	size := p.size()
	t.bytes.Add(size - p.bytes)
	p.bytes = size
	return nil
}

func (p *partition) bind(pl *plan, v *feature.View) {
	if p.bound != nil && p.bound.plan == pl && p.bound.view == v {
		return
	}
	p.bound = &binding{plan: pl, view: v}
	for _, to := range pl.targets {
		cols := make([]int, len(to.fields))
		for i, f := range to.fields {
			cols[i] = -1
			if at := v.Stored(f.Stored()); at >= 0 {
				cols[i] = len(v.Keys) + at
			}
		}
		p.bound.cols = append(p.bound.cols, cols)
	}
}

// fold goes through the rows in runs of one window: in a stream nearly in order they are long.
func (p *partition) fold(to *target, cols []int, b *feature.Batch, from int) {
	n := b.Len()
	for i := from; i < n; {
		if b.Deleted(i) {
			i++
			continue
		}
		w := to.size.Of(b.EventTime[i])
		j := i + 1
		for j < n && w.Contains(b.EventTime[j]) && !b.Deleted(j) {
			j++
		}
		f := p.at(to, w)
		f.rows += int64(j - i)
		for k, c := range cols {
			if c >= 0 {
				p.f.update(f.sketches[k], b.Rows.Column(c), i, j)
			}
		}
		i = j
	}
}

func (p *partition) at(to *target, w window.Window) *fold {
	key := foldKey{to, w.Start}
	if f := p.folds[key]; f != nil {
		return f
	}
	f := &fold{win: w}
	for _, x := range to.fields {
		f.sketches = append(f.sketches, NewSketch(ShapeOf(x.Type)))
	}
	if p.folds == nil {
		p.folds = map[foldKey]*fold{}
	}
	p.folds[key] = f
	return f
}

func (p *partition) size() int64 {
	n := int64(0)
	for _, f := range p.folds {
		n += 128
		for _, s := range f.sketches {
			n += s.Size()
		}
	}
	return n
}

// Cut implements ingest.Sink.
func (t *Tap) Cut(c *feature.Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &cut{}
	for i := range c.Advances {
		a := &c.Advances[i]
		m := Mark{
			TopicID: a.To.TopicID, Partition: a.To.Partition, FromCommit: a.From.Commit, FromNext: a.From.Next,
			Next: a.To.Next, Partitions: c.Partitions, Drained: a.Drained, Final: a.Final,
		}
		if p := t.parts[partOf(a.To)]; p != nil {
			p.mu.Lock()
			m.MaxEvent, m.Any = p.maxEvent, p.any
			id := ""
			if a.To.Partition == feature.ImportPartition {
				id = importID(a.To.TopicID)
			}
			for key, f := range p.folds {
				x.folds = append(x.folds, cutFold{key, id, f})
			}
			x.bytes += p.bytes
			p.folds, p.bytes = nil, 0
			p.mu.Unlock()
		}
		x.marks = append(x.marks, m)
	}
	t.cuts[c.ID] = x
}

// Stage implements ingest.Sink.
func (t *Tap) Stage(ctx context.Context, c *feature.Commit) error {
	x, dead := t.pending(c.ID)
	if x == nil {
		return nil
	}
	if len(dead) > 0 {
		if err := t.store.Drop(ctx, dead); err != nil {
			return err
		}
		t.undead(len(dead))
	}
	if x.staged == nil {
		if !t.watched() && len(x.folds) == 0 {
			return nil
		}
		x.staged = t.build(c.ID, x)
	}
	return t.store.Stage(ctx, x.staged)
}

// pending returns what was cut for the commit, and the discarded commits to drop first.
func (t *Tap) pending(commit string) (*cut, []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cuts[commit], slices.Clone(t.dead)
}

func (t *Tap) undead(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = slices.Delete(t.dead, 0, n)
}

func (t *Tap) watched() bool { return len(t.plan.Load().targets) > 0 }

// build merges the folds of a commit's partitions into one delta a window.
func (t *Tap) build(commit string, x *cut) *Staged {
	s := &Staged{Commit: commit, View: t.view, Marks: slices.Clone(x.marks)}
	t.mu.Lock()
	for k, m := range t.landed {
		i := slices.IndexFunc(x.marks, func(o Mark) bool { return (part{o.TopicID, o.Partition}) == k })
		if i < 0 {
			m.Carried = true
			s.Marks = append(s.Marks, m)
		} else if o := &s.Marks[i]; m.Any && (!o.Any || m.MaxEvent > o.MaxEvent) {
			o.MaxEvent, o.Any = m.MaxEvent, true
		}
	}
	t.mu.Unlock()
	type key struct {
		Series
		start    int64
		importID string
	}
	at := map[key]int{}
	for _, f := range x.folds {
		k := key{f.key.to.series, f.win.Start, f.importID}
		i, ok := at[k]
		if !ok {
			i = len(s.Deltas)
			at[k] = i
			s.Deltas = append(s.Deltas, Delta{Series: k.Series, Start: f.win.Start, End: f.win.End, Import: f.importID, Profile: &Profile{}})
		}
		one := Profile{Rows: f.rows}
		for n, sk := range f.sketches {
			one.Features = append(one.Features, Named{f.key.to.fields[n].Stored(), sk})
		}
		if !ok { // nobody else has the cut's sketches: no copy is needed
			slices.SortFunc(one.Features, func(a, b Named) int { return strings.Compare(a.Name, b.Name) })
			*s.Deltas[i].Profile = one
			continue
		}
		s.Deltas[i].Profile.Merge(&one)
	}
	return s
}

// Settle implements ingest.Sink.
func (t *Tap) Settle(ctx context.Context, c *feature.Commit) error {
	x, _ := t.pending(c.ID)
	if x == nil {
		// Forgotten by an Assign in between; what was staged counts all the same.
		if t.watched() {
			_, err := t.store.Settle(ctx, c.ID, t.opt.Now())
			return err
		}
		return nil
	}
	if x.staged != nil {
		if err := t.merge(ctx, c.ID, x.staged); err != nil {
			return err
		}
	}
	t.mu.Lock()
	delete(t.cuts, c.ID)
	t.bytes.Add(-x.bytes)
	if x.staged != nil {
		clear(t.landed)
	} else {
		for _, m := range x.marks {
			k := part{m.TopicID, m.Partition}
			if had, ok := t.landed[k]; ok && had.Any && !m.Any {
				m.MaxEvent, m.Any = had.MaxEvent, true
			}
			t.landed[k] = m
		}
	}
	t.mu.Unlock()
	if x.staged != nil {
		t.settled()
	}
	return nil
}

// merge has the store settle a commit.
func (t *Tap) merge(ctx context.Context, commit string, s *Staged) error {
	start := time.Now()
	known, err := t.store.Settle(ctx, commit, t.opt.Now())
	if err == nil && !known {
		// Somebody took the staged work for dead. The commit has landed, so it counts.
		if err = t.store.Stage(ctx, s); err == nil {
			_, err = t.store.Settle(ctx, commit, t.opt.Now())
		}
	}
	t.opt.Metrics.settle.Observe(time.Since(start).Seconds())
	return err
}

func (t *Tap) settled() {
	if t.opt.Settled != nil {
		t.opt.Settled()
	}
}

// Discard implements ingest.Sink. The partitions of the commit start again
// where it started: all of their rows that are not in the table come again.
func (t *Tap) Discard(c *feature.Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.cuts[c.ID]
	if x == nil {
		return
	}
	delete(t.cuts, c.ID)
	t.bytes.Add(-x.bytes)
	if x.staged != nil {
		t.dead = append(t.dead, c.ID)
	}
	for i := range c.Advances {
		k := partOf(c.Advances[i].To)
		if p := t.parts[k]; p != nil {
			t.forget(k)
			t.parts[k] = &partition{next: max(c.Advances[i].From.Next, p.counted), known: true, counted: p.counted}
		}
	}
}
