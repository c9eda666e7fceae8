package deadletter

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Store is what a Watch needs: the outbox, and where states and events are kept.
type Store interface {
	Backlogs(ctx context.Context) ([]outbox.Backlog, error)
	Entries(ctx context.Context, q outbox.Query) ([]outbox.Entry, error)
	Fail(ctx context.Context, id, cause string, now, next time.Time, dead bool) error
	States(ctx context.Context, project, owner string) ([]tally.State, error)
	Tell(ctx context.Context, c *tally.Change) (bool, error)
}

// Options are what a Watch may be given; zero values are fine.
type Options struct {
	Route   outbox.Route  // where events go, but for the destination that they are about; nowhere when nil
	Known   []string      // the destinations of the settings: what waits for another is given up; nothing is when empty
	Poll    time.Duration // how often to look when nothing tells of a dead entry; 5s when 0
	Told    func()        // called after an event was recorded: Dispatcher.Kick
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Now     func() time.Time // the wall clock when nil
}

// Watch looks at the outbox. Several may share a store.
type Watch struct {
	store  Store
	opt    Options
	kick   chan struct{}
	fault  string // the last, so that it is logged once
	counts *prometheus.GaugeVec
	oldest *prometheus.GaugeVec
	seen   map[string]bool // destinations that gauges show
}

// New makes a watch; Run starts it.
func New(store Store, o Options) *Watch {
	o.Poll = cmp.Or(o.Poll, 5*time.Second)
	if o.Route == nil {
		o.Route = outbox.To()
	}
	if o.Told == nil {
		o.Told = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Watch{store: store, opt: o, kick: make(chan struct{}, 1), seen: map[string]bool{},
		counts: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_outbox_entries",
			Help: "Entries that are pending, or dead: given up, and neither sent again nor discarded since."}, []string{"destination", "state"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_outbox_oldest_pending_seconds",
			Help: "Age of the oldest entry that is pending; 0 where there is none."}, []string{"destination"})}
	if o.Metrics != nil {
		o.Metrics.MustRegister(w.counts, w.oldest)
	}
	for _, d := range o.Known {
		w.seen[d] = true
	}
	return w
}

// Kick tells that an entry was given up. It never blocks.
func (w *Watch) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	t := time.NewTicker(w.opt.Poll)
	defer t.Stop()
	for {
		fault := ""
		if err := w.Pass(ctx); err != nil && ctx.Err() == nil {
			fault = err.Error()
		}
		if fault != "" && fault != w.fault {
			w.opt.Log.Error("undelivered events cannot be looked at, will try again", "error", fault)
		}
		w.fault = fault
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-w.kick:
		}
	}
}

// Pass looks once, and tells of the destinations that have dead entries and had none, and the other way round.
func (w *Watch) Pass(ctx context.Context) error {
	// States first: one that somebody changes after this is not changed by what was read before.
	states, err := w.store.States(ctx, "", "")
	if err != nil {
		return err
	}
	all, err := w.store.Backlogs(ctx)
	if err != nil {
		return err
	}
	if gone, err := w.giveUp(ctx, all); err != nil {
		return err
	} else if gone {
		if all, err = w.store.Backlogs(ctx); err != nil {
			return err
		}
	}
	w.show(all)
	was := map[tally.Series]tally.State{}
	for _, st := range states {
		if _, ok := destinationOf(st.Series); ok {
			was[st.Series] = st
		}
	}
	dead := map[tally.Series]bool{}
	for i := range all {
		b := &all[i]
		if b.Dead == 0 {
			continue
		}
		s := seriesOf(b.Scope, b.Destination)
		dead[s] = true
		if was[s].Firing {
			continue
		}
		last, err := w.lastError(ctx, b)
		if err != nil {
			return err
		}
		d := &Data{Destination: b.Destination, Firing: true, Since: feature.Time(b.DeadSince), Dead: b.Dead, LastError: last,
			Reason: plural(b.Dead, "event") + " could not be delivered to " + b.Destination + " and will not be tried again"}
		if err := w.tell(ctx, s, was[s], d); err != nil {
			return err
		}
	}
	for s, st := range was {
		if !st.Firing || dead[s] {
			continue
		}
		to, _ := destinationOf(s)
		d := &Data{Destination: to, Since: feature.Time(st.Since), Resolves: st.Event, Reason: "no event for " + to + " is given up any more"}
		if err := w.tell(ctx, s, st, d); err != nil {
			return err
		}
	}
	return nil
}

