package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// mostPreviewed is how many quarantined entries a preview judges.
const mostPreviewed = 20_000

func (a *App) previews() *api.Preview {
	return &api.Preview{Tables: a.tables, Again: a.judgedAgain}
}

// judgedAgain judges quarantined entries as a catalog to come would, and changes nothing.
func (a *App) judgedAgain(ctx context.Context, next *registry.Catalog, v *feature.View, from, to int64) (held, passing int64, err error) {
	r := ingest.NewReplayer(ingest.ReplayConfig{
		Config: a.cfg.Ingest, Catalogs: toCome{next}, Kafka: a.kafka, Quarantine: a.held, Reader: quarantine.NewReader(a.kafka...),
		// The table is the one of today, whatever the view will look like.
		Rows: func(ctx context.Context, v *feature.View, within []quarantine.Range, fn func([16]byte, int32, int64, int64) error) error {
			now, err := a.viewNow(ctx, v)
			if err != nil {
				return err
			}
			return a.rowsWithin(ctx, now, within, fn)
		},
		Open: func(ctx context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			now, err := a.viewNow(ctx, v)
			if err != nil {
				return nil, err
			}
			return &ingest.Outlets{View: v, Table: tableNow{a, now}}, nil
		},
		Formats: a.formats, Replicas: int16(a.cfg.Kafka.Replicas), Log: a.log, Metrics: ingest.NewMetrics(prometheus.NewRegistry()),
	})
	res, err := r.Replay(ctx, ingest.ReplayRequest{Project: v.Meta.Project, View: v.Meta.Name, DryRun: true, Limit: mostPreviewed,
		Filter: quarantine.Filter{Since: from, Until: to}, By: "preview"}, nil)
	return res.Replayed + res.Held, res.Replayed, err
}

func (a *App) viewNow(ctx context.Context, v *feature.View) (*feature.View, error) {
	cat, err := a.registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	return cat.View(v.Meta.Project, v.Meta.Name)
}

// toCome is a catalog that is not in force.
type toCome struct{ cat *registry.Catalog }

func (c toCome) Current(context.Context) (*registry.Catalog, error)   { return c.cat, nil }
func (c toCome) At(context.Context, int64) (*registry.Catalog, error) { return c.cat, nil }
func (c toCome) Subscribe() (<-chan *registry.Catalog, func())        { return nil, func() {} }

// tableNow is a table that says where it stands and takes nothing.
type tableNow struct {
	a *App
	v *feature.View
}

func (s tableNow) Positions(ctx context.Context) ([]feature.Position, error) {
	t, err := s.a.tables.Table(ctx, s.v)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	st, err := t.Load(ctx, offline.Version{})
	if err != nil {
		return nil, err
	}
	return st.Positions, nil
}

func (s tableNow) Commit(context.Context, *feature.Commit) error {
	return feature.Errorf(feature.Unsupported, "registry.preview", "view "+s.v.ID(), "a preview writes nothing")
}
