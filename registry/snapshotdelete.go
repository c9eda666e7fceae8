package registry

import (
	"context"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// DeleteSnapshot removes a snapshot's record and profile, and returns what it was.
// While monitors compare with it, it stays: feature.Conflict, which names them.
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
		var users []string
		for _, m := range now.catalog.Monitors() {
			if m.Meta.Project == s.Project && m.Reference.Snapshot == id {
				users = append(users, m.Meta.Name)
			}
		}
		if len(users) > 0 {
			return feature.Snapshot{}, feature.Errorf(feature.Conflict, "registry.delete_snapshot", "snapshot "+id, "it is the reference of monitor %s", strings.Join(users, ", ")).
				WithHint("give the monitor another reference and apply that, or delete the monitor")
		}
		err = r.store.DeleteSnapshot(ctx, id, now.catalog.revision)
		if feature.KindOf(err) != feature.Conflict || try >= r.cfg.ConflictRetries || ctx.Err() != nil {
			return s, err
		}
	}
}
