package ingest

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// dryRun judges a file as an import that began now would, and writes nothing:
// no row, no entry of quarantine, no position, no metric.
func (im *Importer) dryRun(ctx context.Context, cat *registry.Catalog, v *feature.View, req ImportRequest, format tabular.Format, res *ImportResult, progress func(ImportProgress)) error {
	o := &Outlets{View: v}
	r := &importRun{im: im, cat: cat, o: o, res: res, progress: progress, unchanged: req.Unchanged, dry: true}
	r.p = NewPipeline(PipelineConfig{Config: im.Config, Source: v.SourceOf, Revision: cat.Revision(), Outlets: []*Outlets{o},
		Quarantine: im.Quarantine, Log: im.Log.With("import", req.Name), Metrics: NewMetrics(prometheus.NewRegistry())})
	r.at.Started = im.Now().UnixMicro()
	res.Started, res.Rules = r.at.Started, map[string]int64{}
	r.l = &lane{p: r.p, source: v.SourceOf, broken: res.Rules, stuck: new(atomic.Bool), options: decode.Options{Import: true, MaxEventBytes: im.MaxEventBytes},
		hold: func(*quarantine.Entry) {}, keep: func(*feature.Batch) error { return nil }}
	if err := r.l.add(nil, o); err != nil {
		return err
	}
	if err := r.l.compile(); err != nil {
		return err
	}
	if err := r.openFile(ctx, req, v, format); err != nil {
		return err
	}
	return r.all(ctx)
}
