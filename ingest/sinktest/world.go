package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/registry/feature"
)

var ctx = context.Background()

const partitions = 3

// world is one store, the log that feeds it, and the model it is compared with.
type world struct {
	t     testing.TB
	store *Store
	view  *feature.View
	log   stream
	mem   *memory.CheckedAllocator

	mu      sync.Mutex
	commits int
	tables  map[string]*Table
	model   map[string]*model // by view
}

// model is what a plain program knows of one view.
type model struct {
	written map[key]map[int64]bool // offsets whose Write has returned
	landed  map[string]*landed
	order   []string // of landed
}

type landed struct {
	c       *feature.Commit
	settled bool
}

func newWorld(t testing.TB, s *Store, seed uint64) *world {
	return &world{t: t, store: s, view: View("things"), log: stream{seed: seed, length: 300},
		mem: memory.NewCheckedAllocator(poison{memory.NewGoAllocator()}), tables: map[string]*Table{}, model: map[string]*model{}}
}

// poison spoils memory when it is given back, so that whoever looks at it later
// reads nonsense.
type poison struct{ memory.Allocator }

func (p poison) Free(b []byte) {
	for i := range b {
		b[i] = 0xa5
	}
	p.Allocator.Free(b)
}

func (w *world) modelOf(v *feature.View) *model {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.model[v.ID()]
	if m == nil {
		m = &model{written: map[key]map[int64]bool{}, landed: map[string]*landed{}}
		w.model[v.ID()] = m
	}
	return m
}

// expected are the rows that the store should show.
func (w *world) expected(v *feature.View) (out []Row) {
	m := w.modelOf(v)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store.Shows == Written {
		for k, offsets := range m.written {
			for o := range offsets {
				if r, ok := w.log.row(k.part, o); ok {
					out = append(out, w.as(r, k.topic))
				}
			}
		}
		return out
	}
	type place struct {
		key
		offset int64
	}
	seen := map[place]bool{} // commits overlap where the table was rolled back between them
	for _, l := range m.landed {
		if w.store.Shows == Settled && !l.settled {
			continue
		}
		for _, a := range l.c.Advances {
			for _, r := range w.log.rows(a.To.Partition, a.From.Next, a.To.Next) {
				if at := (place{key{a.To.TopicID, r.Partition}, r.Offset}); !seen[at] {
					seen[at] = true
					out = append(out, w.as(r, a.To.TopicID))
				}
			}
		}
	}
	return out
}

func (w *world) as(r Row, topic [16]byte) Row {
	r.TopicID = topic
	return r
}

// worker is one worker's side of a view: it does what ingestion does, one step at a time.
type worker struct {
	w     *world
	view  *feature.View
	sink  ingest.Sink
	sinks []ingest.Sink // sink, and the table's writer where the sink has no table
	table ingest.Committer
	topic [16]byte

	at      map[int32]feature.Position // where it knows the table to stand
	read    map[int32]int64            // next offset to write
	flights []*flight                  // cut and not done with
}

type flight struct {
	c     *feature.Commit
	stage int // 0 cut, 1 staged, 2 landed
}

func (w *world) open() *worker { return w.openView(w.view) }

func (w *world) openView(v *feature.View) *worker {
	w.t.Helper()
	w.mu.Lock()
	tb := w.tables[v.ID()]
	if tb == nil {
		tb = &Table{}
		w.tables[v.ID()] = tb
	}
	w.mu.Unlock()
	x := &worker{w: w, view: v, topic: TopicID, at: map[int32]feature.Position{}, read: map[int32]int64{}}
	x.sink, x.table = w.store.Open(w.t, v, tb)
	if x.sink.Name() == "" {
		w.t.Fatal("a sink has a name")
	}
	x.sinks = []ingest.Sink{x.sink}
	if x.table == nil {
		own := tb.Open()
		x.sinks, x.table = append(x.sinks, own), own
	}
	return x
}

