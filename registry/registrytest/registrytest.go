// Package registrytest says what a registry store must do, as tests. An
// adapter's whole test is one call of Run.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Opener opens a store on what it was made for; every call gives another
// handle on the same data, as another process would have. The test closes it.
type Opener func(t testing.TB) registry.Store

// Run proves a store. newData makes new, empty data and returns how to open it.
func Run(t *testing.T, newData func(t testing.TB) Opener) {
	open := func(t testing.TB, o Opener) registry.Store {
		t.Helper()
		s := o(t)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	for _, c := range []struct {
		name string
		test func(t *testing.T, s registry.Store, more func() registry.Store)
	}{
		{"new", fresh},
		{"commit and load", commitAndLoad},
		{"stale base", staleBase},
		{"refused commit changes nothing", refused},
		{"versions", versions},
		{"bodies", bodies},
		{"many writers", manyWriters},
		{"snapshots", snapshots},
		{"snapshots deleted", snapshotsDeleted},
		{"snapshot deleted while it comes into use", snapshotDeletedInUse},
		{"models", models},
		{"aliases", aliases},
		{"aliases moved by many", aliasRaces},
		{"snapshot deleted while a model is registered", snapshotDeletedUnderModel},
		{"cancelled", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newData(t)
			c.test(t, open(t, o), func() registry.Store { return open(t, o) })
		})
	}
}

var ctx = context.Background()

func ref(name string) feature.Ref {
	return feature.Ref{Kind: feature.KindEntity, Project: "p", Name: name}
}

func put(name string, version int) registry.Record {
	return registry.Record{Ref: ref(name), Version: version, Body: fmt.Appendf(nil, `{"name":%q,"v":%d}`, name, version)}
}

// loaded is "name@version" of what is in force, sorted.
func loaded(t testing.TB, s registry.Store, revision int64) string {
	t.Helper()
	rs, err := s.Load(ctx, revision)
	require.NoError(t, err)
	var out []string
	for _, r := range rs {
		require.Equal(t, put(r.Ref.Name, r.Version).Body, r.Body)
		require.LessOrEqual(t, r.From, revision)
		out = append(out, fmt.Sprintf("%s@%d", r.Ref.Name, r.Version))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func fresh(t *testing.T, s registry.Store, _ func() registry.Store) {
	n, err := s.Revision(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Empty(t, loaded(t, s, 0))
	_, err = s.Load(ctx, 1)
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	_, err = s.Load(ctx, -1)
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	h, err := s.History(ctx, ref("a"))
	require.NoError(t, err)
	require.Empty(t, h)
	r, err := s.Revisions(ctx, 0)
	require.NoError(t, err)
	require.Empty(t, r)
}

func commitAndLoad(t *testing.T, s registry.Store, more func() registry.Store) {
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 0, At: 11, Puts: []registry.Record{put("a", 1), put("b", 1)}}))
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 1, At: 22, Puts: []registry.Record{put("a", 2), put("c", 1)}, Delete: []feature.Ref{ref("b")}}))
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 2, At: 33, Delete: []feature.Ref{ref("a")}}))
	for _, s := range []registry.Store{s, more()} {
		n, err := s.Revision(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
		require.Equal(t, "", loaded(t, s, 0))
		require.Equal(t, "a@1 b@1", loaded(t, s, 1))
		require.Equal(t, "a@2 c@1", loaded(t, s, 2))
		require.Equal(t, "c@1", loaded(t, s, 3))
		r, err := s.Revisions(ctx, 1)
		require.NoError(t, err)
		require.Equal(t, []registry.Revision{{Number: 2, At: 22}, {Number: 3, At: 33}}, r)
		h, err := s.History(ctx, ref("a"))
		require.NoError(t, err)
		require.Len(t, h, 2)
		require.Equal(t, []int64{1, 2, 2, 3}, []int64{h[0].From, h[0].To, h[1].From, h[1].To})
		h, err = s.History(ctx, ref("c"))
		require.NoError(t, err)
		require.Zero(t, h[0].To)
	}
}

