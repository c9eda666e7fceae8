package drift

import (
	"context"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// windows judges the windows that end with the given panes, oldest first. It reads the panes before too, as far as the
// first windows have them and a reference that trails them reaches.
func (b *Backtester) windows(ctx context.Context, m *feature.Monitor, size window.Size, ends []window.Window, run *backtesting) error {
	p := &passing{m: m, run: run, from: ends[0].Start}
	first := ends[0].Start - m.Window.Reach()
	if m.Window.Rows > 0 {
		first = m.Window.Anew(first)
	}
	if trails(m) {
		from, _ := m.Reference.Before(first)
		first = min(first, size.Of(from).Start)
		var err error
		if p.older, err = b.older(ctx, m, first); err != nil {
			return err
		}
	} else {
		ref, err := b.reference(ctx, m)
		if err != nil {
			return err
		}
		p.ref = ref
	}
	names, columns := stored(m.ViewOf)
	end := ends[len(ends)-1].End
	for first < end {
		c := &chunker{size: size, of: map[int64]*Profile{}}
		var panes []window.Window
		for w := size.Of(first); w.Start < end && len(panes) < scanned; w = size.Of(w.End) {
			panes, c.of[w.Start] = append(panes, w), &Profile{}
			first = w.End
		}
		fold := func(x *feature.Batch) error { c.fold(x); return ctx.Err() }
		if err := b.History.Scan(ctx, m.ViewOf, panes[0].Start, first, columns, fold); err != nil {
			return feature.Errorf(feature.KindOf(err), "drift.backtest", "view "+m.ViewOf.ID(), "%w", err)
		}
		for _, w := range panes {
			if x := c.of[w.Start]; x.Rows > 0 {
				p.take(w, x.renamed(names))
			}
		}
	}
	return nil
}

// stored gives the columns of a view's table, and what each is kept under in profiles.
func stored(v *feature.View) (names map[string]string, columns []string) {
	names = map[string]string{}
	for _, f := range v.Features {
		names[f.Name], columns = f.Stored(), append(columns, f.Name)
	}
	return names, columns
}

// older reports whether the table has a row of before a time: then a reference reaches back to there.
func (b *Backtester) older(ctx context.Context, m *feature.Monitor, at int64) (found bool, err error) {
	_, columns := stored(m.ViewOf)
	stop := feature.Errorf(feature.Internal, "drift.backtest", "scan", "one row is enough")
	err = b.History.Scan(ctx, m.ViewOf, feature.MinTime, at, columns, func(x *feature.Batch) error {
		for i := range x.Len() {
			if !x.Deleted(i) {
				found = true
				return stop
			}
		}
		return nil
	})
	if found {
		return true, nil
	}
	if err != nil {
		return false, feature.Errorf(feature.KindOf(err), "drift.backtest", "view "+m.ViewOf.ID(), "%w", err)
	}
	return false, nil
}

// passing puts windows together while their panes pass.
type passing struct {
	m     *feature.Monitor
	run   *backtesting
	ref   *Baseline // nil where it trails the windows
	from  int64     // of the first pane that a window ends with
	older bool      // there were rows before what is read
	first *WindowRecord
	runs  profileCache
	kept  []WindowRecord // panes with rows, of the next window and of what it is compared with
}

// take judges the window that ends with a pane that has rows.
func (p *passing) take(w window.Window, x *Profile) {
	p.kept = append(p.kept, WindowRecord{Start: w.Start, End: w.End, Rows: x.Rows, Profile: x})
	if p.first == nil {
		p.first = &WindowRecord{Start: w.Start, End: w.End}
	}
	start := w.Start - p.m.Window.Reach()
	if p.m.Window.Rows > 0 {
		starts := tally.Cuts(p.kept, p.m.Window)
		at := starts[len(starts)-1]
		if at < 0 {
			return
		}
		start = p.kept[at].Start
		defer p.forget(p.m.Window.Anew(start))
	}
	if min(w.Start, start+p.m.Window.Reach()) < p.from {
		return
	}
	need := start
	ref := p.ref
	if ref == nil {
		ref, need = p.before(start)
	}
	cur := x
	if start < w.Start {
		cur = &Profile{}
		for i := range p.kept {
			if p.kept[i].Start >= start {
				cur.Merge(p.kept[i].Profile)
			}
		}
	}
	p.run.take(window.Window{Start: start, End: w.End}, Judge(p.m, ref, cur), cur.Rows)
	if p.m.Window.Rows == 0 {
		p.forget(need)
	}
}

// forget drops panes that start before a time.
func (p *passing) forget(before int64) {
	for len(p.kept) > 0 && p.kept[0].Start < before {
		p.kept = p.kept[1:]
	}
}

// before is what a window is compared with where the reference trails it, and since when panes are needed for that.
func (p *passing) before(start int64) (*Baseline, int64) {
	from, to := p.m.Reference.Before(start)
	if !p.older && !covers(p.first, from) {
		return NewBaseline(&Profile{}), from
	}
	t := newTrailed(p.m, to)
	var panes []pane
	at := map[int64]*Profile{}
	for i := range p.kept {
		if x := &p.kept[i]; x.Start >= from && x.End <= to {
			panes, at[x.Start] = append(panes, pane{x.Start, x.End, 1}), x.Profile
		}
	}
	_ = t.merge(&p.runs, Series{}, from, panes, func(want []pane, fn func(*pane, *Profile) bool) error {
		for i := range want {
			fn(&want[i], at[want[i].start])
		}
		return nil // and so there is no error
	})
	return t.baseline(), from
}
