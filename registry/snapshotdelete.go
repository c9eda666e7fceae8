package registry

import (
	"context"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// DeleteSnapshot removes a snapshot's record and profile, and returns what it was.
// While monitors compare with it or models were trained on it, it stays: feature.Conflict, which names them.
// The table versions are the caller's to let go.
func (r *Registry) DeleteSnapshot(ctx context.Context, project, id string) (feature.Snapshot, error) {
	for try := 0; ; try++ {
		now, err := r.refresh(ctx)
		if err != nil {
			return feature.Snapshot{}, err
		}
		s, err := r.store.Snapshot(ctx, project, id)
		if err != nil {
			return feature.Snapshot{}, err
		}
		if users := monitorsOn(now.catalog, s); len(users) > 0 {
			return feature.Snapshot{}, feature.Errorf(feature.Conflict, "registry.delete_snapshot", "snapshot "+id, "it is the reference of %s", strings.Join(users, ", ")).
				WithHint("give the monitor another reference and apply that, or delete the monitor")
		}
		by, err := r.trainedOnSnapshot(ctx, s)
		if err != nil {
			return feature.Snapshot{}, err
		}
		if len(by) > 0 {
			return feature.Snapshot{}, SnapshotTrained(id, by)
		}
		err = r.store.DeleteSnapshot(ctx, id, now.catalog.revision)
		if feature.KindOf(err) != feature.Conflict || try >= r.cfg.ConflictRetries || ctx.Err() != nil {
			return s, err
		}
	}
}
