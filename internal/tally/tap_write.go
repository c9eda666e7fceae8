package tally

import (
	"context"

	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Write implements ingest.Sink.
func (t *Tap[T]) Write(_ context.Context, b *feature.Batch) error {
	covered := b.Covered()
	k := part{covered.TopicID, covered.Partition}
	t.mu.Lock()
	p := t.parts[k]
	if p == nil {
		p = &partition[T]{}
		t.parts[k] = p
	}
	t.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	from, held := 0, 0
	if p.known {
		from = b.From(p.next)
		held = b.Held.From(p.next)
	}
	p.next, p.known = max(p.next, covered.Next), true
	n := b.Len()
	p.rows += int64(n - from)
	for i := from; i < n; i++ {
		// A tombstone's time is when it was sent, which says nothing about how far events have come.
		if ts := b.EventTime[i]; !b.Deleted(i) && (!p.any || ts > p.maxEvent) {
			p.maxEvent, p.any = ts, true
		}
	}
	last := held
	if t.opt.Held {
		last = b.Held.Len()
	}
	for i := held; i < last; i++ {
		if ts := b.Held.EventTime[i]; !p.any || ts > p.maxEvent {
			p.maxEvent, p.any = ts, true
		}
	}
	pl := t.plan.Load()
	if len(pl.targets) == 0 || (from == n && held == last) {
		return nil
	}
	p.bind(pl, b.View)
	for ti, to := range pl.targets {
		if f := p.bound.folds[ti]; f != nil {
			p.fold(to, f, b, from)
			p.foldHeld(to, f, b, held, last)
		}
	}
	size := p.size()
	t.bytes.Add(size - p.bytes)
	p.bytes = size
	return nil
}

func (p *partition[T]) bind(pl *plan[T], v *feature.View) {
	if p.bound != nil && p.bound.plan == pl && p.bound.view == v {
		return
	}
	p.bound = &binding[T]{plan: pl, view: v}
	for _, to := range pl.targets {
		p.bound.folds = append(p.bound.folds, to.Bind(v))
	}
}

// fold goes through the rows in runs of one window: in a stream nearly in order they are long.
func (p *partition[T]) fold(to *target[T], f func(T, *feature.Batch, int, int, bool), b *feature.Batch, from int) {
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
		f(p.at(to, w), b, i, j, false)
		i = j
	}
}

// foldHeld does the same with the rows that were held back.
func (p *partition[T]) foldHeld(to *target[T], f func(T, *feature.Batch, int, int, bool), b *feature.Batch, from, n int) {
	for i := from; i < n; {
		w := to.size.Of(b.Held.EventTime[i])
		j := i + 1
		for j < n && w.Contains(b.Held.EventTime[j]) {
			j++
		}
		f(p.at(to, w), b, i, j, true)
		i = j
	}
}

func (p *partition[T]) at(to *target[T], w window.Window) T {
	key := foldKey[T]{to, w.Start}
	if f := p.folds[key]; f != nil {
		return f.tally
	}
	f := &fold[T]{win: w, tally: to.New()}
	if p.folds == nil {
		p.folds = map[foldKey[T]]*fold[T]{}
	}
	p.folds[key] = f
	return f.tally
}

func (p *partition[T]) size() int64 {
	n := int64(0)
	for _, f := range p.folds {
		n += 64 + f.tally.Size()
	}
	return n
}
