package ingest

import (
	"context"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// wentBack finds out that a table was rolled back. The next commit would find it
// too, but where no events come there is no next commit, and what was rolled back
// has to come again all the same. The caller holds flushMu.
func (p *Pipeline) wentBack(ctx context.Context) error {
	lctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for i, o := range p.Outlets {
		table, err := o.Table.Positions(lctx)
		if err != nil {
			continue // the next commit reports it, or the next look finds it
		}
		for _, part := range p.owned() {
			pv := &part.views[i]
			if pv.stopped != nil {
				continue
			}
			at := feature.Position{Topic: pv.at.Topic, TopicID: pv.at.TopicID, Partition: pv.at.Partition}
			for _, q := range table {
				if q.Same(at) {
					at = q
				}
			}
			if at.Next < pv.at.Next || at.Commit == "" {
				return feature.Errorf(feature.Conflict, "ingest.position", "view "+o.View.ID(), "the table was rolled back: it stands at %s, and stood at %d", at, pv.at.Next)
			}
		}
	}
	return nil
}
