package app

import (
	"context"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// newReplayer makes what replays held-back events and gives them up.
func (a *App) newReplayer(replicas int16) *ingest.Replayer {
	return ingest.NewReplayer(ingest.ReplayConfig{
		Config: a.cfg.Ingest, Catalogs: a.registry, Open: a.openOutlets, Kafka: a.kafka, Quarantine: a.held,
		Reader: quarantine.NewReader(a.kafka...), Rows: a.rowsWithin, Formats: a.formats, Replicas: replicas, Log: a.log, Metrics: a.ingestMetrics})
}

// rowsWithin tells which coordinates a view's table has.
func (a *App) rowsWithin(ctx context.Context, v *feature.View, within []quarantine.Range, fn func([16]byte, int32, int64, int64) error) error {
	t, err := a.tables.Table(ctx, v)
	if err != nil {
		return err
	}
	defer t.Close()
	o := offline.ScanOptions{Columns: []string{}}
	for _, r := range within {
		o.Within = append(o.Within, offline.Range(r))
	}
	return offline.Scan(ctx, t, o, func(b *feature.Batch) error {
		for i, offset := range b.Offsets {
			if err := fn(b.Origin.TopicID, b.Origin.Partition, offset, b.KnownTime[i]); err != nil {
				return err
			}
		}
		return nil
	})
}
