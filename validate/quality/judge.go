package quality

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// The kinds of internal/tally for suites.
type (
	// Store keeps the windows of suites.
	Store = tally.Store[*expect.WindowTally, *Verdict]
	// Window is a window as it is stored.
	Window = tally.Record[*expect.WindowTally, *Verdict]
	// Watch judges the windows of all views.
	Watch = tally.Watch[Line, *expect.WindowTally, *Verdict]

	watched = tally.Watched[Line]
)

// WatchOptions are what a Watch needs.
type WatchOptions struct {
	Views   func(context.Context) ([]*feature.View, error) // resolved; usually the catalog's
	Alerts  *Alerts
	Config  tally.Config
	Log     *slog.Logger
	Metrics *Metrics
	Now     func() time.Time // the wall clock when nil
}

// NewWatch makes a watch of views' windows; Run starts it.
func NewWatch(s Store, o WatchOptions) *Watch {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	j := &judge{opt: o, suites: map[tally.Series]compiled{}}
	return tally.NewWatch(s, j, tally.WatchOptions{Config: o.Config, What: "suite", Told: o.Alerts.told, Log: o.Log, Now: o.Now, Passed: o.Metrics.passed})
}

// judge is the tally.Judge of suites.
type judge struct {
	opt    WatchOptions
	suites map[tally.Series]compiled
	began  Alert  // of the series judged last: what fires, where it does
	event  string // its id
}

// compiled is a suite as it was compiled for the definitions of a catalog.
type compiled struct {
	view  *feature.View
	of    *feature.Suite
	suite *expect.WindowSuite
}

func (j *judge) Watched(ctx context.Context) (out []watched, err error) {
	views, err := j.opt.Views(ctx)
	if err != nil {
		return nil, err
	}
	used := map[tally.Series]bool{}
	for _, v := range views {
		for _, l := range linesOf(v) {
			q := v.Quality.WithDefaults()
			used[l.Series()] = true
			out = append(out, watched{Series: l.Series(), ViewID: v.ID(), View: v.Meta.Name, Version: l.Suite.Version,
				Window: q.Window, Fire: q.FailWindows, Resolve: q.OKWindows, Of: l})
		}
	}
	for s := range j.suites {
		if !used[s] {
			delete(j.suites, s)
		}
	}
	return out, nil
}

func (j *judge) Skips(*watched, int64, int64) bool { return false }

// Waits is false: a suite needs nothing but its window.
func (j *judge) Waits(context.Context, *watched, *Window, func(int64) bool) (bool, error) {
	return false, nil
}

func (j *judge) suite(w *watched) (*expect.WindowSuite, error) {
	c := j.suites[w.Series]
	if c.suite == nil || c.view != w.Of.View || c.of != w.Of.Suite {
		s, faults := w.Of.compile(w.Of.View)
		if len(faults) > 0 {
			return nil, feature.Errorf(feature.Invalid, "quality.judge", "suite "+w.String(), "%w", feature.JoinFaults(faults))
		}
		c = compiled{w.Of.View, w.Of.Suite, s}
		j.suites[w.Series] = c
	}
	return c.suite, nil
}

func (j *judge) Judge(ctx context.Context, w *watched, r *Window, _ func(int64) bool) (*Verdict, tally.Outcome, bool, error) {
	s, err := j.suite(w)
	if err != nil {
		return nil, tally.Unsure, true, err
	}
	// What fires is told of again when it ends.
	st, err := j.opt.Alerts.state(ctx, w.Series)
	if err != nil {
		return nil, tally.Unsure, true, err
	}
	j.began, j.event = Alert{}, ""
	if st.Firing {
		j.event, j.began.Resolves = st.Event, st.Event
		if err := j.opt.Alerts.ended(ctx, &j.began); err != nil {
			return nil, tally.Unsure, true, err
		}
	}
	t := r.Profile
	if t == nil {
		t = s.New()
	}
	v := verdict(w.Of, s.Judge(t), t)
	switch v.Outcome {
	case Failed:
		return v, tally.Bad, false, nil
	case OK:
		return v, tally.Good, false, nil
	}
	return v, tally.Unsure, false, nil
}

func (j *judge) Turned(w *watched, r *Window, v *Verdict, t tally.Turn, now time.Time) (*tally.Event, []outbox.Entry, error) {
	x := Alert{
		Project: r.Project, View: w.View, Rule: SuiteRule, Firing: t.Firing, Severity: v.Severity, Since: feature.Time(t.Since),
		Suite: w.Of.Suite.Meta.Name, SuiteVersion: w.Of.Suite.Version, Shadow: w.Of.Shadow,
		Window: &AlertWindow{Start: feature.Time(r.Start).UTC(), End: feature.Time(r.End).UTC(), Rows: v.Rows, Early: r.State == tally.Open, Amended: r.Amended},
	}
	span := window.Window{Start: r.Start, End: r.End}.String()
	if t.Firing {
		x.Expectations = v.failed()
		names := make([]string, 0, len(x.Expectations))
		for i := range x.Expectations {
			names = append(names, x.Expectations[i].Name())
		}
		x.Reason = fmt.Sprintf("window %s fails %s", span, strings.Join(names, ", "))
	} else {
		x.Severity, x.Expectations, x.Resolves = j.began.Severity, hide(w.Of.View.Mask(), j.began.Expectations), j.event
		x.Reason = fmt.Sprintf("window %s is good", span)
		if r.Amended > 0 {
			x.Reason += ", with rows that came late"
		}
	}
	e, err := x.event(r.Series, now, r.Start, r.Amended)
	if err != nil {
		return nil, nil, err
	}
	return e, j.opt.Alerts.entries(e, &x), nil
}

// Recorded logs and counts.
func (j *judge) Recorded(w *watched, r *Window, is *tally.Judgement[*Verdict]) {
	if is.Verdict != nil && (is.Deltas > is.Seen || is.Seen == 0) { // not an early verdict that holds for good
		for i := range is.Verdict.Results {
			x := &is.Verdict.Results[i]
			j.opt.Metrics.results.WithLabelValues(r.Project, w.View, w.Of.Suite.Meta.Name, string(x.Severity), string(x.Outcome)).Inc()
		}
	}
	if is.Event != nil {
		if x, err := ReadAlert(is.Event.Payload); err == nil {
			j.opt.Alerts.log(is.Event, x)
		}
	}
}
