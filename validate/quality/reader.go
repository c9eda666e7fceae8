package quality

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Standing is where a rule stands.
type Standing string

const (
	Waiting Standing = "waiting" // nothing has been judged yet
	Good    Standing = "ok"
	Firing  Standing = "firing" // an alert was told and has not ended
)

// Status is how a suite of a view, or one of its rules by the clock, stands.
type Status struct {
	Project, View string
	Rule          Rule
	Suite         string // of SuiteRule
	Shadow        bool
	State         Standing
	Since         int64  // of what fires, microseconds UTC
	Event         string // id of the last event
	Reason        string // of what fires
	About         string // what is watched, for people
	Last          *Window
}

// Reader answers questions about views' streams. It changes nothing.
type Reader struct {
	store  Store
	clocks Clocks
}

// NewReader makes one.
func NewReader(s Store, c Clocks) *Reader { return &Reader{s, c} }

// Status returns how everything stands that is watched of the views, in their order.
func (r *Reader) Status(ctx context.Context, views []*feature.View) (out []Status, err error) {
	for _, v := range views {
		q := v.Quality
		states, err := r.store.States(ctx, v.Meta.Project, "")
		if err != nil {
			return nil, err
		}
		add := func(s Status, series tally.Series) error {
			s.Project, s.View = v.Meta.Project, v.Meta.Name
			if i := slices.IndexFunc(states, func(x tally.State) bool { return x.Series == series }); i >= 0 {
				x := states[i]
				if s.Event = x.Event; x.Firing {
					s.State, s.Since = Firing, x.Since
					if s.Reason, err = r.reason(ctx, x.Event); err != nil {
						return err
					}
				}
			}
			out = append(out, s)
			return nil
		}
		for _, l := range linesOf(v) {
			ws, err := r.windows(ctx, l, 50, nil)
			if err != nil {
				return nil, err
			}
			s := Status{Rule: SuiteRule, Suite: l.Suite.Meta.Name, Shadow: l.Shadow, State: Waiting, About: "windows of " + q.Window.Size}
			if i := slices.IndexFunc(ws, func(w Window) bool { return w.Verdict != nil }); i >= 0 {
				s.Last, s.State = &ws[i], Good
			}
			if err := add(s, l.Series()); err != nil {
				return nil, err
			}
		}
		if q.Timed() {
			if err := r.timed(ctx, v, add); err != nil {
				return nil, err
			}
		}
		if q != nil && q.MaxRejectRate > 0 {
			s := Status{Rule: RejectRate, State: Good, About: fmt.Sprintf("at most %g of %d events held back", q.MaxRejectRate, q.WithDefaults().RejectEvents)}
			if err := add(s, ruleSeries(v.Meta.Project, ownerOf(v.Meta.Name, RejectRate))); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (r *Reader) timed(ctx context.Context, v *feature.View, add func(Status, tally.Series) error) error {
	q := v.Quality
	clock, err := r.clocks.Clock(ctx, v.ID())
	if err != nil {
		return err
	}
	state := Waiting
	if clock != nil {
		state = Good
	}
	progress, err := r.store.Progress(ctx, v.ID())
	if err != nil {
		return err
	}
	_, last := landed(progress)
	if q.Freshness > 0 {
		about := fmt.Sprintf("a row every %s", q.Freshness)
		if last > 0 {
			about += "; the last landed " + feature.Time(last).UTC().Format(time.RFC3339)
		}
		if err := add(Status{Rule: Freshness, State: state, About: about}, ruleSeries(v.Meta.Project, ownerOf(v.Meta.Name, Freshness))); err != nil {
			return err
		}
	}
	if w := q.Volume; w.Per > 0 {
		about := ""
		switch {
		case w.Max == 0:
			about = fmt.Sprintf("at least %d rows in %s", w.Min, w.Per)
		case w.Min == 0:
			about = fmt.Sprintf("at most %d rows in %s", w.Max, w.Per)
		default:
			about = fmt.Sprintf("%d to %d rows in %s", w.Min, w.Max, w.Per)
		}
		return add(Status{Rule: Volume, State: state, About: about}, ruleSeries(v.Meta.Project, ownerOf(v.Meta.Name, Volume)))
	}
	return nil
}

func (r *Reader) reason(ctx context.Context, event string) (string, error) {
	evs, err := r.store.Events(ctx, tally.EventQuery{ID: event, Limit: 1})
	if err != nil || event == "" || len(evs) == 0 {
		return "", err
	}
	a, err := ReadAlert(evs[0].Payload)
	if err != nil {
		return "", err
	}
	return a.Reason, nil
}

// windows are those of one suite, newest first.
func (r *Reader) windows(ctx context.Context, l Line, limit int, starts []int64) ([]Window, error) {
	s := l.Series()
	out, err := r.store.Windows(ctx, tally.WindowQuery{Project: s.Project, Owner: s.Owner, Size: s.Size, Newest: true, Limit: limit, Starts: starts})
	mask := l.View.Mask()
	for i := range out {
		if v := out[i].Verdict; v != nil {
			masked := *v
			masked.Results = hide(mask, v.Results)
			out[i].Verdict = &masked
		}
	}
	return out, err
}

// SuiteWindow is a window of a suite.
type SuiteWindow struct {
	Suite string
	Window
}

// Windows returns the newest windows of a view's suites, newest first, at most
// limit of each; with at only those that this time falls into.
func (r *Reader) Windows(ctx context.Context, v *feature.View, at time.Time, limit int) (out []SuiteWindow, err error) {
	var starts []int64
	if !at.IsZero() && v.Quality.Windowed() {
		size, err := sizeOf(v)
		if err != nil {
			return nil, err
		}
		starts = []int64{size.Of(at.UnixMicro()).Start}
	}
	for _, l := range linesOf(v) {
		ws, err := r.windows(ctx, l, limit, starts)
		if err != nil {
			return nil, err
		}
		for _, w := range ws {
			out = append(out, SuiteWindow{l.Suite.Meta.Name, w})
		}
	}
	slices.SortStableFunc(out, func(a, b SuiteWindow) int { return cmp.Compare(b.Start, a.Start) })
	return out, nil
}
