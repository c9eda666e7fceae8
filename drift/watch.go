package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// Watch closes windows, judges them and tells of changes. Several may share a
// store: each verdict is recorded once. When windows are judged, early and for
// good, is tally.Watch's; here is what they are compared with and what is told.
type Watch struct {
	*tally.Watch[*feature.Monitor, *Profile, *Verdict]
}

// WatchOptions are what a Watch needs.
type WatchOptions struct {
	Store    Store
	Monitors func(context.Context) ([]*feature.Monitor, error) // resolved; usually the catalog's
	// References and History may be nil where no monitor refers to a snapshot or a range.
	References References
	History    History
	Models     Models // nil where no reference names a model
	Spill      string // folder for predictions that do not fit in memory; the system's when empty
	Config     Config
	Route      outbox.Route // where events go; nowhere when nil
	Told       func()       // called after an event was recorded: Dispatcher.Kick
	Log        *slog.Logger
	Metrics    *Metrics
	Now        func() time.Time // the wall clock when nil
}

// NewWatch makes a watch; Run starts it.
func NewWatch(o WatchOptions) *Watch {
	j := &judging{
		store: o.Store, monitors: o.Monitors, references: o.References, history: o.History, models: o.Models, spill: o.Spill,
		route: o.Route, log: o.Log, met: o.Metrics, now: o.Now, refs: map[string]*Baseline{}, before: trailing{store: o.Store},
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.met == nil {
		j.met = NewMetrics(nil)
	}
	if j.now == nil {
		j.now = time.Now
	}
	if j.route == nil {
		j.route = outbox.To()
	}
	return &Watch{tally.NewWatch(o.Store, j, tally.WatchOptions{
		Config: o.Config.watch(), What: "monitor", Told: o.Told, Log: j.log, Now: j.now, Passed: j.passed, Forgotten: j.forgotten,
	})}
}

// Judge closes all windows of a monitor now, judges those that wait for a
// verdict, and returns the windows that got one. Rows that come later for them are late.
func (w *Watch) Judge(ctx context.Context, project, monitor string) ([]WindowRecord, error) {
	judged, err := w.Watch.Judge(ctx, project, monitor)
	if errors.Is(err, tally.ErrNotWatched) {
		return nil, feature.Errorf(feature.NotFound, "drift.judge", "monitor "+project+"/"+monitor, "there is none").
			WithHint("weir monitor list shows all")
	}
	return judged, err
}

// judging is the monitors' tally.Judge.
type judging struct {
	store      Store
	monitors   func(context.Context) ([]*feature.Monitor, error)
	references References
	history    History
	models     Models
	spill      string
	route      outbox.Route
	log        *slog.Logger
	met        *Metrics
	now        func() time.Time
	refs       map[string]*Baseline // by referenceKey
	before     trailing
	began      beginning // of the drift that the window judged last may end
	shown      time.Time // when the gauges were last set from what is stored
}

// showAgain is how long the gauges may not know what another process has judged.
const showAgain = 15 * time.Second

// watched is a line of windows of a monitor, its defaults filled in.
type watched = tally.Watched[*feature.Monitor]

func (j *judging) Watched(ctx context.Context) ([]watched, error) {
	all, err := j.monitors(ctx)
	if err != nil {
		return nil, err
	}
	if now := j.now(); j.shown.IsZero() || now.Sub(j.shown) >= showAgain {
		states, err := j.store.States(ctx, "", "")
		if err != nil {
			return nil, err
		}
		j.showAll(states)
		j.shown = now
	}
	var out []watched
	used := map[string]bool{}
	for _, m := range all {
		if m.ViewOf == nil {
			continue
		}
		if m, err = ResolveReference(ctx, j.models, m.WithDefaults()); err != nil {
			return nil, err
		}
		used[referenceKey(m)] = true
		out = append(out, watched{Series: SeriesOf(m), ViewID: m.ViewOf.ID(), View: m.View, Version: m.Version,
			Window: m.Window, Fire: m.Windows, Resolve: m.Windows, With: awaits(m),
			Keep: m.Reference.Trailing.Micros() + m.Reference.Gap.Micros(), Of: m})
	}
	for key := range j.refs {
		if !used[key] {
			delete(j.refs, key)
		}
	}
	return out, nil
}

func (j *judging) passed(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	j.met.passes.WithLabelValues(result).Inc()
}

func (j *judging) Skips(w *watched, start, end int64) bool { return inReference(w.Of, start, end) }

// Waits tells of a window what verdict would, from its times alone.
func (j *judging) Waits(ctx context.Context, w *watched, r *WindowRecord, past func(int64) bool) (bool, error) {
	var ref *Baseline
	var err error
	switch m := w.Of; {
	case m.Performance != nil:
		return r.State == Open || !past(r.End), nil
	case !trails(m):
		ref, err = j.reference(ctx, m, past)
	case r.State == Open:
		ref, err = j.before.before(ctx, m, r.Start, true)
	default:
		return false, nil
	}
	return ref == nil, err
}

// Judge compares a window with the reference; it waits while there is none yet.
func (j *judging) Judge(ctx context.Context, w *watched, r *WindowRecord, past func(int64) bool) (*Verdict, tally.Outcome, bool, error) {
	v, err := j.verdict(ctx, w.Of, r, past)
	if err != nil || v == nil {
		return nil, tally.Unsure, true, err
	}
	v.Compared = comparedWith(w.Of)
	if v.Outcome != Drifted {
		if j.began, err = j.beginning(ctx, w.Series); err != nil {
			return nil, tally.Unsure, true, err
		}
	}
	switch v.Outcome {
	case Drifted:
		cool, err := j.cooling(ctx, w.Of, r.Start)
		if err != nil {
			return nil, tally.Unsure, true, err
		}
		if cool {
			return v, tally.Unsure, false, nil
		}
		return v, tally.Bad, false, nil
	case Insufficient:
		return v, tally.Unsure, false, nil
	}
	return v, tally.Good, false, nil
}

// verdict compares a window with the reference; nil while there is none yet.
func (j *judging) verdict(ctx context.Context, m *feature.Monitor, r *WindowRecord, past func(int64) bool) (*Verdict, error) {
	if m.Performance != nil {
		return j.performance(ctx, m, r, past)
	}
	var ref *Baseline
	var err error
	switch {
	case r.Lost > 0:
		ref = NewBaseline(&Profile{}) // rows of which nothing is kept: history that was imported late
	case trails(m):
		ref, err = j.before.before(ctx, m, r.Start, r.State == Open)
	default:
		ref, err = j.reference(ctx, m, past)
	}
	if err != nil || ref == nil {
		return nil, err
	}
	cur := r.Profile
	if cur == nil {
		cur = &Profile{}
	}
	return Judge(m, ref, cur), nil
}

// cooling reports whether a window comes so soon after the one that ended a drift that it
// does not count towards the next. What goes on drifting fires when that is over.
func (j *judging) cooling(ctx context.Context, m *feature.Monitor, start int64) (bool, error) {
	if m.CoolDown == 0 {
		return false, nil
	}
	last, err := j.store.Events(ctx, EventQuery{Project: m.Meta.Project, Owner: m.Meta.Name, Limit: 1})
	if err != nil || len(last) == 0 || last[0].Type != ResolvedType {
		return false, err
	}
	return cools(m, start, last[0].WindowEnd), nil
}

// cools reports whether the window that starts at start is within the cool-down after the end of another. Of windows that overlap the
// last pane tells: else a day that slides by an hour would be quiet for a day longer than is asked for.
func cools(m *feature.Monitor, start, ended int64) bool {
	return start+m.Window.Reach() < ended+m.CoolDown.Micros()
}

func (j *judging) Turned(w *watched, r *WindowRecord, v *Verdict, t tally.Turn, now time.Time) (*Event, []outbox.Entry, error) {
	kind := ResolvedType
	if t.Firing {
		kind = DetectedType
	}
	e, err := newEvent(w.Of, r, v, t.Since, kind, j.began, now)
	if err != nil {
		return nil, nil, err
	}
	s := outbox.Subject{Project: e.Project, Type: kind, Owner: e.Owner, View: e.View, Severity: w.Of.Severity, Firing: t.Firing}
	if !t.Firing && j.began.event != "" {
		s.Severity = j.began.severity
	}
	if e.Retrain {
		s.Retrain = &w.Of.Retrain
	}
	return e, e.Entries(j.route(s), map[string]string{"content-type": EventContentType}), nil
}

// beginning is what the end of a drift takes over from the event that told of it:
// who was told by severity hears of the end, whatever the monitor says by then.
type beginning struct {
	event    string // its id; empty when nothing fires
	severity feature.Severity
	payload  []byte
}

func (j *judging) beginning(ctx context.Context, s Series) (beginning, error) {
	all, err := j.store.States(ctx, s.Project, s.Owner)
	if err != nil {
		return beginning{}, err
	}
	for _, st := range all {
		if st.Series != s || !st.Firing || st.Event == "" {
			continue
		}
		evs, err := j.store.Events(ctx, EventQuery{ID: st.Event, Limit: 1})
		if err != nil || len(evs) == 0 {
			return beginning{}, err
		}
		var ce struct {
			Data struct {
				Severity feature.Severity `json:"severity"`
			} `json:"data"`
		}
		b := beginning{event: st.Event, severity: feature.Warning, payload: evs[0].Payload} // of events from before there were severities
		if json.Unmarshal(evs[0].Payload, &ce) == nil && ce.Data.Severity != "" {
			b.severity = ce.Data.Severity
		}
		return b, nil
	}
	return beginning{}, nil
}

// Recorded logs and counts.
func (j *judging) Recorded(w *watched, r *WindowRecord, is *Judgement) {
	m := w.Of
	if is.State != Open {
		outcome := string(is.State)
		if is.Verdict != nil {
			outcome = string(is.Verdict.Outcome)
		}
		j.met.windows.WithLabelValues(r.Project, r.Owner, outcome).Inc()
		j.met.performance(r.Project, r.Owner, is.Verdict)
	}
	if is.Next != nil {
		j.show(is.Next)
	}
	if is.Event == nil {
		return
	}
	j.met.events.WithLabelValues(r.Project, r.Owner, is.Event.Type).Inc()
	span := window.Window{Start: r.Start, End: r.End}.String()
	args := []any{"monitor", m.ID(), "view", m.View, "window", span, "rows", r.Rows, "event", is.Event.ID}
	if is.Event.Type == DetectedType {
		j.log.Warn("drift detected", append(args, "features", summary(is.Verdict))...)
	} else {
		j.log.Info("drift resolved", args...)
	}
}

func (j *judging) show(st *MonitorState) {
	x := 0.0
	if st.Firing {
		x = 1
	}
	j.met.drifting.WithLabelValues(st.Project, st.Owner).Set(x)
}

// showAll shows what is stored: what was judged before this process began, and what others have judged since.
// A monitor whose windows were others has more than one state.
func (j *judging) showAll(states []MonitorState) {
	type owner struct{ project, name string }
	firing := map[owner]float64{}
	for i := range states {
		o := owner{states[i].Project, states[i].Owner}
		if x := firing[o]; states[i].Firing {
			firing[o] = 1
		} else {
			firing[o] = x
		}
	}
	for o, x := range firing {
		j.met.drifting.WithLabelValues(o.project, o.name).Set(x)
	}
}

// summary is the drifted features with their numbers, for people.
func summary(v *Verdict) string {
	var out []string
	for i := range v.Features {
		for _, c := range v.Features[i].Checks {
			if c.Drifted {
				out = append(out, fmt.Sprintf("%s: %s p=%.2g %s=%.3g", v.Features[i].Name, c.Name, c.PValue, c.Effect, c.Value))
			}
		}
	}
	if v.Performance != nil {
		for _, x := range v.Performance.Metrics {
			if x.Drifted {
				out = append(out, fmt.Sprintf("%s: %.4g, was %.4g, p=%.2g", x.Name, *x.Value, *x.Reference, *x.PValue))
			}
		}
	}
	return strings.Join(out, "; ")
}
