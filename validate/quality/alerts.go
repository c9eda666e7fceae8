package quality

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// States is what Alerts needs of a store.
type States interface {
	States(ctx context.Context, project, owner string) ([]tally.State, error)
	Tell(ctx context.Context, c *tally.Change) (bool, error)
	Events(ctx context.Context, q tally.EventQuery) ([]tally.Event, error)
}

// Alerts stores changes of state with their events and outbox entries. Several may share a store.
type Alerts struct {
	store  States
	route  outbox.Route
	told   func()
	logger *slog.Logger
	met    *Metrics
	now    func() time.Time
}

// AlertOptions are what Alerts may be given; zero values are fine.
type AlertOptions struct {
	Route   outbox.Route // where events go; nowhere when nil
	Told    func()       // called after an event was recorded: Dispatcher.Kick
	Log     *slog.Logger
	Metrics *Metrics
	Now     func() time.Time // the wall clock when nil
}

// NewAlerts makes one on a store.
func NewAlerts(s States, o AlertOptions) *Alerts {
	a := &Alerts{store: s, route: o.Route, told: o.Told, logger: o.Log, met: o.Metrics, now: o.Now}
	if a.route == nil {
		a.route = outbox.To()
	}
	if a.told == nil {
		a.told = func() {}
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	if a.met == nil {
		a.met = NewMetrics(nil)
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Alert stores and tells that a rule began to fire or ended, once: a rule that
// fires already, or does not, is left as it is, whoever says so and how often.
// It returns when the event is stored; a store that is away is feature.Unavailable.
func (a *Alerts) Alert(ctx context.Context, x Alert) error {
	_, err := a.tell(ctx, ruleSeries(x.Project, ownerOf(x.View, x.Rule)), func(tally.State) Alert { return x })
	return err
}

// Firing reports whether a rule fires, and since when (microseconds UTC).
func (a *Alerts) Firing(ctx context.Context, project, view string, r Rule) (bool, int64, error) {
	st, err := a.state(ctx, ruleSeries(project, ownerOf(view, r)))
	return st.Firing, st.Since, err
}

// state reads the state of a series; an empty one where there is none.
func (a *Alerts) state(ctx context.Context, s tally.Series) (tally.State, error) {
	all, err := a.store.States(ctx, s.Project, s.Owner)
	if err != nil {
		return tally.State{}, err
	}
	for _, x := range all {
		if x.Series == s {
			return x, nil
		}
	}
	return tally.State{Series: s}, nil
}

// attempts is how often a change is tried while others change the same state.
const attempts = 10

// tell makes the change that of says of the state as it is now.
func (a *Alerts) tell(ctx context.Context, s tally.Series, of func(tally.State) Alert) (told bool, err error) {
	for range attempts {
		st, err := a.state(ctx, s)
		if err != nil {
			return false, err
		}
		x := of(st)
		if st.Firing == x.Firing {
			return false, nil
		}
		next, now := st, a.now()
		next.View, next.Firing, next.Streak = x.View, x.Firing, 0
		if x.Firing {
			next.Since = x.Since.UnixMicro()
		} else {
			x.Since, x.Resolves, next.Since = feature.Time(st.Since), st.Event, 0
			if err := a.ended(ctx, &x); err != nil {
				return false, err
			}
		}
		next.Before = nil // no window has brought it
		// The revision makes the id: it moves with each change and belongs to one teller alone.
		e, err := x.event(s, now, st.Revision)
		if err != nil {
			return false, err
		}
		next.Event = e.ID
		ok, err := a.store.Tell(ctx, &tally.Change{Next: &next, Event: e, Outbox: a.entries(e, &x), At: now})
		if err != nil {
			return false, err
		}
		if ok {
			a.log(e, &x)
			a.told()
			return true, nil
		}
	}
	return false, feature.Errorf(feature.Unavailable, "quality.alert", s.String(), "others change its state all the time")
}

// ended takes over from the event that this one ends what belongs to both: who
// was told by severity or expectation hears of the end.
func (a *Alerts) ended(ctx context.Context, x *Alert) error {
	if x.Resolves == "" {
		return nil
	}
	began, err := a.store.Events(ctx, tally.EventQuery{ID: x.Resolves, Limit: 1})
	if err != nil || len(began) == 0 {
		return err
	}
	was, err := ReadAlert(began[0].Payload)
	if err != nil {
		return nil // of another making; the end is told all the same
	}
	x.Severity, x.Expectations = was.Severity, was.Expectations
	if x.Suite == "" {
		x.Suite, x.SuiteVersion, x.Shadow = was.Suite, was.SuiteVersion, was.Shadow
	}
	return nil
}

// log logs and counts what was stored.
func (a *Alerts) log(e *tally.Event, x *Alert) {
	level := slog.LevelInfo
	if x.Firing {
		level = slog.LevelWarn
	}
	a.logger.Log(context.Background(), level, "alert", "type", e.Type, "project", x.Project, "view", x.View, "about", e.Owner, "severity", x.Severity, "reason", x.Reason, "event", e.ID)
	a.met.told(x, e)
}

// Forget ends what fires for a series that is no longer watched.
func (a *Alerts) Forget(ctx context.Context, s tally.State) error {
	x := Alert{Project: s.Project, View: s.View, Reason: "it is no longer watched"}
	if view, rule, ok := strings.Cut(s.Owner, ":"); ok {
		x.View, x.Rule = view, Rule(rule)
	} else if view, suite, ok := strings.Cut(s.Owner, "/"); ok {
		x.View, x.Rule, x.Suite = view, SuiteRule, suite
	} else {
		return nil
	}
	_, err := a.tell(ctx, s.Series, func(tally.State) Alert { return x })
	return err
}
