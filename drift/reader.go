package drift

import (
	"cmp"
	"context"
	"slices"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Status is how a monitor stands, for lists.
type Status struct {
	Project, Monitor, View, Size string
	Drifting                     bool
	Since                        int64  // start of the first window of the drift; 0 when it does not drift
	Event                        string // id of the last event
	Open, Waiting, Judged        int    // windows
	Last                         *WindowRecord
}

// Reader answers questions about monitors. It changes nothing.
type Reader struct{ store Store }

// NewReader makes one on a store.
func NewReader(s Store) *Reader { return &Reader{s} }

// Status returns how each of the monitors stands, in their order.
func (r *Reader) Status(ctx context.Context, monitors []*feature.Monitor) ([]Status, error) {
	out := make([]Status, 0, len(monitors))
	for _, m := range monitors {
		s := SeriesOf(m)
		st := Status{Project: s.Project, Monitor: s.Owner, View: m.View, Size: s.Size}
		states, err := r.store.States(ctx, s.Project, s.Owner)
		if err != nil {
			return nil, err
		}
		for _, x := range states {
			if x.Series != s {
				continue
			}
			st.Drifting, st.Event = x.Firing, x.Event
			if x.Firing {
				st.Since = x.Since
			}
		}
		if err := r.count(ctx, m, &st); err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, nil
}

// count tells how many windows there are, and finds the last that has a verdict. A monitor may have a million
// windows, so they are counted where they are, and what is read of them all is not their verdicts.
func (r *Reader) count(ctx context.Context, m *feature.Monitor, st *Status) error {
	s := SeriesOf(m)
	q := WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Bare: true}
	if m.Window.Rows == 0 { // each pane ends a window
		n, err := r.store.Counts(ctx, s)
		if err != nil {
			return err
		}
		for state, n := range n {
			switch state {
			case Open:
				st.Open = int(n)
			case Closed:
				st.Waiting = int(n)
			default:
				st.Judged += int(n)
			}
		}
		q.States = []WindowState{Open}
	}
	all, err := r.store.Windows(ctx, q)
	if err != nil {
		return err
	}
	if m.Window.Rows == 0 {
		q.States, q.Newest, q.Limit = []WindowState{Judged, ReferenceOnly, tally.Abandoned}, true, 1
		done, err := r.store.Windows(ctx, q)
		if err != nil {
			return err
		}
		all = append(done, all...)
		slices.SortFunc(all, func(a, b WindowRecord) int { return cmp.Compare(a.Start, b.Start) })
	}
	last := -1
	starts := tally.Cuts(all, m.Window)
	for i := range all {
		if starts[i] >= 0 && (all[i].Early() || all[i].State != Open && all[i].State != Closed) {
			last = i
		}
		switch {
		case m.Window.Rows == 0 || starts[i] < 0: // counted already, or no window ends with it
		case all[i].State == Open:
			st.Open++
		case all[i].State == Closed:
			st.Waiting++
		default:
			st.Judged++
		}
	}
	if last < 0 {
		return nil
	}
	w, err := r.ending(ctx, m, all[last].Start, all[starts[last]].Start)
	st.Last = w
	return err
}

// ending is the window that ends with the pane that starts at last, with its verdict; first is the start of the first
// pane that it is known to have.
func (r *Reader) ending(ctx context.Context, m *feature.Monitor, last, first int64) (*WindowRecord, error) {
	s := SeriesOf(m)
	start := first - m.Window.Reach()
	panes, err := r.store.Windows(ctx, WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, From: start, Before: last + 1})
	if err != nil || len(panes) == 0 {
		return nil, err
	}
	w := tally.Whole(start, tally.Within(panes, m.Window))
	return &w, nil
}

// WindowReport is a window with what is known of each feature: the verdict's
// results, or only counts where there is no verdict yet.
type WindowReport struct {
	WindowRecord // without its profile
	Features     []Result
}

