package quality

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Rules watches freshness and volume by the wall clock. Several may share a store.
//
// What is stored decides: how many rows have landed and when (with the commit that
// brought them), what fires (with its event), and when somebody last looked. So a
// restart neither repeats an alert nor forgets one, and after a time in which
// nobody looked, rows that were waiting get a while to land before they are missed.
type Rules struct {
	store  RuleStore
	clocks Clocks
	alerts *Alerts
	views  func(context.Context) ([]*feature.View, error)
	opt    RuleOptions

	mu     sync.Mutex
	cached map[string]*Clock // by view; what was stored last, as far as is known
	shown  map[string]*feature.View
	tidied bool
	// unwanted is what fires and is not watched, since when.
	unwanted map[tally.Series]time.Time
	fires    map[tally.Series]bool // what fired when the pass began, and what it told since
	faults   tally.Faults
}

// forgetAfter is how long something fires on that the catalog no longer watches.
const forgetAfter = 10 * time.Second

// RuleStore is what Rules needs of the store of windows.
type RuleStore interface {
	States
	Progress(ctx context.Context, view string) ([]tally.Progress, error)
}

// RuleOptions are what Rules may be given; zero values are fine.
type RuleOptions struct {
	Poll    time.Duration // how often to look; 1s when 0
	Log     *slog.Logger
	Metrics *Metrics
	Now     func() time.Time
}

// NewRules makes one. views gives the catalog's views, resolved.
func NewRules(s RuleStore, c Clocks, a *Alerts, views func(context.Context) ([]*feature.View, error), o RuleOptions) *Rules {
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Rules{store: s, clocks: c, alerts: a, views: views, opt: o, cached: map[string]*Clock{}, shown: map[string]*feature.View{}, faults: tally.Faults{}}
}

