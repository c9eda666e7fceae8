package tallytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
)

// early gives a window verdicts while it takes rows.
func (k *Kit[T, V]) early(t *testing.T, s tally.Store[T, V]) {
	window := func() tally.Record[T, V] {
		t.Helper()
		all, err := s.Windows(ctx, tally.WindowQuery{Profiles: true, Starts: []int64{hour, 77 * hour}})
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0]
	}
	record := func(r tally.Record[T, V], to tally.WindowState, want bool) {
		t.Helper()
		ok, err := s.Record(ctx, &tally.Judgement[V]{Series: series, Start: r.Start, State: to, Verdict: k.Verdict(),
			Deltas: r.Deltas, Seen: r.Seen, Change: tally.Change{At: t0}})
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	stage(t, s, "a", append(k.deltas(3, 1), k.deltas(1, 2)...), mark(0, "", 0, 10))
	settle(t, s, "a")
	first := window()
	require.Equal(t, [3]int64{1, 0, 0}, [3]int64{first.Deltas, first.Seen, first.Amended})
	require.False(t, first.Early())
	record(first, tally.Open, true)
	record(first, tally.Open, false) // another judge
	stage(t, s, "b", k.deltas(4, 1), mark(0, "a", 10, 20))
	settle(t, s, "b")
	second := window()
	require.True(t, second.Early())
	require.Equal(t, k.Verdict(), second.Verdict)
	require.Equal(t, [3]int64{2, 1, 0}, [3]int64{second.Deltas, second.Seen, second.Amended})
	require.Equal(t, int64(7), second.Rows)
	k.Check(t, second.Profile, 7)
	require.NoError(t, s.Prune(ctx, t0, t0.Add(time.Hour), t0))
	require.NotZero(t, window().Profile, "it takes rows still")
	record(second, tally.Judged, false) // not closed
	record(second, tally.Open, true)

	// Rows come between the look and the close: they count, and the look is no longer good.
	third := window()
	require.Equal(t, [3]int64{2, 2, 1}, [3]int64{third.Deltas, third.Seen, third.Amended})
	stage(t, s, "c", k.deltas(5, 1), mark(0, "b", 20, 30))
	settle(t, s, "c")
	require.NoError(t, s.Close(ctx, series, []int64{hour}, t0))
	record(window(), tally.Open, false)
	record(window(), tally.Judged, true)
	last := window()
	require.Equal(t, tally.Judged, last.State)
	require.False(t, last.Early())
	require.Equal(t, [4]int64{12, 3, 3, 2}, [4]int64{last.Rows, last.Deltas, last.Seen, last.Amended})
}

// tell changes a state without a window.
func (k *Kit[T, V]) tell(t *testing.T, s tally.Store[T, V]) {
	stale := tally.Series{Project: "p", Owner: "v", Size: "freshness"}
	c := &tally.Change{
		Next:   &tally.State{Series: stale, View: "v", Standing: tally.Standing{Firing: true, Since: 5}, Before: &tally.Standing{Event: "e0"}},
		Event:  &tally.Event{ID: "e1", Project: "p", Owner: "v", View: "v", Type: "io.weir.test.stale.v1", Time: 7, Payload: []byte("{}")},
		Outbox: []outbox.Entry{{ID: "e1/log", Destination: "log", Key: "p/v", Scope: "p", Payload: []byte("{}")}},
		At:     t0,
	}
	try := func(want bool) {
		t.Helper()
		ok, err := s.Tell(ctx, c)
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	try(true)
	try(false) // somebody was first
	states, err := s.States(ctx, "p", "v")
	require.NoError(t, err)
	want := *c.Next
	want.Revision, want.Updated = 1, t0.UnixMicro()
	require.Equal(t, []tally.State{want}, states)
	c.Next = nil // only an event
	c.Event = &tally.Event{ID: "e2", Project: "p", Owner: "v", Payload: []byte("{}")}
	try(true)
	events, err := s.Events(ctx, tally.EventQuery{Owner: "v"})
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, "e2", events[0].ID)
	entries, err := s.Entries(ctx, outbox.Query{Destination: "log"})
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
