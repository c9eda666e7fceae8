package registrytest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

func trained(version, snapshot string) feature.Model {
	return feature.Model{Project: "p", Name: "churn", Version: version, Service: "churn_features", ServiceVersion: 2, Snapshot: snapshot, CreatedAt: 100}
}

func labels(all []feature.Model) (out []string) {
	for _, m := range all {
		out = append(out, fmt.Sprint(m.ID(), m.Aliases))
	}
	return out
}

func models(t *testing.T, s registry.Store, more func() registry.Store) {
	for _, id := range []string{"s1", "s2"} {
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "p"}, nil))
	}
	first := trained("1", "s1")
	first.URI, first.Tags = "s3://models/1", map[string]string{"team": "growth", "q": "a\"b"}
	require.NoError(t, s.PutModel(ctx, first))
	got, err := more().Model(ctx, "p", "churn", "1")
	require.NoError(t, err)
	require.Equal(t, first, got)

	again := first
	again.URI, again.Tags, again.CreatedAt = "s3://elsewhere", nil, 999
	require.NoError(t, more().PutModel(ctx, again), "the same origin")
	got, err = s.Model(ctx, "p", "churn", "1")
	require.NoError(t, err)
	again.CreatedAt = 100
	require.Equal(t, again, got, "URI and tags are the newest, the time is the first")

	for _, other := range []feature.Model{trained("1", "s2"), {Project: "p", Name: "churn", Version: "1", Service: "churn_features", ServiceVersion: 3, Snapshot: "s1"},
		{Project: "p", Name: "churn", Version: "1", Service: "other", ServiceVersion: 2, Snapshot: "s1"}, trained("9", "zzz")} {
		require.Equal(t, feature.Conflict, feature.KindOf(s.PutModel(ctx, other)), "%+v", other)
	}
	elsewhere := trained("9", "s1")
	elsewhere.Project = "q"
	require.Equal(t, feature.Conflict, feature.KindOf(s.PutModel(ctx, elsewhere)), "the snapshot is of another project")

	require.NoError(t, s.PutModel(ctx, trained("10", "s2")))
	require.NoError(t, s.PutModel(ctx, trained("9", "s2")))
	b := trained("1", "s1")
	b.Name = "ads"
	require.NoError(t, s.PutModel(ctx, b))
	for _, s := range []registry.Store{s, more()} {
		for _, c := range []struct {
			project, name string
			want          []string
		}{
			{"p", "churn", []string{"p/churn@1[]", "p/churn@9[]", "p/churn@10[]"}},
			{"p", "", []string{"p/ads@1[]", "p/churn@1[]", "p/churn@9[]", "p/churn@10[]"}},
			{"", "ads", []string{"p/ads@1[]"}},
			{"q", "", nil},
		} {
			all, err := s.ListModels(ctx, c.project, c.name)
			require.NoError(t, err)
			require.Equal(t, c.want, labels(all))
		}
		_, err := s.Model(ctx, "p", "churn", "2")
		require.Equal(t, feature.NotFound, feature.KindOf(err))
	}
	require.NoError(t, more().DeleteModel(ctx, "p", "churn", "9"))
	require.Equal(t, feature.NotFound, feature.KindOf(s.DeleteModel(ctx, "p", "churn", "9")))
}

