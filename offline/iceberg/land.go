package iceberg

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/registry/feature"
)

// land repeats attempt until what is wanted is in the table, for sure. settled
// looks at the newest metadata first: it tells that it is there already, or refuses.
func (t *Table) land(ctx context.Context, op, what string, settled func(*loaded) (bool, error), attempt func(*loaded, *attempted) error) error {
	unlock := t.acquire(ctx)
	defer unlock()
	var failed error // what the last attempt came back with, its outcome open
	for try := 1; ; try++ {
		now, err := t.load(ctx)
		if err != nil {
			return err
		}
		if done, err := settled(now); done || err != nil {
			return err
		}
		// It is not there. So an attempt that failed has not landed, and it failed
		// either because the base moved, or for a reason that a retry at once would meet again.
		if failed != nil && (!errors.Is(failed, table.ErrCommitFailed) || try > maxTries) {
			return classify(op, what, failed)
		}
		if failed != nil {
			if err := pause(ctx, try); err != nil {
				return err
			}
		}
		a := &attempted{files: t.store.files.with(ctx)}
		if failed = attempt(now, a); failed == nil {
			return nil
		}
		a.undo()
		if ctx.Err() != nil || feature.KindOf(failed) == feature.Conflict || feature.KindOf(failed) == feature.Invalid {
			return classify(op, what, failed)
		}
	}
}

// commit makes the updates of one attempt the table's newest metadata.
func (t *Table) commit(ctx context.Context, now *loaded, a *attempted, updates ...table.Update) (*loaded, error) {
	ident := table.Identifier{t.view.Meta.Project, t.view.Meta.Name}
	next, loc, err := swapper{t, now, a}.CommitTable(ctx, ident, nil, updates)
	if err != nil {
		return nil, err
	}
	// As iceberg-go's transactions do it: what the log of older files drops is removed.
	var old []string
	kept := map[string]bool{}
	for e := range next.PreviousFiles() {
		kept[e.MetadataFile] = true
	}
	for e := range now.meta.PreviousFiles() {
		if !kept[e.MetadataFile] {
			old = append(old, e.MetadataFile)
		}
	}
	if err := t.store.files.remove(ctx, old); err != nil {
		t.store.log.Warn("old metadata files are left; a sweep takes them", "view", t.view.ID(), "files", len(old), "error", err)
	}
	return &loaded{location: loc, meta: next}, nil
}

// mainTo moves the main branch, which keeps the wishes that other engines have put on it.
func mainTo(m table.Metadata, snapshot int64) table.Update {
	var age, refAge int64
	keep := 0
	for name, ref := range m.Refs() {
		if name != table.MainBranch {
			continue
		}
		if ref.MaxSnapshotAgeMs != nil {
			age = *ref.MaxSnapshotAgeMs
		}
		if ref.MaxRefAgeMs != nil {
			refAge = *ref.MaxRefAgeMs
		}
		if ref.MinSnapshotsToKeep != nil {
			keep = *ref.MinSnapshotsToKeep
		}
	}
	return table.NewSetSnapshotRefUpdate(table.MainBranch, snapshot, table.BranchRef, refAge, age, keep)
}

// snapshotsOf are all snapshots of a table, oldest first.
func snapshotsOf(m table.Metadata) []table.Snapshot {
	out := slices.Clone(m.Snapshots())
	slices.SortStableFunc(out, func(a, b table.Snapshot) int { return int(a.SequenceNumber - b.SequenceNumber) })
	return out
}
