package sqlstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
)

// TestPauses: the store remembers as the one in memory does, on every database.
func TestPauses(t *testing.T) {
	t.Run("memory", func(t *testing.T) { pauses(t, ingest.NewPauses()) })
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		db, err := sqldb.Open(t.Context(), newURL(t))
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		s, err := New(t.Context(), db)
		require.NoError(t, err)
		pauses(t, s)
	})
}

func pauses(t *testing.T, s ingest.Pauses) {
	ctx := context.Background()
	of := func(project, view string) []ingest.Pause {
		out, err := s.Of(ctx, project, view)
		require.NoError(t, err)
		return out
	}
	a := ingest.Pause{Project: "p", View: "a", Topic: "t", TopicID: [16]byte{1}, State: ingest.PauseStanding, Next: 7, Clean: true, Since: 5, Rejected: 201,
		Limit: 0.2, Events: 1000, Rules: map[string]int64{"decode": 3}, JudgedBy: "x"}
	b, other, elsewhere := a, a, a
	b.Partition, other.View, elsewhere.Project = 1, "b", "q"
	for _, p := range []ingest.Pause{a, b, other, elsewhere} {
		require.NoError(t, s.Put(ctx, p))
	}
	require.Equal(t, []ingest.Pause{a, b}, of("p", "a"))
	require.Len(t, of("p", ""), 3)
	require.Len(t, of("", ""), 4)
	b.Next, b.Clean = 9, false
	require.NoError(t, s.Put(ctx, b))
	require.Equal(t, []ingest.Pause{a, b}, of("p", "a"))

	got, err := s.Resume(ctx, "p", "a", ingest.PauseAccepted)
	require.NoError(t, err)
	a.State, b.State = ingest.PauseAccepted, ingest.PauseAccepted
	require.Equal(t, []ingest.Pause{a, b}, got)
	require.Equal(t, []ingest.Pause{a, b}, of("p", "a"))
	require.Equal(t, []ingest.Pause{other}, of("p", "b"))
	got, err = s.Resume(ctx, "p", "a", ingest.PauseResumed)
	require.NoError(t, err)
	require.Empty(t, got, "none stands still")

	// A worker that knows nothing of that yet notes the same pause once more: it stays accepted. Another pause stands.
	late := a
	late.State, late.Clean = ingest.PauseStanding, false
	require.NoError(t, s.Put(ctx, late))
	a.Clean = false
	require.ElementsMatch(t, []ingest.Pause{a, b}, of("p", "a"))
	late.Partition = 2
	require.NoError(t, s.Put(ctx, late))
	require.Equal(t, ingest.PauseAccepted, of("p", "a")[2].State, "it was resumed before this partition of it was noted")
	require.NoError(t, s.Forget(ctx, late))
	late.Partition, late.Since = 0, 6
	require.NoError(t, s.Put(ctx, late))
	require.ElementsMatch(t, []ingest.Pause{late, b}, of("p", "a"))

	require.NoError(t, s.Forget(ctx, a))
	require.NoError(t, s.Forget(ctx, a))
	require.Equal(t, []ingest.Pause{b}, of("p", "a"))
	require.Len(t, of("", ""), 3)
}
