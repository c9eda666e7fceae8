// Package drifttest is what every drift.Store must do.
//
// The one rule: it knows a store only through the interface.
package drifttest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// Store runs the suite; open gives a new, empty store each time.
func Store(t *testing.T, open func(t *testing.T) drift.Store) {
	for name, f := range map[string]func(*testing.T, drift.Store){
		"settles once":          settlesOnce,
		"unknown commit":        unknownCommit,
		"predecessors first":    predecessorsFirst,
		"dead commits":          deadCommits,
		"assign":                assign,
		"late rows":             lateRows,
		"imports":               imports,
		"progress":              progress,
		"window queries":        windowQueries,
		"record":                record,
		"references":            references,
		"prune":                 prune,
		"outbox order":          outboxOrder,
		"outbox ends":           outboxEnds,
		"outbox starves nobody": outboxStarvesNobody,
	} {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

var (
	ctx    = context.Background()
	topic  = [16]byte{1}
	series = drift.Series{Project: "p", Owner: "m", Size: "1h"}
	t0     = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
)

const (
	view = "p/v"
	hour = int64(time.Hour / time.Microsecond)
)

// deltas adds n rows to window number w.
func deltas(n int64, w int64) []drift.Delta {
	s := drift.NewSketch(drift.NullsOnly)
	s.Nulls = n
	return []drift.Delta{{Series: series, Start: w * hour, End: (w + 1) * hour,
		Profile: &drift.Profile{Rows: n, Features: []drift.Named{{Name: "x", Sketch: s}}}}}
}

func mark(p int32, from string, next, to int64) drift.Mark {
	return drift.Mark{TopicID: topic, Partition: p, FromCommit: from, FromNext: next, Next: to, Partitions: 4}
}

func stage(t *testing.T, s drift.Store, commit string, d []drift.Delta, m ...drift.Mark) {
	t.Helper()
	require.NoError(t, s.Stage(ctx, &drift.Staged{Commit: commit, View: view, Marks: m, Deltas: d}))
}

func settle(t *testing.T, s drift.Store, commit string) bool {
	t.Helper()
	known, err := s.Settle(ctx, commit, t0)
	require.NoError(t, err)
	return known
}

// rows returns the rows of each window by its number.
func rows(t *testing.T, s drift.Store) map[int64]int64 {
	t.Helper()
	all, err := s.Windows(ctx, drift.WindowQuery{Profiles: true})
	require.NoError(t, err)
	out := map[int64]int64{}
	for _, w := range all {
		out[w.Start/hour] = w.Rows
		if w.Profile != nil {
			require.Equal(t, w.Rows, w.Profile.Rows)
			require.Equal(t, w.Rows, w.Profile.Sketch("x").Nulls)
		}
	}
	return out
}

func settlesOnce(t *testing.T, s drift.Store) {
	stage(t, s, "a", deltas(3, 1), mark(0, "", 0, 10))
	stage(t, s, "a", append(deltas(5, 1), deltas(1, -2)...), mark(0, "", 0, 10)) // replaces
	require.Empty(t, rows(t, s))
	for range 3 {
		require.True(t, settle(t, s, "a"))
		stage(t, s, "a", deltas(5, 1), mark(0, "", 0, 10)) // too late to count
	}
	require.Equal(t, map[int64]int64{1: 5, -2: 1}, rows(t, s))
	stage(t, s, "b", deltas(2, 1), mark(0, "a", 10, 12))
	require.True(t, settle(t, s, "b"))
	require.Equal(t, map[int64]int64{1: 7, -2: 1}, rows(t, s))
}

func unknownCommit(t *testing.T, s drift.Store) {
	require.False(t, settle(t, s, "nobody"))
	stage(t, s, "a", deltas(3, 1), mark(0, "", 0, 10))
	require.NoError(t, s.Drop(ctx, []string{"a", "other"}))
	require.False(t, settle(t, s, "a"))
	require.Empty(t, rows(t, s))
}

func predecessorsFirst(t *testing.T, s drift.Store) {
	stage(t, s, "a", deltas(3, 1), mark(0, "", 0, 10), mark(1, "", 0, 10))
	stage(t, s, "b", deltas(4, 1), mark(1, "a", 10, 20))
	require.True(t, settle(t, s, "b"))
	require.Equal(t, map[int64]int64{1: 7}, rows(t, s))
	require.True(t, settle(t, s, "a"))
	require.Equal(t, map[int64]int64{1: 7}, rows(t, s))
}

func deadCommits(t *testing.T, s drift.Store) {
	// Two workers started at 0; one of them landed. The other's commit is dead on its other partition too.
	stage(t, s, "zombie", deltas(100, 1), mark(0, "", 0, 7), mark(1, "", 0, 7))
	stage(t, s, "a", deltas(3, 1), mark(0, "", 0, 10))
	stage(t, s, "other topic", deltas(20, 2), drift.Mark{TopicID: [16]byte{2}, Next: 5})
	stage(t, s, "next", deltas(4, 1), mark(0, "a", 10, 11))
	require.True(t, settle(t, s, "a"))
	require.False(t, settle(t, s, "zombie"))
	require.True(t, settle(t, s, "next"))
	require.True(t, settle(t, s, "other topic"))
	require.Equal(t, map[int64]int64{1: 7, 2: 20}, rows(t, s))
}

func assign(t *testing.T, s drift.Store) {
	at := func(commit string, next int64) {
		t.Helper()
		require.NoError(t, s.Assign(ctx, view, []feature.Position{{TopicID: topic, Partition: 0, Next: next, Commit: commit}}, t0))
	}
	at("", 0)
	p, err := s.Progress(ctx, view)
	require.NoError(t, err)
	require.Equal(t, []drift.Progress{{View: view, TopicID: topic, Drained: true, Since: t0.Add(drift.AssignGrace).UnixMicro(), Updated: t0.UnixMicro()}}, p)
	stage(t, s, "a", deltas(3, 1), mark(0, "", 0, 10), mark(1, "", 0, 5))
	at("", 0) // the table may still take a
	at("a", 10)
	at("a", 10)
	require.Equal(t, map[int64]int64{1: 3}, rows(t, s))
	stage(t, s, "behind", deltas(50, 1), mark(0, "", 0, 3))
	stage(t, s, "in flight", deltas(7, 1), mark(0, "a", 10, 12))
	at("a", 10)
	require.False(t, settle(t, s, "behind"))
	at("in flight", 12)
	require.Equal(t, map[int64]int64{1: 10}, rows(t, s))
	at("never staged", 30)

	p, err = s.Progress(ctx, view)
	require.NoError(t, err)
	require.Len(t, p, 2)
	require.Equal(t, t0.Add(drift.AssignGrace).UnixMicro(), p[0].Since)
	require.Equal(t, t0.UnixMicro(), p[1].Since)
}

func lateRows(t *testing.T, s drift.Store) {
	stage(t, s, "a", deltas(3, 1), mark(0, "", 0, 10))
	settle(t, s, "a")
	require.NoError(t, s.Close(ctx, series, []int64{hour, 99 * hour}, t0))
	stage(t, s, "b", append(deltas(4, 1), deltas(5, 2)...), mark(0, "a", 10, 20))
	settle(t, s, "b")
	all, err := s.Windows(ctx, drift.WindowQuery{Profiles: true})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, drift.Closed, all[0].State)
	require.Equal(t, t0.UnixMicro(), all[0].ClosedAt)
	require.Equal(t, [2]int64{3, 4}, [2]int64{all[0].Rows, all[0].Late})
	require.Equal(t, int64(3), all[0].Profile.Rows)
	require.Equal(t, drift.Open, all[1].State)
	require.Equal(t, 2*hour, all[1].Start)
	require.Equal(t, 3*hour, all[1].End)
}

func imports(t *testing.T, s drift.Store) {
	d := deltas(3, 1)
	d[0].Import = "0a"
	stage(t, s, "a", d, drift.Mark{TopicID: [16]byte{10}, Partition: -1, Next: 3, MaxEvent: -5, Any: true})
	e := deltas(2, 1)
	e[0].Import = "0b"
	stage(t, s, "b", append(deltas(4, 1), e...), mark(0, "", 0, 4))
	f := deltas(1, 1)
	f[0].Import = "0a"
	stage(t, s, "c", f, drift.Mark{TopicID: [16]byte{10}, Partition: -1, FromCommit: "a", FromNext: 3, Next: 4, Final: true})
	for _, c := range []string{"a", "b", "c"} {
		require.True(t, settle(t, s, c))
	}
	all, err := s.Windows(ctx, drift.WindowQuery{})
	require.NoError(t, err)
	require.Equal(t, [2]int64{10, 6}, [2]int64{all[0].Rows, all[0].ImportRows})
	require.Equal(t, []string{"0a", "0b"}, all[0].Imports)
	require.Nil(t, all[0].Profile)
	p, err := s.Progress(ctx, view)
	require.NoError(t, err)
	require.Len(t, p, 2)
	require.Equal(t, drift.Progress{View: view, TopicID: [16]byte{10}, Partition: -1, Next: 4, MaxEvent: -5, Any: true, Final: true,
		Since: t0.UnixMicro(), Updated: t0.UnixMicro()}, p[1])
}

func progress(t *testing.T, s drift.Store) {
	step := func(commit string, at time.Time, m drift.Mark) drift.Progress {
		t.Helper()
		stage(t, s, commit, nil, m)
		known, err := s.Settle(ctx, commit, at)
		require.NoError(t, err)
		require.True(t, known)
		p, err := s.Progress(ctx, view)
		require.NoError(t, err)
		require.Len(t, p, 1)
		return p[0]
	}
	m := mark(2, "", 0, 5)
	m.MaxEvent, m.Any = -7, true
	p := step("a", t0, m)
	require.Equal(t, drift.Progress{View: view, TopicID: topic, Partition: 2, Partitions: 4, Next: 5, MaxEvent: -7, Any: true,
		Since: t0.UnixMicro(), Updated: t0.UnixMicro()}, p)
	m = mark(2, "a", 5, 5)
	m.Drained = true
	p = step("b", t0.Add(time.Second), m)
	require.True(t, p.Drained && p.Any)
	require.Equal(t, int64(-7), p.MaxEvent)
	require.Equal(t, t0.Add(time.Second).UnixMicro(), p.Since)
	m.FromCommit = "b"
	p = step("c", t0.Add(time.Minute), m)
	require.Equal(t, t0.Add(time.Second).UnixMicro(), p.Since, "nothing moved")
	m = mark(2, "c", 5, 9)
	m.MaxEvent, m.Any, m.Drained = -90, true, true
	p = step("d", t0.Add(time.Hour), m)
	require.Equal(t, int64(-7), p.MaxEvent)
	require.Equal(t, t0.Add(time.Hour).UnixMicro(), p.Since)
	other, err := s.Progress(ctx, "p/other")
	require.NoError(t, err)
	require.Empty(t, other)
}

func windowQueries(t *testing.T, s drift.Store) {
	var d []drift.Delta
	for _, w := range []int64{5, 1, 3} {
		d = append(d, deltas(w, w)...)
	}
	x := deltas(9, 0)
	x[0].Owner = "n"
	stage(t, s, "a", append(d, x...), mark(0, "", 0, 10))
	settle(t, s, "a")
	require.NoError(t, s.Close(ctx, series, []int64{3 * hour}, t0))
	starts := func(q drift.WindowQuery) (out []int64) {
		t.Helper()
		all, err := s.Windows(ctx, q)
		require.NoError(t, err)
		for _, w := range all {
			out = append(out, w.Start/hour)
		}
		return out
	}
	require.Equal(t, []int64{1, 3, 5, 0}, starts(drift.WindowQuery{}))
	require.Equal(t, []int64{1, 3}, starts(drift.WindowQuery{Owner: "m", Limit: 2}))
	require.Equal(t, []int64{5, 3}, starts(drift.WindowQuery{Owner: "m", Limit: 2, Newest: true}))
	require.Equal(t, []int64{1, 5, 0}, starts(drift.WindowQuery{States: []drift.WindowState{drift.Open, drift.Judged}}))
	require.Equal(t, []int64{3}, starts(drift.WindowQuery{Project: "p", Owner: "m", Size: "1h", States: []drift.WindowState{drift.Closed}}))
	require.Empty(t, starts(drift.WindowQuery{Size: "2h"}))
}

func record(t *testing.T, s drift.Store) {
	stage(t, s, "a", append(deltas(3, 1), deltas(4, 2)...), mark(0, "", 0, 10))
	settle(t, s, "a")
	js, p := 0.25, 1e-9
	j := &drift.Judgement{
		Series: series, Start: hour, State: drift.Judged, Deltas: 1,
		Verdict: &drift.Verdict{Outcome: drift.Drifted, Alpha: 0.01, Features: []drift.Result{{Name: "x", Outcome: drift.Drifted, PValue: &p, JS: &js}}},
		Change: drift.Change{At: t0,
			Next:   &drift.MonitorState{Series: series, View: "v", Version: 3, Standing: drift.Standing{Firing: true, Since: hour, LastStart: hour, Seen: true, Event: "e1"}},
			Event:  &drift.Event{ID: "e1", Project: "p", Owner: "m", View: "v", Type: drift.DetectedType, Time: 7, WindowStart: hour, WindowEnd: 2 * hour, Retrain: true, Payload: []byte("{}")},
			Outbox: []outbox.Entry{{ID: "e1/kafka", Destination: "kafka", Key: "p/m", Scope: "p", Payload: []byte("{}"), Headers: map[string]string{"a": "b"}}},
		}}
	try := func(want bool) {
		t.Helper()
		ok, err := s.Record(ctx, j)
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	try(false) // open
	require.NoError(t, s.Close(ctx, series, []int64{hour, 2 * hour}, t0))
	try(true)
	try(false) // judged
	all, err := s.Windows(ctx, drift.WindowQuery{States: []drift.WindowState{drift.Judged}})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, j.Verdict, all[0].Verdict)
	require.Equal(t, t0.UnixMicro(), all[0].JudgedAt)
	states, err := s.States(ctx, "p", "")
	require.NoError(t, err)
	want := *j.Next
	want.Revision, want.Updated = 1, t0.UnixMicro()
	require.Equal(t, []drift.MonitorState{want}, states)

	// The state has moved on: neither window nor event changes.
	again := *j
	j = &again
	j.Start, j.Event = 2*hour, &drift.Event{ID: "e2", Project: "p", Owner: "m", Payload: []byte("{}")}
	try(false)
	j.Next = &want
	j.Outbox = append(j.Outbox, outbox.Entry{ID: "e2/kafka", Destination: "kafka", Key: "p/m", Payload: []byte("2")})
	try(true)
	events, err := s.Events(ctx, drift.EventQuery{Project: "p", Owner: "m"})
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, "e2", events[0].ID)
	require.Equal(t, drift.Event{ID: "e1", Project: "p", Owner: "m", View: "v", Type: drift.DetectedType, Time: 7, WindowStart: hour, WindowEnd: 2 * hour, Retrain: true, Payload: []byte("{}")}, events[1])
	entries, err := s.Entries(ctx, outbox.Query{})
	require.NoError(t, err)
	require.Len(t, entries, 2, "an entry with the id of another changes nothing")
	require.Equal(t, map[string]string{"a": "b"}, entries[1].Headers)
	one, err := s.Events(ctx, drift.EventQuery{ID: "e1", Limit: 5})
	require.NoError(t, err)
	require.Len(t, one, 1)
	none, err := s.Events(ctx, drift.EventQuery{Project: "q"})
	require.NoError(t, err)
	require.Empty(t, none)
}

