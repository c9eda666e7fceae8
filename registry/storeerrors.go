package registry

import (
	"cmp"
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// What every store answers in the same words.

// Stale is the answer to a commit whose base is not the newest revision.
func Stale(base, newest int64) error {
	return feature.Errorf(feature.Conflict, "registry.commit", fmt.Sprintf("revision %d", base), "the newest is %d", newest).
		WithHint("somebody else changed the catalog: plan again")
}

// NoRevision is the answer to a question for a revision that does not exist.
func NoRevision(revision, newest int64) error {
	return feature.Errorf(feature.NotFound, "registry.load", fmt.Sprintf("revision %d", revision), "it does not exist, the newest is %d", newest)
}

// NoSnapshot is the answer to a question for a snapshot that does not exist.
func NoSnapshot(project, id string) error {
	what := id
	if project != "" {
		what = project + "/" + id
	}
	return feature.Errorf(feature.NotFound, "registry.snapshot", what, "it does not exist").WithHint("weir snapshot list shows what there is")
}

// SnapshotTaken is the answer to another snapshot under an id that is in use.
func SnapshotTaken(id string) error {
	return feature.Errorf(feature.Conflict, "registry.put_snapshot", id, "another snapshot has this id")
}

// SnapshotGone is the answer to a commit of definitions that refer to a snapshot which does not exist.
func SnapshotGone(id string) error {
	return feature.Errorf(feature.Conflict, "registry.commit", "snapshot "+id, "it does not exist any more")
}

// CompareSnapshots orders snapshots as they are listed: by creation, then id.
func CompareSnapshots(a, b feature.Snapshot) int {
	return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
}