// until repeats f as ingestion does: what is Unavailable is tried again.
func (w *world) until(what string, f func() error) error {
	w.t.Helper()
	for n := 0; ; n++ {
		err := f()
		if err == nil || feature.KindOf(err) != feature.Unavailable {
			return err
		}
		if n > 1000 {
			w.t.Fatalf("%s: does not come to an end: %v", what, err)
		}
	}
}

func (w *world) must(what string, f func() error) {
	w.t.Helper()
	if err := w.until(what, f); err != nil {
		w.t.Fatalf("%s (seed %d): %v", what, w.log.seed, err)
	}
}

// assign takes partitions over: where the table does not know them, a commit
// without rows comes first.
func (x *worker) assign(parts ...int32) {
	x.w.t.Helper()
	at := x.locate(parts)
	var fresh []feature.Advance
	id := x.w.id()
	for i, p := range at {
		if p.Commit == "" {
			at[i].Commit, at[i].Revision = id, 1
			fresh = append(fresh, feature.Advance{To: at[i]})
		}
	}
	if len(fresh) > 0 {
		c := &feature.Commit{ID: id, View: x.view, Advances: fresh, Partitions: partitions}
		for _, s := range x.sinks {
			s.Cut(c)
		}
		x.stage(c)
		if err := x.commit(c); err != nil {
			x.discard(c)
			x.assign(parts...) // somebody else was first
			return
		}
		x.settle(c)
	}
	x.adopt(at)
}

func (x *worker) locate(parts []int32) []feature.Position {
	x.w.t.Helper()
	var table []feature.Position
	x.w.must("positions", func() (err error) { table, err = x.table.Positions(ctx); return err })
	at := make([]feature.Position, len(parts))
	for i, n := range parts {
		at[i] = feature.Position{Topic: topic, TopicID: x.topic, Partition: n}
		for _, p := range table {
			if p.Same(at[i]) {
				at[i] = p
			}
		}
	}
	return at
}

func (x *worker) adopt(at []feature.Position) {
	x.w.t.Helper()
	for _, s := range x.sinks {
		x.w.must("assign", func() error { return s.Assign(ctx, at) })
	}
	m := x.w.modelOf(x.view)
	for _, p := range at {
		x.at[p.Partition], x.read[p.Partition] = p, p.Next
		x.w.mu.Lock()
		if l := m.landed[p.Commit]; l != nil {
			l.settled = true
		}
		x.w.mu.Unlock()
	}
	x.w.bounded(x)
}

func (w *world) id() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits++
	return fmt.Sprintf("commit-%d", w.commits)
}

// batch makes the batch [from, to) of a partition; nil where there are no rows.
func (x *worker) batch(p int32, from, to int64) *feature.Batch {
	rows := x.w.log.rows(p, from, to)
	for i := range rows {
		rows[i].TopicID = x.topic
	}
	if len(rows) == 0 {
		return nil
	}
	return BatchOf(x.view, x.w.mem, rows, from, to)
}

// write takes a partition on to offset to, in one batch.
func (x *worker) write(p int32, to int64) {
	x.w.t.Helper()
	x.rewrite(p, x.read[p], to)
	x.read[p] = to
}

// rewrite writes the batch [from, to), whatever was written before.
func (x *worker) rewrite(p int32, from, to int64) {
	x.w.t.Helper()
	b := x.batch(p, from, to)
	if b == nil {
		return
	}
	for _, s := range x.sinks {
		x.w.must("write", func() error { return s.Write(ctx, b) })
	}
	b.Rows.Release()
	x.wrote(p, from, to)
	x.w.bounded(x)
}

func (x *worker) wrote(p int32, from, to int64) {
	m := x.w.modelOf(x.view)
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	k := key{x.topic, p}
	if m.written[k] == nil {
		m.written[k] = map[int64]bool{}
	}
	for o := from; o < to; o++ {
		m.written[k][o] = true
	}
}

func (w *world) bounded(x *worker) {
	w.t.Helper()
	if n := x.sink.Buffered(); n < 0 {
		w.t.Fatalf("Buffered is %d (seed %d)", n, w.log.seed)
	}
}