func references(t *testing.T, s drift.Store) {
	_, err := s.Reference(ctx, "k")
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	require.NoError(t, s.PutReference(ctx, "k", []byte{1, 0, 2}, t0))
	require.NoError(t, s.PutReference(ctx, "k", []byte{3}, t0))
	b, err := s.Reference(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 0, 2}, b)
}

func prune(t *testing.T, s drift.Store) {
	stage(t, s, "a", append(deltas(3, 1), deltas(4, 2)...), mark(0, "", 0, 10))
	settle(t, s, "a")
	require.NoError(t, s.Close(ctx, series, []int64{hour}, t0))
	_, err := s.Record(ctx, &drift.Judgement{Series: series, Start: hour, State: drift.ReferenceOnly, Deltas: 1, Change: drift.Change{At: t0}})
	require.NoError(t, err)
	put(t, s, "x", "kafka", "k")
	require.NoError(t, s.Done(ctx, []string{"x"}, t0))
	later := t0.Add(time.Second)
	require.NoError(t, s.Prune(ctx, t0, t0, t0))
	require.True(t, settle(t, s, "a"))
	require.NoError(t, s.Prune(ctx, later, later, later))
	require.False(t, settle(t, s, "a"))
	all, err := s.Windows(ctx, drift.WindowQuery{Profiles: true, Owner: "m"})
	require.NoError(t, err)
	require.Nil(t, all[0].Profile)
	require.Equal(t, drift.ReferenceOnly, all[0].State)
	require.NotNil(t, all[1].Profile)
	left, err := s.Entries(ctx, outbox.Query{ID: "x"})
	require.NoError(t, err)
	require.Empty(t, left)
}
