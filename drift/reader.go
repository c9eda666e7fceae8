package drift

import (
	"context"

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
		all, err := r.store.Windows(ctx, WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size})
		if err != nil {
			return nil, err
		}
		for i := range all {
			switch all[i].State {
			case Open:
				st.Open++
				if all[i].Early() {
					st.Last = &all[i]
				}
			case Closed:
				st.Waiting++
			default:
				st.Judged++
				st.Last = &all[i]
			}
		}
		out = append(out, st)
	}
	return out, nil
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
	all, err := r.store.Windows(ctx, WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Newest: true, Limit: limit, Profiles: true})
	if err != nil {
		return nil, err
	}
	out := make([]WindowReport, len(all))
	for i := range all {
		w := &out[len(all)-1-i]
		w.WindowRecord = all[i]
		switch {
		case w.Verdict != nil:
			w.Features = w.Verdict.Features
		case w.Profile != nil:
			for _, f := range w.Profile.Features {
				name := f.Name
				if m.ViewOf != nil {
					if at := m.ViewOf.Stored(name); at >= 0 {
						name = m.ViewOf.Features[at].Name
					}
				}
				w.Features = append(w.Features, Result{Name: name, Outcome: CountedOnly, Count: f.Count, Nulls: f.Nulls})
			}
		}
		w.Profile = nil
	}
	return out, nil
}

// Profiled returns the window of a monitor that a time falls in, the newest with a profile for 0, and its profile.
func (r *Reader) Profiled(ctx context.Context, m *feature.Monitor, at int64) (*WindowRecord, error) {
	s := SeriesOf(m)
	q := WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Newest: true}
	all, err := r.store.Windows(ctx, q)
	if err != nil {
		return nil, err
	}
	q.Profiles = true
	for i := range all {
		if at != 0 && (at < all[i].Start || at >= all[i].End) {
			continue
		}
		q.Starts = []int64{all[i].Start}
		with, err := r.store.Windows(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(with) == 1 && with[0].Profile != nil {
			return &with[0], nil
		}
	}
	return nil, feature.Errorf(feature.NotFound, "monitor.profile", "monitor "+m.ID(), "there is no such window with a profile").
		WithHint("profiles are kept for the time of drift.keep_profiles; weir monitor show %s lists the windows", m.Meta.Name)
}

// Events lists events, newest first.
func (r *Reader) Events(ctx context.Context, q EventQuery) ([]Event, error) {
	return r.store.Events(ctx, q)
}
