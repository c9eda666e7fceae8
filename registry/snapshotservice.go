package registry

import (
	"context"
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// SnapshotService is the service that a snapshot was made with, of the version
// that it had and on the versions of its views: names and types are those of then.
func (r *Registry) SnapshotService(ctx context.Context, s feature.Snapshot) (*feature.Service, error) {
	what := "snapshot " + s.ID
	from, to := int64(1), int64(0) // the revisions at which all of them were in force; to 0: until now
	during := func(ref feature.Ref, version int) error {
		h, err := r.store.History(ctx, ref)
		if err != nil {
			return err
		}
		for _, x := range h {
			if x.Version != version {
				continue
			}
			if from = max(from, x.From); to == 0 || x.To != 0 && x.To < to {
				to = x.To
			}
			return nil
		}
		return feature.Errorf(feature.NotFound, "registry.snapshot", what, "the catalog has no %s", fmt.Sprintf("%s@%d", ref, version)).
			WithHint("it was made with another catalog")
	}
	if err := during(feature.Ref{Kind: feature.KindService, Project: s.Project, Name: s.Service}, s.ServiceVersion); err != nil {
		return nil, err
	}
	for _, t := range s.Tables {
		if err := during(feature.Ref{Kind: feature.KindView, Project: s.Project, Name: t.View}, t.ViewVersion); err != nil {
			return nil, err
		}
	}
	if to != 0 && from >= to {
		return nil, feature.Errorf(feature.NotFound, "registry.snapshot", what, "its service and views were never in force together").
			WithHint("it was made with another catalog")
	}
	c, err := r.At(ctx, from)
	if err != nil {
		return nil, err
	}
	return c.Service(s.Project, s.Service)
}
