package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/weir-ml/weir/cmd/weir/api"
	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/internal/kafkalog"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// upkeep is what proves and mends: audits, and online rows written again.
func (a *App) upkeep() *api.Upkeep {
	return &api.Upkeep{Registry: a.registry, Examine: a.examine, Rebuild: a.rebuild, Merge: a.merge, Tables: a.tables, Settings: a.cfg.Offline.Upkeep, Log: a.log}
}

// startUpkeep keeps the tables small.
func (a *App) startUpkeep() (service, error) {
	k, err := offline.NewKeeper(offline.KeeperOptions{
		Tables: a.tables, Snapshots: a.definition, Config: a.cfg.Offline, Log: a.log, Metrics: a.metrics,
		Views: func(ctx context.Context) ([]*feature.View, error) {
			cat, err := a.registry.Current(ctx)
			if err != nil {
				return nil, err
			}
			return cat.Views(), nil
		},
	})
	if err != nil {
		return service{}, err
	}
	return service{"upkeep", k.Run}, nil
}

// merge compacts a view's table.
func (a *App) merge(ctx context.Context, v *feature.View, dryRun bool, progress func(done, total int64)) (api.Compacted, error) {
	t, err := a.tables.Table(ctx, v)
	if err != nil {
		return api.Compacted{}, err
	}
	defer t.Close()
	res, err := offline.Compact(ctx, t, offline.CompactOptions{Config: a.cfg.Offline, DryRun: dryRun, Log: a.log,
		Progress: func(p offline.CompactProgress) { progress(p.Rows, p.OfRows) }})
	return api.Compacted{Files: int64(res.Gone), Made: int64(res.Made), Rows: res.Rows, Bytes: res.BytesGone, BytesMade: res.BytesMade,
		FilesLeft: int64(res.FilesAfter), Conflicts: int64(res.Conflicts)}, err
}

// topicLog tells what the log of a topic still has.
func (a *App) topicLog(ctx context.Context, name string) (*api.TopicLog, error) {
	l, err := kafkalog.Open(ctx, a.kafka, name)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	bounds, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	compacted, err := l.Compacted(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// A broker that does not tell is believed to keep what it has.
	return &api.TopicLog{ID: l.ID, Bounds: bounds, Compacted: compacted && err == nil}, nil
}

func (a *App) examine(ctx context.Context, v *feature.View, o api.AuditOptions, progress func(audit.Progress)) (*audit.Report, error) {
	check := func(ctx context.Context, v *feature.View, t offline.Table, st *offline.State, found func(audit.Difference)) (*audit.Online, error) {
		return a.checkOnline(ctx, v, t, st, o.NoImports, progress, found)
	}
	return audit.New(audit.Config{Kafka: a.kafka, Catalogs: a.registry, Tables: a.tables, Formats: a.formats, Log: a.log, Online: check}).Run(ctx, v, o.Options, progress)
}

// onlineKinds names in an audit what the online room found.
var onlineKinds = map[online.CheckKind]string{
	online.Missing: audit.OnlineMissing, online.Stale: audit.OnlineStale,
	online.Changed: audit.OnlineChanged, online.Stranger: audit.OnlineStranger,
}

// checkOnline compares the online store with a version of a view's table.
func (a *App) checkOnline(ctx context.Context, v *feature.View, t offline.Table, st *offline.State, noImports bool, progress func(audit.Progress), found func(audit.Difference)) (*audit.Online, error) {
	res, err := online.Check(ctx, online.CheckConfig{
		View: v, Store: a.store, At: st.Positions, Strangers: true, NoImports: noImports, Config: a.cfg.Online, Log: a.log,
		Positions: t.Positions,
		Newest: func(fn func(*feature.Batch) error) error {
			return offline.Newest(ctx, t, offline.NewestOptions{Version: offline.Version{Snapshot: st.Snapshot}}, fn)
		},
		Progress: func(keys int64) {
			if progress != nil {
				progress(audit.Progress{Step: "online", Done: keys})
			}
		},
	}, func(f online.CheckFault) {
		found(audit.Difference{Kind: onlineKinds[f.Kind], Key: f.Key, Count: 1, Detail: f.Detail})
	})
	if err != nil {
		return nil, err
	}
	var rollbacks []offline.RolledBack
	if len(res.RolledBack) > 0 {
		if rollbacks, err = t.Rollbacks(ctx); err != nil {
			return nil, err
		}
	}
	for _, r := range res.RolledBack {
		if offline.WentBack(rollbacks, feature.Position{TopicID: r.At.TopicID, Partition: r.At.Partition, Next: r.Settled}, r.At.Next) {
			continue // on its way back to where it was
		}
		found(audit.Difference{Kind: audit.RolledBack, Topic: r.At.Topic, TopicID: r.At.TopicID, Partition: r.At.Partition,
			First: r.At.Next, Last: r.Settled - 1, Count: max(1, r.Settled-r.At.Next),
			Detail: fmt.Sprintf("the table stands at %d; the online store was told of %d", r.At.Next, r.Settled)})
	}
	return &audit.Online{Keys: res.Keys, Equal: res.Equal, Expired: res.Expired, Ahead: res.Ahead, TableHash: res.TableHash, StoreHash: res.StoreHash}, nil
}

// rebuild writes a view's online rows again from its table.
func (a *App) rebuild(ctx context.Context, v *feature.View, o api.MaterializeOptions, progress func(done, total int64)) (api.Materialized, error) {
	h := history{a.tables}
	res, err := online.Materialize(ctx, online.MaterializeConfig{
		View: v, Store: a.store, Restart: o.Restart, NoPrune: o.KeepStrangers, NoImports: o.NoImports,
		Config: a.cfg.Online, Log: a.log, Metrics: a.onlineMetrics, Progress: progress,
		Positions: func(ctx context.Context) ([]feature.Position, error) { return h.Positions(ctx, v) },
		Pin:       func(ctx context.Context, snapshot int64) (*online.Pinned, error) { return a.pin(ctx, v, snapshot) },
	})
	if err != nil {
		return api.Materialized{}, err
	}
	return api.Materialized{Rows: res.Keys, Stored: res.Stored, Removed: res.Pruned, Mended: res.Mended, Resumed: res.Resumed}, nil
}

// pin opens a view's table at a snapshot; at the newest one when it is 0.
func (a *App) pin(ctx context.Context, v *feature.View, snapshot int64) (*online.Pinned, error) {
	t, err := a.tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	st, err := t.Load(ctx, offline.Version{Snapshot: snapshot})
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	version := offline.Version{Snapshot: st.Snapshot}
	return &online.Pinned{
		Snapshot: st.Snapshot, At: st.Positions, Parts: offline.PartsFor(st.Rows), Close: t.Close,
		Newest: func(ctx context.Context, p online.NewestPart, fn func(*feature.Batch) error) error {
			return offline.Newest(ctx, t, offline.NewestOptions{Version: version, Part: p.Part, Parts: p.Parts, Counted: p.Counted}, fn)
		},
	}, nil
}
