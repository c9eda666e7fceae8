package sinktest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// Row is one row a Table holds: where it came from, and the text of its columns.
type Row struct {
	TopicID   [16]byte
	Partition int32
	Offset    int64
	Event     int64
	Known     int64
	Deleted   bool
	Values    []string // "null" where null
}

// Table is what survives a crash: rows and positions. Open gives a worker's
// writer on it; several writers compete as workers do.
type Table struct {
	mu        sync.Mutex
	rows      []Row
	positions []feature.Position
	commits   map[string]bool
	replayed  int
	past      []tableState // before each commit
}

// tableState is what a rollback goes back to.
type tableState struct {
	rows      int
	positions []feature.Position
	commits   map[string]bool
}

// Rollback goes back to where the table stood n commits ago: rows and positions.
// id becomes the commit of the positions; partitions that it did not know then begin anew.
func (t *Table) Rollback(n int, id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.past[len(t.past)-n]
	t.past = t.past[:len(t.past)-n]
	t.rows, t.commits = slices.Clone(t.rows[:was.rows]), was.commits
	for i := range t.positions {
		p := &t.positions[i]
		p.Next, p.Commit = 0, id
		for _, q := range was.positions {
			if q.Same(*p) {
				p.Next = q.Next
			}
		}
	}
}

// Rows returns all committed rows, in the order of their commits.
func (t *Table) Rows() []Row {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Row(nil), t.rows...)
}

// Commits is how many commits have landed.
func (t *Table) Commits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.commits)
}

// Replayed is how many rows were written that their writer had, or the table.
func (t *Table) Replayed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replayed
}

func (t *Table) replay() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replayed++
}

// Positions returns where the table stands.
func (t *Table) Positions() []feature.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]feature.Position(nil), t.positions...)
}

// take is the compare-and-swap.
func (t *Table) take(c *feature.Commit, rows []Row) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.commits[c.ID] {
		return nil // landed before
	}
	for _, a := range c.Advances {
		at := t.at(a.To)
		if at.Commit != a.From.Commit || at.Next != a.From.Next {
			return feature.Errorf(feature.Conflict, "sinktest.commit", a.To.String(), "the table stands at %d by %q, the commit starts from %d by %q", at.Next, at.Commit, a.From.Next, a.From.Commit)
		}
	}
	t.past = append(t.past, tableState{len(t.rows), slices.Clone(t.positions), maps.Clone(t.commits)})
	for _, a := range c.Advances {
		found := false
		for i := range t.positions {
			if t.positions[i].Same(a.To) {
				t.positions[i], found = a.To, true
			}
		}
		if !found {
			t.positions = append(t.positions, a.To)
		}
	}
	t.rows = append(t.rows, rows...)
	if t.commits == nil {
		t.commits = map[string]bool{}
	}
	t.commits[c.ID] = true
	return nil
}

func (t *Table) at(p feature.Position) feature.Position {
	for _, q := range t.positions {
		if q.Same(p) {
			return q
		}
	}
	return feature.Position{}
}

// Writer is one worker's sink and committer on a Table.
type Writer struct {
	T *Table

	mu     sync.Mutex
	open   map[key][]Row
	next   map[key]int64 // rows below are in the table, or written already
	cut    map[string]*cutRows
	staged map[string][]Row
}

type key struct {
	topic [16]byte
	part  int32
}

type cutRows struct {
	parts []key
	rows  []Row
}

// Open gives a new worker's writer.
func (t *Table) Open() *Writer {
	return &Writer{T: t, open: map[key][]Row{}, next: map[key]int64{}, cut: map[string]*cutRows{}, staged: map[string][]Row{}}
}

func (w *Writer) Name() string { return "memory" }

func (w *Writer) Assign(ctx context.Context, at []feature.Position) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range at {
		k := key{p.TopicID, p.Partition}
		for id, c := range w.cut {
			if slices.Contains(c.parts, k) {
				w.forget(id)
			}
		}
		delete(w.open, k)
		w.next[k] = p.Next
	}
	return nil
}

func (w *Writer) Revoke(parts []feature.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range parts {
		delete(w.open, key{p.TopicID, p.Partition})
		delete(w.next, key{p.TopicID, p.Partition})
	}
}

func (w *Writer) Write(ctx context.Context, b *feature.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	covered := b.Covered()
	k := key{covered.TopicID, covered.Partition}
	next, known := w.next[k]
	last := int64(-1)
	for i, r := range RowsOf(b) {
		if r.Offset <= last {
			return fmt.Errorf("sinktest: partition %d offset %d after %d", k.part, r.Offset, last)
		}
		last = r.Offset
		if known && b.Place(i) < next {
			w.T.replay()
			continue
		}
		w.open[k] = append(w.open[k], r)
	}
	w.next[k] = max(next, covered.Next, last+1)
	if b.Replay != nil {
		w.next[k] = max(next, covered.Next)
	}
	return nil
}

func (w *Writer) Cut(c *feature.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := &cutRows{}
	for _, a := range c.Advances {
		k := key{a.To.TopicID, a.To.Partition}
		x.parts = append(x.parts, k)
		x.rows = append(x.rows, w.open[k]...)
		delete(w.open, k)
	}
	w.cut[c.ID] = x
}

func (w *Writer) Stage(ctx context.Context, c *feature.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.cut[c.ID]
	if x == nil {
		return notHeld("sinktest.stage", c)
	}
	w.staged[c.ID] = x.rows
	return nil
}

func notHeld(op string, c *feature.Commit) error {
	return feature.Errorf(feature.Conflict, op, "commit "+c.ID, "its rows are not held here")
}

func (w *Writer) Settle(ctx context.Context, c *feature.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(c.ID)
	return nil
}

func (w *Writer) Discard(c *feature.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.cut[c.ID]; x != nil {
		for _, k := range x.parts {
			delete(w.open, k)
			delete(w.next, k)
		}
	}
	w.forget(c.ID)
}

func (w *Writer) forget(id string) {
	delete(w.cut, id)
	delete(w.staged, id)
}

func (w *Writer) Buffered() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, rows := range w.open {
		n += len(rows)
	}
	for _, c := range w.cut {
		n += len(c.rows)
	}
	return int64(n) * 100
}

func (w *Writer) Positions(context.Context) ([]feature.Position, error) { return w.T.Positions(), nil }

func (w *Writer) Commit(ctx context.Context, c *feature.Commit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	rows, ok := w.staged[c.ID]
	w.mu.Unlock()
	if !ok {
		return notHeld("sinktest.commit", c)
	}
	return w.T.take(c, rows)
}
