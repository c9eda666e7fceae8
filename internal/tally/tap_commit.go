package tally

import (
	"context"
	"slices"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Cut implements ingest.Sink.
func (t *Tap[T]) Cut(c *feature.Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &cut[T]{}
	for i := range c.Advances {
		a := &c.Advances[i]
		m := Mark{
			TopicID: a.To.TopicID, Partition: a.To.Partition, FromCommit: a.From.Commit, FromNext: a.From.Next,
			Next: a.To.Next, Partitions: c.Partitions, Drained: a.Drained, Final: a.Final,
		}
		if p := t.parts[partOf(a.To)]; p != nil {
			p.mu.Lock()
			m.MaxEvent, m.Any, m.Rows = p.maxEvent, p.any, p.rows
			id := ""
			if a.To.Partition == feature.ImportPartition {
				id = ImportID(a.To.TopicID)
			}
			for key, f := range p.folds {
				x.folds = append(x.folds, cutFold[T]{key, id, f})
			}
			x.bytes += p.bytes
			p.folds, p.bytes, p.rows = nil, 0, 0
			p.mu.Unlock()
		}
		x.marks = append(x.marks, m)
	}
	t.cuts[c.ID] = x
}

// Stage implements ingest.Sink.
func (t *Tap[T]) Stage(ctx context.Context, c *feature.Commit) error {
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
func (t *Tap[T]) pending(commit string) (*cut[T], []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cuts[commit], slices.Clone(t.dead)
}

func (t *Tap[T]) undead(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = slices.Delete(t.dead, 0, n)
}

func (t *Tap[T]) watched() bool { return t.opt.Progress || len(t.plan.Load().targets) > 0 }

// build merges the folds of a commit's partitions into one delta a window.
func (t *Tap[T]) build(commit string, x *cut[T]) *Staged[T] {
	s := &Staged[T]{Commit: commit, View: t.view, Marks: slices.Clone(x.marks)}
	t.mu.Lock()
	for k, m := range t.landed {
		i := slices.IndexFunc(x.marks, func(o Mark) bool { return (part{o.TopicID, o.Partition}) == k })
		if i < 0 {
			m.Carried = true
			s.Marks = append(s.Marks, m)
			continue
		}
		o := &s.Marks[i]
		o.Rows += m.Rows
		if m.Any && (!o.Any || m.MaxEvent > o.MaxEvent) {
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
			// Nobody else has the cut's tallies: no copy is needed.
			s.Deltas = append(s.Deltas, Delta[T]{Series: k.Series, Start: f.win.Start, End: f.win.End, Import: f.importID, Profile: f.tally})
			continue
		}
		s.Deltas[i].Profile.Merge(f.tally)
	}
	return s
}

// Settle implements ingest.Sink.
func (t *Tap[T]) Settle(ctx context.Context, c *feature.Commit) error {
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
			had := t.landed[k]
			if had.Any && (!m.Any || had.MaxEvent > m.MaxEvent) {
				m.MaxEvent, m.Any = had.MaxEvent, true
			}
			m.Rows += had.Rows
			t.landed[k] = m
		}
	}
	t.mu.Unlock()
	if x.staged != nil {
		t.opt.Settled()
	}
	return nil
}

// merge has the store settle a commit.
func (t *Tap[T]) merge(ctx context.Context, commit string, s *Staged[T]) error {
	start := time.Now()
	known, err := t.store.Settle(ctx, commit, t.opt.Now())
	if err == nil && !known {
		// Somebody took the staged work for dead. The commit has landed, so it counts.
		if err = t.store.Stage(ctx, s); err == nil {
			_, err = t.store.Settle(ctx, commit, t.opt.Now())
		}
	}
	t.opt.Merged(time.Since(start))
	return err
}

// Discard implements ingest.Sink. The partitions of the commit start again
// where it started: all of their rows that are not in the table come again.
func (t *Tap[T]) Discard(c *feature.Commit) {
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
			t.parts[k] = &partition[T]{next: max(c.Advances[i].From.Next, p.counted), known: true, counted: p.counted}
		}
	}
}