// cut begins a commit of partitions, up to where they were written.
func (x *worker) cut(parts ...int32) *feature.Commit {
	c := &feature.Commit{ID: x.w.id(), View: x.view, Partitions: partitions}
	for _, p := range parts {
		to := x.at[p]
		to.Next, to.Commit = x.read[p], c.ID
		c.Advances = append(c.Advances, feature.Advance{From: x.at[p], To: to, Drained: to.Next >= x.w.log.length})
		x.at[p] = to
	}
	for _, s := range x.sinks {
		s.Cut(c)
	}
	x.flights = append(x.flights, &flight{c: c})
	return c
}

func (x *worker) stage(c *feature.Commit) {
	x.w.t.Helper()
	for _, s := range x.sinks {
		x.w.must("stage", func() error { return s.Stage(ctx, c) })
	}
	x.w.bounded(x)
}

// commit is nil when c has landed, and a Conflict when it has not and never will.
func (x *worker) commit(c *feature.Commit) error {
	x.w.t.Helper()
	err := x.w.until("commit", func() error { return x.table.Commit(ctx, c) })
	switch {
	case err == nil:
		x.landed(c)
	case feature.KindOf(err) != feature.Conflict:
		x.w.t.Fatalf("commit (seed %d): %v", x.w.log.seed, err)
	}
	return err
}

func (x *worker) landed(c *feature.Commit) {
	m := x.w.modelOf(x.view)
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	if m.landed[c.ID] == nil {
		m.landed[c.ID] = &landed{c: c}
		m.order = append(m.order, c.ID)
	}
}

func (x *worker) settle(c *feature.Commit) {
	x.w.t.Helper()
	for _, s := range x.sinks {
		x.w.must("settle", func() error { return s.Settle(ctx, c) })
	}
	m := x.w.modelOf(x.view)
	x.w.mu.Lock()
	if l := m.landed[c.ID]; l != nil {
		l.settled = true
	}
	x.w.mu.Unlock()
	x.done(c)
	x.w.bounded(x)
}

func (x *worker) discard(c *feature.Commit) {
	for _, s := range x.sinks {
		s.Discard(c)
	}
	x.done(c)
	x.w.bounded(x)
}

func (x *worker) done(c *feature.Commit) {
	x.flights = slices.DeleteFunc(x.flights, func(f *flight) bool { return f.c == c })
}

// flush is a whole commit of partitions.
func (x *worker) flush(parts ...int32) {
	x.w.t.Helper()
	c := x.cut(parts...)
	x.stage(c)
	if err := x.commit(c); err != nil {
		x.w.t.Fatalf("flush (seed %d): %v", x.w.log.seed, err)
	}
	x.settle(c)
}

func (x *worker) revoke(parts ...int32) {
	var at []feature.Position
	for _, p := range parts {
		at = append(at, x.at[p])
		delete(x.at, p)
		delete(x.read, p)
	}
	for _, s := range x.sinks {
		s.Revoke(at)
	}
	x.w.bounded(x)
}

// empty wants nothing buffered.
func (x *worker) empty(says string) {
	x.w.t.Helper()
	if n := x.sink.Buffered(); n != 0 {
		x.w.t.Fatalf("%s (seed %d): Buffered is %d, should be 0", says, x.w.log.seed, n)
	}
}

// holding wants something buffered, of sinks that buffer.
func (x *worker) holding(says string) {
	x.w.t.Helper()
	if n := x.sink.Buffered(); x.w.store.Buffers && n <= 0 {
		x.w.t.Fatalf("%s (seed %d): Buffered is %d", says, x.w.log.seed, n)
	}
}

// all is every partition, in the order of r (nil: as they come).
func all(r *rand.Rand) []int32 {
	out := []int32{0, 1, 2}
	if r != nil {
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// finish has a new worker read the log to its end, and compares.
func (w *world) finish(says string) *worker {
	w.t.Helper()
	x := w.open()
	x.assign(all(nil)...)
	for _, p := range all(nil) {
		x.write(p, w.log.length)
	}
	x.flush(all(nil)...)
	x.empty(says)
	w.check(says)
	return x
}

func isCancelled(err error) bool { return errors.Is(err, context.Canceled) }
