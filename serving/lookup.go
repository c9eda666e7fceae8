package serving

import (
	"context"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// Lookup answers one call of weir.v1.FeatureService.
func (l *Lookups) Lookup(ctx context.Context, req *weirv1.LookupRequest) (*weirv1.LookupResponse, error) {
	q := &Question{Project: req.Project, Service: req.GetService(), Features: req.GetFeatures().GetRefs(), RequestID: req.RequestId,
		Entities: func(keys []feature.Field) ([]feature.Vector, int, error) { return entities(keys, req.Entities) }}
	a, err := l.Ask(ctx, q)
	if err != nil {
		return nil, err
	}
	defer a.Release()
	resp := encode(a.Block, req)
	resp.CatalogRevision = a.Revision
	return resp, nil
}