func aliases(t *testing.T, s registry.Store, more func() registry.Store) {
	for i := range 3 {
		id := fmt.Sprint("s", i)
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "p"}, nil))
		require.NoError(t, s.PutModel(ctx, trained(fmt.Sprint(i), id)))
	}
	move := func(s registry.Store, alias, version string, at int64, want bool) {
		t.Helper()
		moved, err := s.MoveAlias(ctx, feature.AliasMove{Project: "p", Model: "churn", Alias: alias, Version: version, At: at})
		require.NoError(t, err)
		require.Equal(t, want, moved)
	}
	move(s, "champion", "0", 10, true)
	move(more(), "champion", "0", 11, false)
	move(s, "candidate", "1", 12, true)
	move(s, "blue", "1", 13, true)
	move(more(), "champion", "1", 5, true) // a clock that runs behind
	move(s, "none", "", 15, false)
	all, err := more().ListModels(ctx, "p", "churn")
	require.NoError(t, err)
	require.Equal(t, []string{"p/churn@0[]", "p/churn@1[blue candidate champion]", "p/churn@2[]"}, labels(all))

	require.Equal(t, feature.Conflict, feature.KindOf(s.DeleteModel(ctx, "p", "churn", "1")), "it has an alias")
	_, err = s.MoveAlias(ctx, feature.AliasMove{Project: "p", Model: "churn", Alias: "champion", Version: "7"})
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	_, err = s.MoveAlias(ctx, feature.AliasMove{Project: "q", Model: "churn", Alias: "champion", Version: "1"})
	require.Equal(t, feature.NotFound, feature.KindOf(err))

	move(s, "champion", "", 20, true)
	move(s, "candidate", "", 21, true)
	move(s, "blue", "2", 22, true)
	require.NoError(t, s.DeleteModel(ctx, "p", "churn", "1"))
	moves, err := more().AliasMoves(ctx, "p", "churn")
	require.NoError(t, err)
	var got []string
	for _, m := range moves {
		got = append(got, fmt.Sprintf("%d %s %s %s", m.At, m.Alias, m.Version, m.Snapshot))
	}
	require.Equal(t, []string{"10 champion 0 s0", "12 candidate 1 s1", "13 blue 1 s1", "5 champion 1 s1", "20 champion  ", "21 candidate  ", "22 blue 2 s2"}, got,
		"in their order, with the snapshot of a version that is gone")
	none, err := s.AliasMoves(ctx, "q", "churn")
	require.NoError(t, err)
	require.Empty(t, none)
}

// aliasRaces: many move one alias at once; it stands at one version, and the moves tell how it came there.
func aliasRaces(t *testing.T, s registry.Store, more func() registry.Store) {
	require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: "s", Project: "p"}, nil))
	const versions = 4
	for i := range versions {
		require.NoError(t, s.PutModel(ctx, trained(fmt.Sprint(i), "s")))
	}
	var wg sync.WaitGroup
	changed := make([]int, versions)
	for i := range versions {
		s := more()
		wg.Go(func() {
			for range 5 {
				moved, err := s.MoveAlias(ctx, feature.AliasMove{Project: "p", Model: "churn", Alias: "champion", Version: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
				}
				if moved {
					changed[i]++
				}
			}
		})
	}
	wg.Wait()
	all, err := s.ListModels(ctx, "p", "churn")
	require.NoError(t, err)
	var at []string
	for _, m := range all {
		if m.HasAlias("champion") {
			at = append(at, m.Version)
		}
	}
	require.Len(t, at, 1)
	moves, err := s.AliasMoves(ctx, "p", "churn")
	require.NoError(t, err)
	require.Len(t, moves, changed[0]+changed[1]+changed[2]+changed[3])
	require.Equal(t, at[0], moves[len(moves)-1].Version)
	for i := 1; i < len(moves); i++ {
		require.NotEqual(t, moves[i-1].Version, moves[i].Version)
	}
}

// snapshotDeletedUnderModel: a model is registered while its snapshot is deleted: one of the two is refused.
func snapshotDeletedUnderModel(t *testing.T, s registry.Store, more func() registry.Store) {
	other := more()
	registered, deleted := 0, 0
	for i := range 12 {
		id := fmt.Sprint("s", i)
		require.NoError(t, s.PutSnapshot(ctx, feature.Snapshot{ID: id, Project: "p"}, nil))
		var wg sync.WaitGroup
		var put, remove error
		wg.Go(func() { put = s.PutModel(ctx, trained(fmt.Sprint(i), id)) })
		wg.Go(func() { remove = other.DeleteSnapshot(ctx, id, 0) })
		wg.Wait()
		if put == nil {
			registered++
			require.Equal(t, feature.Conflict, feature.KindOf(remove))
			require.ErrorContains(t, remove, "model churn@"+fmt.Sprint(i)+" was trained on it")
			continue
		}
		deleted++
		require.NoError(t, remove)
		require.Equal(t, feature.Conflict, feature.KindOf(put))
	}
	t.Logf("registered %d, deleted %d", registered, deleted)
	if registered > 0 {
		all, err := s.ListModels(ctx, "p", "churn")
		require.NoError(t, err)
		require.NoError(t, s.DeleteModel(ctx, "p", "churn", all[0].Version))
		require.NoError(t, s.DeleteSnapshot(ctx, all[0].Snapshot, 0), "nobody was trained on it any more")
	}
}
