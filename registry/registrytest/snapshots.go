package registrytest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

func ids(all []feature.Snapshot) (out []string) {
	for _, s := range all {
		out = append(out, s.ID)
	}
	return out
}

func snapshotsDeleted(t *testing.T, s registry.Store, more func() registry.Store) {
	for _, id := range []string{"s1", "s2"} {
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "p"}, []byte(id)))
	}
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 0, Puts: []registry.Record{put("a", 1)}, Snapshots: []string{"s1", "s2"}}))
	other := more()
	for _, base := range []int64{0, 2} {
		require.Equal(t, feature.Conflict, feature.KindOf(other.DeleteSnapshot(ctx, "s1", base)), "base %d", base)
	}
	require.Equal(t, feature.NotFound, feature.KindOf(other.DeleteSnapshot(ctx, "zzz", 1)))
	require.NoError(t, other.DeleteSnapshot(ctx, "s1", 1))
	for _, s := range []registry.Store{s, more()} {
		_, err := s.Snapshot(ctx, "p", "s1")
		require.Equal(t, feature.NotFound, feature.KindOf(err))
		_, err = s.SnapshotProfile(ctx, "s1")
		require.Equal(t, feature.NotFound, feature.KindOf(err))
		l, err := s.ListSnapshots(ctx, "p")
		require.NoError(t, err)
		require.Equal(t, []string{"s2"}, ids(l))
		require.Equal(t, feature.NotFound, feature.KindOf(s.DeleteSnapshot(ctx, "s1", 1)))
	}
	err := s.Commit(ctx, registry.ChangeSet{Base: 1, Puts: []registry.Record{put("b", 1)}, Snapshots: []string{"s2", "s1"}})
	require.Equal(t, feature.Conflict, feature.KindOf(err))
	n, err := s.Revision(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "nothing was committed, and a deletion is no revision")
}

// snapshotDeletedInUse: a definition that refers to a snapshot, and the snapshot's
// deletion, at the same time on the same revision: one of the two is refused.
func snapshotDeletedInUse(t *testing.T, s registry.Store, more func() registry.Store) {
	other := more()
	var deleted, used int
	for base := range int64(12) {
		id := fmt.Sprint("s", base)
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "p"}, nil))
		for { // until the definition is in force, so that each round has a revision of its own
			var wg sync.WaitGroup
			var commit, remove error
			wg.Go(func() {
				commit = s.Commit(ctx, registry.ChangeSet{Base: base, Puts: []registry.Record{put(id, 1)}, Snapshots: []string{id}})
			})
			wg.Go(func() { remove = other.DeleteSnapshot(ctx, id, base) })
			wg.Wait()
			_, err := s.Snapshot(ctx, "p", id)
			if commit == nil {
				used++
				require.Equal(t, feature.Conflict, feature.KindOf(remove))
				require.NoError(t, err, "it is in use, so it is there")
				break
			}
			deleted++
			require.Equal(t, feature.Conflict, feature.KindOf(commit))
			require.NoError(t, remove)
			require.Equal(t, feature.NotFound, feature.KindOf(err))
			require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "p"}, nil))
		}
	}
	t.Logf("used %d times, deleted %d times", used, deleted)
}
