package tally

import (
	"context"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// Windows that overlap are put together when they are judged. What is stored, and what rows are counted
// in, are their panes, as long as the slide: a row is counted once, in one pane, and so is part of every
// window that its pane is part of, or came too late for all of them. A pane's record carries the verdict of
// the window that ends with it. Where no row came in a pane there is nothing new: the window that would
// end with it is not judged.

// Windows of a number of rows are put together of panes that are closed, the fewest in a row that have so many. They
// begin anew at times that nothing counted moves (feature.Window.Anew), so what a pane ends depends on those between such a
// time and itself. A pane that ends no window is kept as Part. One that comes between panes of which it is settled already what they are
// part of, as an import of history brings it or a row that is late for a time without rows, is in no window (Passed): else
// those that were judged would be others now, and a row be in two of them. So that few are: while an import is under way that has brought rows for
// a time before, a pane waits, and one that an import brought ahead of the stream waits for the stream.

// Cuts tells for each of the panes, in the order of their starts, with which of them the window begins that it ends; -1 where it ends none.
// The first must be the first of its time between two new beginnings.
func Cuts[T Tally[T], V comparable](panes []Record[T, V], w feature.Window) []int {
	out := make([]int, len(panes))
	first, rows, began := -1, int64(0), int64(0)
	gone := passed(panes, w)
	for i := range panes {
		if w.Rows == 0 {
			out[i] = i
			continue
		}
		if out[i] = -1; gone[i] {
			continue
		}
		if at := w.Anew(panes[i].Start); first < 0 || at != began {
			first, rows, began = i, 0, at
		}
		if rows += panes[i].Rows; rows >= w.Rows {
			out[i] = first
			first, rows = -1, 0
		}
	}
	return out
}

// isSettled reports of a pane's state that it is said what window it is part of.
func isSettled(s WindowState) bool { return s == Part || s == Judged || s == Skipped || s == Abandoned }

// passed tells of panes of windows of a number of rows which are in none: those that were passed, or will be,
// because one after them is settled.
func passed[T Tally[T], V comparable](panes []Record[T, V], w feature.Window) []bool {
	out := make([]bool, len(panes))
	if w.Rows == 0 {
		return out
	}
	after, began := false, int64(0)
	for i := len(panes) - 1; i >= 0; i-- {
		p := &panes[i]
		if at := w.Anew(p.Start); i == len(panes)-1 || at != began {
			after, began = false, at
		}
		is := isSettled(p.State)
		out[i] = p.State == Passed || after && !is
		after = after || is
	}
	return out
}

// Within are the panes without those that are in no window.
func Within[T Tally[T], V comparable](panes []Record[T, V], w feature.Window) []Record[T, V] {
	gone := passed(panes, w)
	if !slices.Contains(gone, true) {
		return panes
	}
	var out []Record[T, V]
	for i := range panes {
		if !gone[i] {
			out = append(out, panes[i])
		}
	}
	return out
}

// begins is the start of the window that a pane ends. ends is Judged where it ends one, Part or Passed where it does not, and Open while
// it has to wait for a pane before it.
func (w *Watch[D, T, V]) begins(ctx context.Context, x *Watched[D], r *Record[T, V]) (start int64, ends WindowState, err error) {
	if x.Window.Rows == 0 {
		return r.Start - x.Window.Reach(), Judged, nil
	}
	from := x.Window.Anew(r.Start)
	q := WindowQuery{Project: x.Project, Owner: x.Owner, Size: x.Size, From: from, Before: from + x.Window.Needs(), Bare: true}
	panes, err := w.store.Windows(ctx, q)
	if err != nil {
		return 0, Part, err
	}
	at, opened := -1, false
	closed := panes[:0]
	for i := range panes {
		p := &panes[i]
		switch {
		case p.Start == r.Start:
			at = len(closed)
		case p.State == Open:
			opened = opened || p.Start < r.Start && p.ImportRows > 0
			continue
		}
		closed = append(closed, *p)
	}
	if at < 0 {
		return 0, Part, nil
	}
	switch cuts := Cuts(closed, x.Window); {
	case passed(closed, x.Window)[at]:
		return 0, Passed, nil
	case w.looked != nil && (opened && w.looked.busy || w.looked.behind(r.span(), x.Window.Lateness.Micros())):
		return 0, Open, nil
	case cuts[at] >= 0:
		return closed[cuts[at]].Start, Judged, nil
	}
	return 0, Part, nil
}

// Whole makes of the panes of a window, in the order of their starts, the window that ends with the last of
// them and begins at start. It takes their profiles.
func Whole[T Tally[T], V comparable](start int64, panes []Record[T, V]) Record[T, V] {
	w := panes[len(panes)-1]
	if len(panes) == 1 {
		w.Start = start
		return w
	}
	var none T
	w.Start, w.Profile, w.Imports = start, none, nil
	w.Rows, w.ImportRows, w.Late, w.Deltas = 0, 0, 0, 0
	for i := range panes {
		p := &panes[i]
		w.Rows, w.ImportRows, w.Late, w.Deltas = w.Rows+p.Rows, w.ImportRows+p.ImportRows, w.Late+p.Late, w.Deltas+p.Deltas
		for _, id := range p.Imports {
			if !slices.Contains(w.Imports, id) {
				w.Imports = append(w.Imports, id)
			}
		}
		switch {
		case p.Profile == none:
			if p.Rows > 0 {
				w.Lost++
			}
		case w.Profile == none:
			w.Profile = p.Profile
		default:
			w.Profile.Merge(p.Profile) // in their order: what is merged last is worth more
		}
	}
	return w
}

// whole gives the window that starts at a time and ends with a pane, with its profile.
func (w *Watch[D, T, V]) whole(ctx context.Context, x *Watched[D], start int64, r *Record[T, V]) (Record[T, V], error) {
	if start == r.Start {
		return *r, nil
	}
	q := WindowQuery{Project: x.Project, Owner: x.Owner, Size: x.Size, From: start, Before: r.Start + 1, Profiles: true, Bare: true}
	if x.Window.Rows > 0 {
		q.States = []WindowState{Closed, Part, Judged, Skipped, Abandoned}
	}
	panes, err := w.store.Windows(ctx, q)
	if err != nil {
		return Record[T, V]{}, err
	}
	// The pane itself as it was read: what has come since is seen by the next look.
	if n := len(panes); n > 0 && panes[n-1].Start == r.Start {
		panes[n-1] = *r
	} else {
		panes = append(panes, *r)
	}
	return Whole(start, panes), nil
}

// merges is how often rows were merged into the windows that end with open panes: with the panes before, which may be open too.
func (w *Watch[D, T, V]) merges(ctx context.Context, x *Watched[D], open []Record[T, V]) ([]int64, error) {
	out := make([]int64, len(open))
	reach := x.Window.Reach()
	panes := open
	if reach > 0 && len(open) > 0 {
		var err error
		q := WindowQuery{Project: x.Project, Owner: x.Owner, Size: x.Size, From: open[0].Start - reach, Before: open[len(open)-1].Start + 1, Bare: true}
		if panes, err = w.store.Windows(ctx, q); err != nil {
			return nil, err
		}
	}
	first := 0
	for i := range open {
		for first < len(panes) && panes[first].Start < open[i].Start-reach {
			first++
		}
		for k := first; k < len(panes) && panes[k].Start <= open[i].Start; k++ {
			out[i] += panes[k].Deltas
		}
	}
	return out, nil
}

// kept are the profiles that windows to come are put together of, or compared with. They are counted back from the
// first window that waits, else from the newest, not from now: a stream may stand still for longer than profiles are kept.
func (w *Watch[D, T, V]) kept(ctx context.Context, all []Watched[D]) (keep []Kept, err error) {
	for i := range all {
		x := &all[i]
		need := x.Keep + x.Window.Needs()
		if need == 0 {
			continue
		}
		q := WindowQuery{Project: x.Project, Owner: x.Owner, Size: x.Size, Newest: true, Limit: 1, Bare: true}
		from, err := w.store.Windows(ctx, q)
		if err != nil {
			return nil, err
		}
		// What waits may be older than the newest, and the first of it needs as much before it.
		q.Newest, q.States = false, []WindowState{Open, Closed}
		waits, err := w.store.Windows(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(waits) > 0 {
			from = waits
		}
		for _, r := range from {
			keep = append(keep, Kept{x.Series, r.Start - need - x.Window.Lateness.Micros()})
		}
	}
	return keep, nil
}
