package app

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/drift"
	driftkafka "github.com/weir-ml/weir/drift/kafka"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// startDrift runs what judges windows and what delivers events.
func (a *App) startDrift() (service, error) {
	a.dispatch = outbox.New(a.drift, map[string]outbox.Deliverer{api.EventDestination: driftkafka.New(a.producer)}, a.cfg.Drift.Outbox, a.log, a.metrics, nil)
	a.watch = drift.NewWatch(drift.WatchOptions{
		Store: a.drift,
		Monitors: func(ctx context.Context) ([]*feature.Monitor, error) {
			cat, err := a.registry.Current(ctx)
			if err != nil {
				return nil, err
			}
			return cat.Monitors(), nil
		},
		References: profiles{a}, History: history{a.tables}, Config: a.cfg.Drift,
		Destinations: []string{api.EventDestination}, Told: a.dispatch.Kick, Log: a.log, Metrics: a.driftMetrics,
	})
	return service{"drift", func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return a.watch.Run(ctx) })
		g.Go(func() error { return a.dispatch.Run(ctx) })
		return g.Wait()
	}}, nil
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
