package app

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/drift"
	driftsql "github.com/weir-ml/weir/drift/sqlstore"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/deadletter"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/tally"
	tallysql "github.com/weir-ml/weir/internal/tally/sqlstore"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
	"github.com/weir-ml/weir/validate/quality"
	qualitysql "github.com/weir-ml/weir/validate/quality/sqlstore"
)

// startDrift runs what judges windows, what looks at the clock and what delivers events.
func (a *App) startDrift() (service, error) {
	to, repeat := a.deliverers()
	a.dispatch = outbox.New(a.drift, to, a.cfg.Drift.Outbox, a.log, a.metrics, nil)
	undelivered := deadletter.New(a.quality, deadletter.Options{Route: a.cfg.route(), Known: a.cfg.destinations(), Poll: 5 * a.cfg.Drift.Outbox.Poll,
		Told: a.dispatch.Kick, Log: a.log, Metrics: a.metrics})
	a.dispatch.OnDead(undelivered.Kick)
	a.watch = drift.NewWatch(drift.WatchOptions{
		Store: a.drift,
		Monitors: func(ctx context.Context) ([]*feature.Monitor, error) {
			cat, err := a.registry.Current(ctx)
			if err != nil {
				return nil, err
			}
			return cat.Monitors(), nil
		},
		Models: a.registry, References: profiles{a}, History: history{a.tables}, Spill: a.joinConfig().SpillDir, Config: a.cfg.Drift,
		Route: a.cfg.route(), Told: a.dispatch.Kick, Log: a.log, Metrics: a.driftMetrics,
	})
	views := func(ctx context.Context) ([]*feature.View, error) {
		cat, err := a.registry.Current(ctx)
		if err != nil {
			return nil, err
		}
		return cat.Views(), nil
	}
	d := a.cfg.Drift
	a.windows = quality.NewWatch(a.quality, quality.WatchOptions{Views: views, Alerts: a.alerts, Log: a.log, Metrics: a.qualityMetrics,
		Config: tally.Config{Poll: d.Poll, KeepSettled: d.KeepSettled, KeepProfiles: d.KeepProfiles, KeepDelivered: d.KeepDelivered}})
	rules := quality.NewRules(a.quality, a.clocks, a.alerts, views, quality.RuleOptions{Poll: d.Poll, Log: a.log, Metrics: a.qualityMetrics})
	return service{"drift", func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, run := range []func(context.Context) error{a.watch.Run, a.windows.Run, rules.Run, a.dispatch.Run, undelivered.Run} {
			g.Go(func() error { return run(ctx) })
		}
		for _, r := range repeat {
			g.Go(func() error { return r.Run(ctx) })
		}
		return g.Wait()
	}}, nil
}

// openWatching opens what windows, states and events are kept in. Every process has it: workers count
// rows there and tell of views that pause.
func (a *App) openWatching(ctx context.Context, db *sqldb.DB) (err error) {
	if a.drift, err = driftsql.New(ctx, db); err != nil {
		return err
	}
	if a.quality, err = tallysql.New[*expect.WindowTally, *quality.Verdict](ctx, db, tallysql.Quality, expect.DecodeWindow); err != nil {
		return err
	}
	if a.clocks, err = qualitysql.New(ctx, db); err != nil {
		return err
	}
	a.alerts = quality.NewAlerts(a.quality, quality.AlertOptions{Route: a.cfg.route(), Log: a.log, Metrics: a.qualityMetrics,
		Told: a.kickDispatch})
	return nil
}

// kickDispatch tells the dispatcher, where it runs in this process, of new entries; elsewhere it looks by itself.
func (a *App) kickDispatch() {
	if a.dispatch != nil {
		a.dispatch.Kick()
	}
}

// qualityTap counts a view's rows for its windows and for the rules by the clock; nil where nothing is watched.
func (a *App) qualityTap(v *feature.View) ingest.Sink {
	if !v.Quality.Watched() {
		return nil
	}
	return tally.NewTap(v, quality.Targets(v), a.quality, tally.TapOptions{Name: "quality", Held: v.Quality.Windowed(), Progress: true, Log: a.log,
		Merged: a.qualityMetrics.Merged, Settled: a.kickWindows})
}

// kickWindows tells the watch of views, where it runs in this process, that windows may have moved.
func (a *App) kickWindows() {
	if a.windows != nil {
		a.windows.Kick()
	}
}

// profiles gives the monitors the profiles of snapshots.
type profiles struct{ a *App }

func (p profiles) SnapshotProfile(ctx context.Context, project, id string) ([]byte, []feature.SnapshotColumn, error) {
	s, err := p.a.definition.Snapshot(ctx, project, id)
	if err != nil {
		return nil, nil, err
	}
	b, err := p.a.definition.SnapshotProfile(ctx, id)
	return b, s.Columns, err
}