func staleBase(t *testing.T, s registry.Store, more func() registry.Store) {
	other := more()
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 0, Puts: []registry.Record{put("a", 1)}}))
	for _, base := range []int64{0, 2, -1} {
		err := other.Commit(ctx, registry.ChangeSet{Base: base, Puts: []registry.Record{put("b", 1)}})
		require.Equal(t, feature.Conflict, feature.KindOf(err), "base %d: %v", base, err)
	}
	require.NoError(t, other.Commit(ctx, registry.ChangeSet{Base: 1, Puts: []registry.Record{put("b", 1)}}))
	require.Equal(t, "a@1 b@1", loaded(t, s, 2))
}

func refused(t *testing.T, s registry.Store, _ func() registry.Store) {
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 0, Puts: []registry.Record{put("a", 1)}}))
	for name, c := range map[string]registry.ChangeSet{
		"delete what is not there": {Base: 1, Puts: []registry.Record{put("b", 1)}, Delete: []feature.Ref{ref("zzz")}},
		"version left out":         {Base: 1, Puts: []registry.Record{put("b", 1), put("a", 3)}},
		"version again":            {Base: 1, Puts: []registry.Record{put("b", 1), put("a", 1)}},
		"not from one":             {Base: 1, Puts: []registry.Record{put("b", 2)}},
	} {
		require.Equal(t, feature.Invalid, feature.KindOf(s.Commit(ctx, c)), name)
	}
	n, err := s.Revision(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Equal(t, "a@1", loaded(t, s, 1))
	h, err := s.History(ctx, ref("b"))
	require.NoError(t, err)
	require.Empty(t, h)
}

func versions(t *testing.T, s registry.Store, _ func() registry.Store) {
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 0, Puts: []registry.Record{put("a", 1)}}))
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 1, Delete: []feature.Ref{ref("a")}}))
	require.Equal(t, feature.Invalid, feature.KindOf(s.Commit(ctx, registry.ChangeSet{Base: 2, Puts: []registry.Record{put("a", 1)}})),
		"a deleted name goes on counting")
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 2, Puts: []registry.Record{put("a", 2)}}))
	require.Equal(t, "a@1", loaded(t, s, 1))
	require.Equal(t, "", loaded(t, s, 2))
	require.Equal(t, "a@2", loaded(t, s, 3))
	same := feature.Ref{Kind: feature.KindView, Project: "p", Name: "a"}
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 3, Puts: []registry.Record{{Ref: same, Version: 1, Body: []byte(`{"name":"a","v":1}`)}}}),
		"the kind is part of the name")
}

func bodies(t *testing.T, s registry.Store, more func() registry.Store) {
	body := []byte(`{"s":"\u0000 \"ä\" 漢 \\ ? $1 %s '","n":0.1000000000000000055,"big":123456789012345678901234567890}` + strings.Repeat(" ", 1<<20))
	mine := slices.Clone(body)
	require.NoError(t, s.Commit(ctx, registry.ChangeSet{Base: 0, Puts: []registry.Record{{Ref: ref("a"), Version: 1, Body: mine}}}))
	clear(mine) // the caller's buffer is its own again
	for _, s := range []registry.Store{s, more()} {
		rs, err := s.Load(ctx, 1)
		require.NoError(t, err)
		require.Len(t, rs, 1)
		require.True(t, string(body) == string(rs[0].Body), "the body comes back byte for byte")
	}
}