// Run looks at all views until ctx ends.
func (r *Rules) Run(ctx context.Context) error {
	t := time.NewTicker(r.opt.Poll)
	defer t.Stop()
	for {
		_ = r.Pass(ctx) // logged there; the next pass tries again
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Pass looks at all views once. One that cannot be looked at does not keep the
// others from it; the error is the first.
func (r *Rules) Pass(ctx context.Context) (first error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if ctx.Err() == nil {
			r.opt.Metrics.passed(first)
		}
	}()
	views, err := r.views(ctx)
	r.fault(ctx, "", err)
	if err != nil {
		return err
	}
	all, err := r.store.States(ctx, "", "")
	if err != nil {
		return err
	}
	r.fires = map[tally.Series]bool{}
	for i := range all {
		r.fires[all[i].Series] = all[i].Firing
	}
	wanted := map[tally.Series]bool{} // what may fire
	timed := map[string]*feature.View{}
	for _, v := range views {
		for _, s := range SeriesOf(v) {
			wanted[s] = true
		}
		if !v.Quality.Timed() {
			continue
		}
		timed[v.ID()] = v
		err := r.view(ctx, v)
		r.fault(ctx, v.ID(), err)
		if err != nil && first == nil {
			first = err
		}
	}
	if err := r.tidy(ctx, all, timed, wanted); err != nil && first == nil {
		first = err
	}
	return first
}

// SeriesOf lists the series of a view that may fire: its suites by window, its rules by the clock, and its pause.
func SeriesOf(v *feature.View) []tally.Series {
	var out []tally.Series
	q := v.Quality
	if q == nil {
		return nil
	}
	for _, l := range linesOf(v) {
		out = append(out, l.Series())
	}
	rule := func(on bool, r Rule) {
		if on {
			out = append(out, ruleSeries(v.Meta.Project, ownerOf(v.Meta.Name, r)))
		}
	}
	rule(q.Freshness > 0, Freshness)
	rule(q.Volume.Per > 0, Volume)
	rule(q.MaxRejectRate > 0, RejectRate)
	return out
}

// view looks at one view.
func (r *Rules) view(ctx context.Context, v *feature.View) error {
	progress, err := r.store.Progress(ctx, v.ID())
	if err != nil {
		return err
	}
	rows, last := landed(progress)
	now := r.opt.Now().UnixMicro()
	c := r.cached[v.ID()]
	if c == nil {
		if c, err = r.clocks.Clock(ctx, v.ID()); err != nil {
			return err
		}
		if c == nil {
			c = &Clock{View: v.ID()}
		}
	}
	delete(r.cached, v.ID()) // kept again only where it is what is stored
	if c.look(v.Quality, now, rows) {
		ok, err := r.clocks.PutClock(ctx, c)
		if err != nil {
			return err
		}
		if !ok {
			return nil // another watch has just looked: the next pass begins with what it stored
		}
		c.Revision++
	}
	r.cached[v.ID()] = c
	r.opt.Metrics.age.WithLabelValues(v.Meta.Project, v.Meta.Name).Set(float64(max(0, now-since(c, last))) / float64(second))
	if err := r.fresh(ctx, v, c, now, last); err != nil {
		return err
	}
	return r.amount(ctx, v, c, now, rows)
}

func since(c *Clock, last int64) int64 {
	if last == 0 {
		return c.Born
	}
	return last
}

func (r *Rules) fresh(ctx context.Context, v *feature.View, c *Clock, now, last int64) error {
	q := v.Quality
	if q.Freshness == 0 {
		return nil
	}
	stale, at, known := c.stale(q, now, last)
	if !known {
		return nil
	}
	state := &FreshnessState{Limit: q.Freshness.String()}
	reason := "rows land again"
	if last > 0 {
		t := feature.Time(last)
		state.Last = &t
	}
	if stale {
		when := feature.Time(at).UTC().Format(time.RFC3339)
		if last == 0 {
			when += ", when watching began"
		}
		reason = fmt.Sprintf("no row has landed since %s, which is longer than %s", when, q.Freshness)
	}
	return r.tell(ctx, Alert{Project: v.Meta.Project, View: v.Meta.Name, Rule: Freshness, Firing: stale, Since: feature.Time(at),
		Reason: reason, FreshnessOf: state})
}

func (r *Rules) amount(ctx context.Context, v *feature.View, c *Clock, now, rows int64) error {
	w := v.Quality.Volume
	if w.Per == 0 {
		return nil
	}
	n, known := c.counted(v.Quality, now, rows)
	if !known {
		return nil
	}
	r.opt.Metrics.volume.WithLabelValues(v.Meta.Project, v.Meta.Name).Set(float64(n))
	few, many := n < w.Min, w.Max > 0 && n > w.Max
	reason := fmt.Sprintf("%d rows have landed in the last %s", n, w.Per)
	switch {
	case few:
		reason += fmt.Sprintf(", fewer than %d", w.Min)
	case many:
		reason += fmt.Sprintf(", more than %d", w.Max)
	}
	return r.tell(ctx, Alert{Project: v.Meta.Project, View: v.Meta.Name, Rule: Volume, Firing: few || many, Since: feature.Time(now),
		Reason: reason, VolumeOf: &VolumeState{Per: w.Per.String(), Rows: n, Min: w.Min, Max: w.Max}})
}

// tell tells what has changed since the states were read.
func (r *Rules) tell(ctx context.Context, x Alert) error {
	s := ruleSeries(x.Project, ownerOf(x.View, x.Rule))
	if r.fires[s] == x.Firing {
		return nil
	}
	r.fires[s] = x.Firing
	return r.alerts.Alert(ctx, x)
}

// tidy ends what fires and is no longer watched, and forgets clocks and gauges of views that are gone.
func (r *Rules) tidy(ctx context.Context, all []tally.State, timed map[string]*feature.View, wanted map[tally.Series]bool) error {
	gone := false
	for id, v := range r.shown {
		if timed[id] == nil {
			r.opt.Metrics.forget(v.Meta.Project, v.Meta.Name)
			delete(r.cached, id)
			gone = true
		}
	}
	r.shown = timed
	if gone || !r.tidied {
		keep := make([]string, 0, len(timed))
		for id := range timed {
			keep = append(keep, id)
		}
		if err := r.clocks.DropClocks(ctx, keep); err != nil {
			return err
		}
	}
	before := r.unwanted
	r.unwanted = map[tally.Series]time.Time{}
	for _, s := range all {
		if s.Firing && !wanted[s.Series] {
			// Another process may know a newer catalog than this one does yet.
			first, ok := before[s.Series]
			if !ok {
				first = r.opt.Now()
			}
			if r.unwanted[s.Series] = first; r.opt.Now().Sub(first) < forgetAfter {
				continue
			}
			if err := r.alerts.Forget(ctx, s); err != nil {
				return err
			}
		}
		if view, rule, ok := splitOwner(s.Owner); ok {
			r.opt.Metrics.fires(s.Project, view, rule, r.fires[s.Series], wanted[s.Series])
		}
	}
	r.tidied = true
	return nil
}

// fault logs what a view suffers from when it changes.
func (r *Rules) fault(ctx context.Context, view string, err error) {
	if r.faults.New(ctx, view, err) {
		r.opt.Log.Error("view cannot be looked at, will try again", "view", view, "error", err)
	}
}