// patience is for how long an entry may wait for a destination that the settings do not have: in another process
// they may be newer.
const patience = time.Hour

// giveUp gives up what waits for destinations that nobody delivers to, because they were renamed or taken out of the settings. It
// would wait for ever, and nobody would be told.
func (w *Watch) giveUp(ctx context.Context, all []outbox.Backlog) (any bool, err error) {
	now := w.opt.Now()
	before := now.Add(-patience).UnixMicro()
	for i := range all {
		b := &all[i]
		if len(w.opt.Known) == 0 || slices.Contains(w.opt.Known, b.Destination) || b.Pending == 0 || b.Oldest > before {
			continue
		}
		for below := int64(0); ; {
			part, err := w.store.Entries(ctx, outbox.Query{State: outbox.Pending, Destination: b.Destination, Scope: b.Scope, Below: below, Limit: 1000})
			if err != nil {
				return any, err
			}
			if len(part) == 0 {
				break
			}
			below = part[len(part)-1].Seq
			for j := range part {
				// Updated: what was sent again, to a name that is there no more, has its hour as well.
				if e := &part[j]; max(e.Created, e.Updated) <= before {
					any = true
					if err := w.store.Fail(ctx, e.ID, "the settings have no destination "+b.Destination, now, now, true); err != nil {
						return any, err
					}
				}
			}
		}
	}
	return any, nil
}

// tell records a change of state with its event; what somebody else has changed meanwhile is left for the next pass.
func (w *Watch) tell(ctx context.Context, s tally.Series, st tally.State, d *Data) error {
	now := w.opt.Now()
	d.Project, d.Severity, d.Since = s.Project, feature.Critical, d.Since.UTC()
	e, err := newEvent(s, d, st.Revision, now)
	if err != nil {
		return err
	}
	next := st
	next.Series, next.Firing, next.Event, next.Since = s, d.Firing, e.ID, 0
	if d.Firing {
		next.Since = d.Since.UnixMicro()
	}
	to := w.opt.Route(outbox.Subject{Project: s.Project, Type: e.Type, Owner: s.Owner, Severity: d.Severity, Firing: d.Firing})
	to = slices.DeleteFunc(slices.Clone(to), func(name string) bool { return name == d.Destination })
	ok, err := w.store.Tell(ctx, &tally.Change{Next: &next, Event: e, At: now,
		Outbox: e.Entries(to, map[string]string{"content-type": contentType})})
	if err != nil || !ok {
		return err
	}
	level := slog.LevelInfo
	if d.Firing {
		level = slog.LevelError
	}
	w.opt.Log.Log(ctx, level, "delivery", "type", e.Type, "destination", d.Destination, "project", d.Project, "reason", d.Reason, "last_error", d.LastError, "event", e.ID)
	w.opt.Told()
	return nil
}

// contentType is the content type of a structured CloudEvent.
const contentType = "application/cloudevents+json"

// lastError is why the newest dead entry of a backlog was given up.
func (w *Watch) lastError(ctx context.Context, b *outbox.Backlog) (string, error) {
	all, err := w.store.Entries(ctx, outbox.Query{State: outbox.Dead, Destination: b.Destination, Scope: b.Scope, Limit: 1})
	for i := range all {
		if all[i].Seq == b.Newest {
			return all[i].LastError, err
		}
	}
	return "", err
}

// show sets the gauges.
func (w *Watch) show(all []outbox.Backlog) {
	pending, dead, oldest := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for i := range all {
		b := &all[i]
		w.seen[b.Destination] = true
		pending[b.Destination] += b.Pending
		dead[b.Destination] += b.Dead
		if o := oldest[b.Destination]; b.Oldest > 0 && (o == 0 || b.Oldest < o) {
			oldest[b.Destination] = b.Oldest
		}
	}
	now := w.opt.Now().UnixMicro()
	for d := range w.seen {
		w.counts.WithLabelValues(d, string(outbox.Pending)).Set(float64(pending[d]))
		w.counts.WithLabelValues(d, string(outbox.Dead)).Set(float64(dead[d]))
		age := 0.0
		if oldest[d] > 0 {
			age = max(0, float64(now-oldest[d])/1e6)
		}
		w.oldest.WithLabelValues(d).Set(age)
	}
}