// Windows returns the newest windows of a monitor (all when limit is 0), oldest
// first, open ones too.
func (r *Reader) Windows(ctx context.Context, m *feature.Monitor, limit int) ([]WindowReport, error) {
	s := SeriesOf(m)
	q := WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Newest: true, Bare: m.Window.Rows > 0}
	if limit > 0 && m.Window.Rows == 0 {
		q.Limit = limit + m.Window.Panes() - 1 // the panes that the oldest of them is made of
	}
	panes, err := r.store.Windows(ctx, q)
	if err != nil {
		return nil, err
	}
	slices.Reverse(panes)
	starts := tally.Cuts(panes, m.Window)
	var out []WindowReport
	for i := len(panes) - 1; i >= 0 && (limit <= 0 || len(out) < limit); i-- {
		if starts[i] < 0 {
			continue
		}
		w := WindowReport{WindowRecord: whole(m, panes, starts, i)}
		if q.Bare { // of all panes there are, only these verdicts are shown
			full, err := r.ending(ctx, m, panes[i].Start, panes[starts[i]].Start)
			if err != nil {
				return nil, err
			}
			if full != nil {
				w.WindowRecord = *full
			}
		}
		if w.Verdict != nil {
			w.Features = w.Verdict.Features
		} else if w.Features, err = r.counted(ctx, m, &w.WindowRecord); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	slices.Reverse(out)
	return out, nil
}

// whole is the window that ends with a pane, without its profile.
func whole(m *feature.Monitor, panes []WindowRecord, starts []int, last int) WindowRecord {
	first := starts[last]
	start := panes[first].Start - m.Window.Reach()
	for first > 0 && panes[first-1].Start >= start {
		first--
	}
	return tally.Whole(start, tally.Within(panes[first:last+1], m.Window))
}

// profiled gives a window its profile.
func (r *Reader) profiled(ctx context.Context, m *feature.Monitor, w *WindowRecord) (*WindowRecord, error) {
	panes, err := r.store.Windows(ctx, WindowQuery{
		Project: w.Project, Owner: w.Owner, Size: w.Size, From: w.Start, Before: w.End, Profiles: true, Bare: true})
	if err != nil || len(panes) == 0 {
		return nil, err
	}
	x := tally.Whole(w.Start, tally.Within(panes, m.Window))
	return &x, nil
}

// counted is what is known of the features of a window that has no verdict.
func (r *Reader) counted(ctx context.Context, m *feature.Monitor, of *WindowRecord) (out []Result, err error) {
	w, err := r.profiled(ctx, m, of)
	if err != nil || w == nil || w.Profile == nil {
		return nil, err
	}
	for _, f := range w.Profile.Features {
		name := f.Name
		if m.ViewOf != nil {
			if at := m.ViewOf.Stored(name); at >= 0 {
				name = m.ViewOf.Features[at].Name
			}
		}
		out = append(out, Result{Name: name, Outcome: CountedOnly, Count: f.Count, Nulls: f.Nulls})
	}
	return out, nil
}

// Profiled returns the window of a monitor that a time falls in, the newest with a profile for 0, and its profile.
// Of windows that overlap it is the last to begin.
func (r *Reader) Profiled(ctx context.Context, m *feature.Monitor, at int64) (*WindowRecord, error) {
	s := SeriesOf(m)
	all, err := r.store.Windows(ctx, WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Bare: true})
	if err != nil {
		return nil, err
	}
	starts := tally.Cuts(all, m.Window)
	for i := len(all) - 1; i >= 0; i-- {
		if starts[i] < 0 {
			continue
		}
		of := whole(m, all, starts, i)
		if at != 0 && (at < of.Start || at >= of.End) {
			continue
		}
		w, err := r.profiled(ctx, m, &of)
		if err != nil {
			return nil, err
		}
		if w != nil && w.Profile != nil && w.Lost == 0 {
			return w, nil
		}
	}
	return nil, feature.Errorf(feature.NotFound, "monitor.profile", "monitor "+m.ID(), "there is no such window with a profile").
		WithHint("profiles are kept for the time of drift.keep_profiles; weir monitor show %s lists the windows", m.Meta.Name)
}

// Events lists events, newest first.
func (r *Reader) Events(ctx context.Context, q EventQuery) ([]Event, error) {
	return r.store.Events(ctx, q)
}