// manyWriters: of all that try the same base one wins, and no revision is lost.
func manyWriters(t *testing.T, s registry.Store, more func() registry.Store) {
	const writers, each = 4, 10
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		mine := more()
		wg.Go(func() {
			for i := range each {
				for {
					base, err := mine.Revision(ctx)
					if err == nil {
						err = mine.Commit(ctx, registry.ChangeSet{Base: base, At: 1, Puts: []registry.Record{put(fmt.Sprintf("w%d_%d", w, i), 1)}})
					}
					if feature.KindOf(err) == feature.Conflict && err != nil {
						continue
					}
					if err != nil {
						errs[w] = err
						return
					}
					break
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	n, err := s.Revision(ctx)
	require.NoError(t, err)
	require.EqualValues(t, writers*each, n)
	for rev := range n + 1 {
		rs, err := s.Load(ctx, rev)
		require.NoError(t, err)
		require.Len(t, rs, int(rev), "every revision has exactly one more")
	}
}

func snapshots(t *testing.T, s registry.Store, more func() registry.Store) {
	one := feature.Snapshot{
		ID: "s1", Project: "p", Service: "churn", ServiceVersion: 3, Clock: feature.KnownClock, Rows: 1000,
		Tables:    []feature.SnapshotTable{{View: "v", ViewVersion: 2, Version: 8123456789012345678, Tag: "weir-s1"}},
		Columns:   []feature.SnapshotColumn{{Name: "tenure", View: "v", Type: feature.Int32, Nulls: 5}},
		SpineHash: "aa", ContentHash: "bb", CreatedAt: 200,
	}
	two := feature.Snapshot{ID: "s2", Project: "p", Service: "churn", CreatedAt: 100}
	elsewhere := feature.Snapshot{ID: "s3", Project: "q", Service: "churn", CreatedAt: 150}
	profile := []byte{0, 1, 2, 0xff, 0}
	require.NoError(t, s.PutSnapshot(ctx, one, profile))
	require.NoError(t, s.PutSnapshot(ctx, two, nil))
	require.NoError(t, s.PutSnapshot(ctx, elsewhere, []byte{}))
	require.NoError(t, more().PutSnapshot(ctx, one, profile), "the same again")
	changed := one
	changed.Rows++
	require.Equal(t, feature.Conflict, feature.KindOf(s.PutSnapshot(ctx, changed, profile)))
	require.Equal(t, feature.Conflict, feature.KindOf(s.PutSnapshot(ctx, one, []byte{1})))
	for _, s := range []registry.Store{s, more()} {
		got, err := s.Snapshot(ctx, "p", "s1")
		require.NoError(t, err)
		require.Equal(t, one, got)
		got, err = s.Snapshot(ctx, "", "s1")
		require.NoError(t, err, "ids are unique among all projects")
		require.Equal(t, one, got)
		b, err := s.SnapshotProfile(ctx, "s1")
		require.NoError(t, err)
		require.Equal(t, profile, b)
		b, err = s.SnapshotProfile(ctx, "s2")
		require.NoError(t, err)
		require.Empty(t, b)
		l, err := s.ListSnapshots(ctx, "p")
		require.NoError(t, err)
		require.Equal(t, []feature.Snapshot{two, one}, l, "oldest first")
		l, err = s.ListSnapshots(ctx, "")
		require.NoError(t, err)
		require.Equal(t, []string{"s2", "s3", "s1"}, ids(l), "of all projects")
		l, err = s.ListSnapshots(ctx, "none")
		require.NoError(t, err)
		require.Empty(t, l)
		for _, c := range [][2]string{{"q", "s1"}, {"p", "zzz"}, {"", "zzz"}} {
			_, err = s.Snapshot(ctx, c[0], c[1])
			require.Equal(t, feature.NotFound, feature.KindOf(err), c)
		}
		_, err = s.SnapshotProfile(ctx, "zzz")
		require.Equal(t, feature.NotFound, feature.KindOf(err))
	}
	n, err := s.Revision(ctx)
	require.NoError(t, err)
	require.Zero(t, n, "snapshots are no part of the catalog's revisions")
}

func cancelled(t *testing.T, s registry.Store, _ func() registry.Store) {
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, s.Commit(stopped, registry.ChangeSet{Base: 0, Puts: []registry.Record{put("a", 1)}}), context.Canceled)
	_, err := s.Load(stopped, 0)
	require.ErrorIs(t, err, context.Canceled)
	n, err := s.Revision(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
}
