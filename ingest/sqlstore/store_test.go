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
	put := func(p ingest.Pause) ingest.Pause {
		out, err := s.Put(ctx, p)
		require.NoError(t, err)
		return out
	}
	for _, p := range []ingest.Pause{a, b, other, elsewhere} {
		require.Equal(t, p, put(p))
	}
	require.Equal(t, []ingest.Pause{a, b}, of("p", "a"))
	require.Len(t, of("p", ""), 3)
	require.Len(t, of("", ""), 4)
	b.Next, b.Clean, b.JudgedBy = 9, false, "y"
	put(b)
	require.Equal(t, []ingest.Pause{a, b}, of("p", "a"))
	none, err := s.Resumed(ctx, "p", "a")
	require.NoError(t, err)
	require.Zero(t, none)

	accept := ingest.Resumption{Project: "p", View: "a", State: ingest.PauseAccepted, TopicID: a.TopicID, Ends: map[int32]int64{0: 20, 1: 30, 2: 40, 3: 50}}
	got, err := s.Resume(ctx, accept)
	require.NoError(t, err)
	a.State, b.State, a.Until, b.Until = ingest.PauseAccepted, ingest.PauseAccepted, 20, 30
	require.Equal(t, []ingest.Pause{a, b}, got)
	require.Equal(t, []ingest.Pause{a, b}, of("p", "a"))
	require.Equal(t, []ingest.Pause{other}, of("p", "b"))
	accept.Number, accept.JudgedBy = 1, []string{"x", "y"}
	last, err := s.Resumed(ctx, "p", "a")
	require.NoError(t, err)
	require.Equal(t, accept, last)
	again := accept
	again.State = ingest.PauseResumed
	got, err = s.Resume(ctx, again)
	require.NoError(t, err)
	require.Empty(t, got, "none stands still")
	last, err = s.Resumed(ctx, "p", "a")
	require.NoError(t, err)
	require.Equal(t, accept, last, "and nothing was said")

	// A worker that knows nothing of that yet notes what it knows.
	late := a
	late.State, late.Clean, late.Until = ingest.PauseStanding, false, 0
	a.Clean = false
	require.Equal(t, a, put(late), "the same pause stays accepted")
	require.ElementsMatch(t, []ingest.Pause{a, b}, of("p", "a"))
	late.Partition = 2
	for _, c := range []struct {
		why    string
		change func(*ingest.Pause)
		state  string
	}{
		{"another pause, of before", func(p *ingest.Pause) { p.Since = 6 }, ingest.PauseAccepted},
		{"the last event that there was", func(p *ingest.Pause) { p.Since, p.Next = 6, 39 }, ingest.PauseAccepted},
		{"what came later", func(p *ingest.Pause) { p.Since, p.Next = 6, 40 }, ingest.PauseStanding},
		{"what came later, of a pause that was resumed", func(p *ingest.Pause) { p.Next = 40 }, ingest.PauseAccepted},
		{"a worker that knew", func(p *ingest.Pause) { p.Since, p.Seen = 6, 1 }, ingest.PauseStanding},
		{"a partition that nobody knew of", func(p *ingest.Pause) { p.Since, p.Partition = 6, 4 }, ingest.PauseStanding},
		{"another topic", func(p *ingest.Pause) { p.Since, p.TopicID = 6, [16]byte{2} }, ingest.PauseStanding},
		{"another judge", func(p *ingest.Pause) { p.Since, p.JudgedBy = 6, "z" }, ingest.PauseStanding},
		{"another view", func(p *ingest.Pause) { p.Since, p.View = 6, "b" }, ingest.PauseStanding},
	} {
		p := late
		c.change(&p)
		require.Equal(t, c.state, put(p).State, c.why)
		require.NoError(t, s.Forget(ctx, p))
	}
	late.Partition, late.Since, late.Seen = 0, 6, 1
	require.Equal(t, late, put(late))
	require.ElementsMatch(t, []ingest.Pause{late, b}, of("p", "a"))

	// The next word is for those that have not heard it.
	got, err = s.Resume(ctx, again)
	require.NoError(t, err)
	late.State = ingest.PauseResumed
	require.Equal(t, []ingest.Pause{late}, got)
	last, err = s.Resumed(ctx, "p", "a")
	require.NoError(t, err)
	require.EqualValues(t, 2, last.Number)
	p := late
	p.Partition, p.State, p.Since = 3, ingest.PauseStanding, 9
	p = put(p)
	require.Equal(t, ingest.PauseResumed, p.State)
	require.NoError(t, s.Forget(ctx, p))

	require.NoError(t, s.Forget(ctx, a))
	require.NoError(t, s.Forget(ctx, a))
	require.Equal(t, []ingest.Pause{b}, of("p", "a"))
	require.Len(t, of("", ""), 3)
}
