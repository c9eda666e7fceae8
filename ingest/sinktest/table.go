// Package sinktest has what tests of the way in need: a table in memory that
// keeps the promises of ingest.Sink and ingest.Committer, and faults to inject
// through that seam.
package sinktest

import (
	"context"
	"fmt"
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
	commits   int
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
	return t.commits
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
	for _, a := range c.Advances {
		at := t.at(a.To)
		if at.Commit == c.ID {
			return nil // landed before
		}
		if at.Commit != a.From.Commit || at.Next != a.From.Next {
			return feature.Errorf(feature.Conflict, "sinktest.commit", a.To.String(), "the table stands at %d by %q, the commit starts from %d by %q", at.Next, at.Commit, a.From.Next, a.From.Commit)
		}
	}
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
	t.commits++
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
	cut    map[string][]Row
	staged map[string][]Row
}

type key struct {
	topic [16]byte
	part  int32
}

// Open gives a new worker's writer.
func (t *Table) Open() *Writer {
	return &Writer{T: t, open: map[key][]Row{}, cut: map[string][]Row{}, staged: map[string][]Row{}}
}

func (w *Writer) Name() string { return "memory" }

func (w *Writer) Assign(_ context.Context, at []feature.Position) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range at {
		delete(w.open, key{p.TopicID, p.Partition})
	}
	return nil
}

func (w *Writer) Revoke(parts []feature.Position) { _ = w.Assign(context.Background(), parts) }

func (w *Writer) Write(_ context.Context, b *feature.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := key{b.Origin.TopicID, b.Origin.Partition}
	for i := range b.Len() {
		r := Row{TopicID: k.topic, Partition: k.part, Offset: b.Offsets[i], Event: b.EventTime[i], Known: b.KnownTime[i], Deleted: b.Deleted(i)}
		for _, c := range b.Rows.Columns() {
			if c.IsNull(i) {
				r.Values = append(r.Values, "null")
			} else {
				r.Values = append(r.Values, c.ValueStr(i))
			}
		}
		if n := len(w.open[k]); n > 0 && w.open[k][n-1].Offset >= r.Offset {
			return fmt.Errorf("sinktest: partition %d offset %d after %d", k.part, r.Offset, w.open[k][n-1].Offset)
		}
		w.open[k] = append(w.open[k], r)
	}
	return nil
}

func (w *Writer) Cut(c *feature.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range c.Advances {
		k := key{a.To.TopicID, a.To.Partition}
		w.cut[c.ID] = append(w.cut[c.ID], w.open[k]...)
		delete(w.open, k)
	}
}

func (w *Writer) Stage(_ context.Context, c *feature.Commit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.staged[c.ID] = w.cut[c.ID]
	return nil
}

func (w *Writer) Settle(_ context.Context, c *feature.Commit) error { w.Discard(c); return nil }

func (w *Writer) Discard(c *feature.Commit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.cut, c.ID)
	delete(w.staged, c.ID)
}

func (w *Writer) Buffered() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n int64
	for _, rows := range w.open {
		n += int64(len(rows)) * 100
	}
	return n
}

func (w *Writer) Positions(context.Context) ([]feature.Position, error) { return w.T.Positions(), nil }

func (w *Writer) Commit(_ context.Context, c *feature.Commit) error {
	w.mu.Lock()
	rows := w.staged[c.ID]
	w.mu.Unlock()
	return w.T.take(c, rows)
}
