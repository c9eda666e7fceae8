// Package tallytest is what every tally.Store must do, and what a Tap on it must count.
//
// The one rule: it knows a store only through the interface.
package tallytest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Kit is what the suite has to know of a kind of tally.
type Kit[T tally.Tally[T], V comparable] struct {
	Make    func(rows int64) T                    // a tally of so many rows
	Check   func(t testing.TB, got T, rows int64) // whether it is one, however it was merged
	Verdict func() V                              // any
}

// Store runs the suite; open gives a new, empty store each time.
func (k *Kit[T, V]) Store(t *testing.T, open func(t *testing.T) tally.Store[T, V]) {
	for name, f := range map[string]func(*testing.T, tally.Store[T, V]){
		"settles once":          k.settlesOnce,
		"unknown commit":        k.unknownCommit,
		"predecessors first":    k.predecessorsFirst,
		"dead commits":          k.deadCommits,
		"assign":                k.assign,
		"late rows":             k.lateRows,
		"imports":               k.imports,
		"progress":              k.progress,
		"window queries":        k.windowQueries,
		"record":                k.record,
		"early verdicts":        k.early,
		"tell":                  k.tell,
		"references":            k.references,
		"prune":                 k.prune,
		"outbox order":          k.outboxOrder,
		"outbox ends":           k.outboxEnds,
		"outbox starves nobody": k.outboxStarvesNobody,
		"outbox backlogs":       k.outboxBacklogs,
		"outbox in pieces":      k.outboxInPieces,
	} {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

var (
	ctx    = context.Background()
	topic  = [16]byte{1}
	series = tally.Series{Project: "p", Owner: "m", Size: "1h"}
	t0     = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
)

const (
	view = "p/v"
	hour = int64(time.Hour / time.Microsecond)
)

// deltas adds n rows to window number w.
func (k *Kit[T, V]) deltas(n int64, w int64) []tally.Delta[T] {
	return []tally.Delta[T]{{Series: series, Start: w * hour, End: (w + 1) * hour, Profile: k.Make(n)}}
}

func mark(p int32, from string, next, to int64) tally.Mark {
	return tally.Mark{TopicID: topic, Partition: p, FromCommit: from, FromNext: next, Next: to, Partitions: 4}
}

func stage[T tally.Tally[T], V comparable](t *testing.T, s tally.Store[T, V], commit string, d []tally.Delta[T], m ...tally.Mark) {
	t.Helper()
	require.NoError(t, s.Stage(ctx, &tally.Staged[T]{Commit: commit, View: view, Marks: m, Deltas: d}))
}

func settle[T tally.Tally[T], V comparable](t *testing.T, s tally.Store[T, V], commit string) bool {
	t.Helper()
	known, err := s.Settle(ctx, commit, t0)
	require.NoError(t, err)
	return known
}

// rows returns the rows of each window by its number.
func (k *Kit[T, V]) rows(t *testing.T, s tally.Store[T, V]) map[int64]int64 {
	t.Helper()
	all, err := s.Windows(ctx, tally.WindowQuery{Profiles: true})
	require.NoError(t, err)
	out := map[int64]int64{}
	var none T
	for _, w := range all {
		out[w.Start/hour] = w.Rows
		if w.Profile != none {
			k.Check(t, w.Profile, w.Rows)
		}
	}
	return out
}

func (k *Kit[T, V]) settlesOnce(t *testing.T, s tally.Store[T, V]) {
	stage(t, s, "a", k.deltas(3, 1), mark(0, "", 0, 10))
	stage(t, s, "a", append(k.deltas(5, 1), k.deltas(1, -2)...), mark(0, "", 0, 10)) // replaces
	require.Empty(t, k.rows(t, s))
	for range 3 {
		require.True(t, settle(t, s, "a"))
		stage(t, s, "a", k.deltas(5, 1), mark(0, "", 0, 10)) // too late to count
	}
	require.Equal(t, map[int64]int64{1: 5, -2: 1}, k.rows(t, s))
	stage(t, s, "b", k.deltas(2, 1), mark(0, "a", 10, 12))
	require.True(t, settle(t, s, "b"))
	require.Equal(t, map[int64]int64{1: 7, -2: 1}, k.rows(t, s))
}

func (k *Kit[T, V]) unknownCommit(t *testing.T, s tally.Store[T, V]) {
	require.False(t, settle(t, s, "nobody"))
	stage(t, s, "a", k.deltas(3, 1), mark(0, "", 0, 10))
	require.NoError(t, s.Drop(ctx, []string{"a", "other"}))
	require.False(t, settle(t, s, "a"))
	require.Empty(t, k.rows(t, s))
}

func (k *Kit[T, V]) predecessorsFirst(t *testing.T, s tally.Store[T, V]) {
	stage(t, s, "a", k.deltas(3, 1), mark(0, "", 0, 10), mark(1, "", 0, 10))
	stage(t, s, "b", k.deltas(4, 1), mark(1, "a", 10, 20))
	require.True(t, settle(t, s, "b"))
	require.Equal(t, map[int64]int64{1: 7}, k.rows(t, s))
	require.True(t, settle(t, s, "a"))
	require.Equal(t, map[int64]int64{1: 7}, k.rows(t, s))
}

func (k *Kit[T, V]) deadCommits(t *testing.T, s tally.Store[T, V]) {
	// Two workers started at 0; one of them landed. The other's commit is dead on its other partition too.
	stage(t, s, "zombie", k.deltas(100, 1), mark(0, "", 0, 7), mark(1, "", 0, 7))
	stage(t, s, "a", k.deltas(3, 1), mark(0, "", 0, 10))
	stage(t, s, "other topic", k.deltas(20, 2), tally.Mark{TopicID: [16]byte{2}, Next: 5})
	stage(t, s, "next", k.deltas(4, 1), mark(0, "a", 10, 11))
	require.True(t, settle(t, s, "a"))
	require.False(t, settle(t, s, "zombie"))
	require.True(t, settle(t, s, "next"))
	require.True(t, settle(t, s, "other topic"))
	require.Equal(t, map[int64]int64{1: 7, 2: 20}, k.rows(t, s))
}

func (k *Kit[T, V]) assign(t *testing.T, s tally.Store[T, V]) {
	at := func(commit string, next int64) {
		t.Helper()
		require.NoError(t, s.Assign(ctx, view, []feature.Position{{TopicID: topic, Partition: 0, Next: next, Commit: commit}}, t0))
	}
	at("", 0)
	p, err := s.Progress(ctx, view)
	require.NoError(t, err)
	require.Equal(t, []tally.Progress{{View: view, TopicID: topic, Drained: true, Since: t0.Add(tally.AssignGrace).UnixMicro(), Updated: t0.UnixMicro()}}, p)
	stage(t, s, "a", k.deltas(3, 1), mark(0, "", 0, 10), mark(1, "", 0, 5))
	at("", 0) // the table may still take a
	at("a", 10)
	at("a", 10)
	require.Equal(t, map[int64]int64{1: 3}, k.rows(t, s))
	stage(t, s, "behind", k.deltas(50, 1), mark(0, "", 0, 3))
	stage(t, s, "in flight", k.deltas(7, 1), mark(0, "a", 10, 12))
	at("a", 10)
	require.False(t, settle(t, s, "behind"))
	at("in flight", 12)
	require.Equal(t, map[int64]int64{1: 10}, k.rows(t, s))
	at("never staged", 30)

	p, err = s.Progress(ctx, view)
	require.NoError(t, err)
	require.Len(t, p, 2)
	require.Equal(t, t0.Add(tally.AssignGrace).UnixMicro(), p[0].Since)
	require.Equal(t, t0.UnixMicro(), p[1].Since)
}

func (k *Kit[T, V]) lateRows(t *testing.T, s tally.Store[T, V]) {
	stage(t, s, "a", k.deltas(3, 1), mark(0, "", 0, 10))
	settle(t, s, "a")
	require.NoError(t, s.Close(ctx, series, []int64{hour, 99 * hour}, t0))
	stage(t, s, "b", append(k.deltas(4, 1), k.deltas(5, 2)...), mark(0, "a", 10, 20))
	settle(t, s, "b")
	all, err := s.Windows(ctx, tally.WindowQuery{Profiles: true})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, tally.Closed, all[0].State)
	require.Equal(t, t0.UnixMicro(), all[0].ClosedAt)
	require.Equal(t, [2]int64{3, 4}, [2]int64{all[0].Rows, all[0].Late})
	k.Check(t, all[0].Profile, 3)
	require.Equal(t, tally.Open, all[1].State)
	require.Equal(t, 2*hour, all[1].Start)
	require.Equal(t, 3*hour, all[1].End)
}

func (k *Kit[T, V]) imports(t *testing.T, s tally.Store[T, V]) {
	d := k.deltas(3, 1)
	d[0].Import = "0a"
	stage(t, s, "a", d, tally.Mark{TopicID: [16]byte{10}, Partition: -1, Next: 3, MaxEvent: -5, Any: true})
	e := k.deltas(2, 1)
	e[0].Import = "0b"
	stage(t, s, "b", append(k.deltas(4, 1), e...), mark(0, "", 0, 4))
	f := k.deltas(1, 1)
	f[0].Import = "0a"
	stage(t, s, "c", f, tally.Mark{TopicID: [16]byte{10}, Partition: -1, FromCommit: "a", FromNext: 3, Next: 4, Final: true})
	for _, c := range []string{"a", "b", "c"} {
		require.True(t, settle(t, s, c))
	}
	all, err := s.Windows(ctx, tally.WindowQuery{})
	require.NoError(t, err)
	require.Equal(t, [2]int64{10, 6}, [2]int64{all[0].Rows, all[0].ImportRows})
	require.Equal(t, []string{"0a", "0b"}, all[0].Imports)
	require.Zero(t, all[0].Profile)
	p, err := s.Progress(ctx, view)
	require.NoError(t, err)
	require.Len(t, p, 2)
	require.Equal(t, tally.Progress{View: view, TopicID: [16]byte{10}, Partition: -1, Next: 4, MaxEvent: -5, Any: true, Final: true,
		Since: t0.UnixMicro(), Updated: t0.UnixMicro()}, p[1])
}

func (k *Kit[T, V]) progress(t *testing.T, s tally.Store[T, V]) {
	step := func(commit string, at time.Time, m tally.Mark) tally.Progress {
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
	require.Equal(t, tally.Progress{View: view, TopicID: topic, Partition: 2, Partitions: 4, Next: 5, MaxEvent: -7, Any: true,
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

func (k *Kit[T, V]) windowQueries(t *testing.T, s tally.Store[T, V]) {
	var d []tally.Delta[T]
	for _, w := range []int64{5, 1, 3} {
		d = append(d, k.deltas(w, w)...)
	}
	x := k.deltas(9, 0)
	x[0].Owner = "n"
	stage(t, s, "a", append(d, x...), mark(0, "", 0, 10))
	settle(t, s, "a")
	require.NoError(t, s.Close(ctx, series, []int64{3 * hour}, t0))
	starts := func(q tally.WindowQuery) (out []int64) {
		t.Helper()
		all, err := s.Windows(ctx, q)
		require.NoError(t, err)
		for _, w := range all {
			out = append(out, w.Start/hour)
		}
		return out
	}
	require.Equal(t, []int64{1, 3, 5, 0}, starts(tally.WindowQuery{}))
	require.Equal(t, []int64{1, 3}, starts(tally.WindowQuery{Owner: "m", Limit: 2}))
	require.Equal(t, []int64{5, 3}, starts(tally.WindowQuery{Owner: "m", Limit: 2, Newest: true}))
	require.Equal(t, []int64{1, 5, 0}, starts(tally.WindowQuery{States: []tally.WindowState{tally.Open, tally.Judged}}))
	require.Equal(t, []int64{3}, starts(tally.WindowQuery{Project: "p", Owner: "m", Size: "1h", States: []tally.WindowState{tally.Closed}}))
	require.Empty(t, starts(tally.WindowQuery{Size: "2h"}))
	require.Equal(t, []int64{1, 3}, starts(tally.WindowQuery{From: hour, Before: 5 * hour}))
	require.Equal(t, []int64{0}, starts(tally.WindowQuery{From: -hour, Before: 1}))
	require.Equal(t, []int64{3}, starts(tally.WindowQuery{Owner: "m", From: hour + 1, Before: 5*hour + 1, Newest: true, Limit: 5, States: []tally.WindowState{tally.Closed}}))
}

func (k *Kit[T, V]) record(t *testing.T, s tally.Store[T, V]) {
	stage(t, s, "a", append(k.deltas(3, 1), k.deltas(4, 2)...), mark(0, "", 0, 10))
	settle(t, s, "a")
	j := &tally.Judgement[V]{
		Series: series, Start: hour, State: tally.Judged, Deltas: 1,
		Verdict: k.Verdict(),
		Change: tally.Change{At: t0,
			Next:   &tally.State{Series: series, View: "v", Version: 3, Standing: tally.Standing{Firing: true, Since: hour, LastStart: hour, Seen: true, Event: "e1"}},
			Event:  &tally.Event{ID: "e1", Project: "p", Owner: "m", View: "v", Type: "io.weir.test.detected.v1", Time: 7, WindowStart: hour, WindowEnd: 2 * hour, Retrain: true, Payload: []byte("{}")},
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
	all, err := s.Windows(ctx, tally.WindowQuery{States: []tally.WindowState{tally.Judged}})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, j.Verdict, all[0].Verdict)
	require.Equal(t, t0.UnixMicro(), all[0].JudgedAt)
	bare, err := s.Windows(ctx, tally.WindowQuery{States: []tally.WindowState{tally.Judged}, Bare: true, Profiles: true})
	require.NoError(t, err)
	require.Len(t, bare, 1)
	require.Zero(t, bare[0].Verdict)
	k.Check(t, bare[0].Profile, 3)
	bare[0].Verdict, bare[0].Profile = all[0].Verdict, all[0].Profile
	require.Equal(t, all, bare)
	counts, err := s.Counts(ctx, series)
	require.NoError(t, err)
	require.Equal(t, map[tally.WindowState]int64{tally.Judged: 1, tally.Closed: 1}, counts)
	counts, err = s.Counts(ctx, tally.Series{Project: "p", Owner: "m", Size: "2h"})
	require.NoError(t, err)
	require.Empty(t, counts)
	states, err := s.States(ctx, "p", "")
	require.NoError(t, err)
	want := *j.Next
	want.Revision, want.Updated = 1, t0.UnixMicro()
	require.Equal(t, []tally.State{want}, states)

	// The state has moved on: neither window nor event changes.
	again := *j
	j = &again
	j.Start, j.Event = 2*hour, &tally.Event{ID: "e2", Project: "p", Owner: "m", Payload: []byte("{}")}
	try(false)
	j.Next = &want
	j.Outbox = append(j.Outbox, outbox.Entry{ID: "e2/kafka", Destination: "kafka", Key: "p/m", Payload: []byte("2")})
	try(true)
	events, err := s.Events(ctx, tally.EventQuery{Project: "p", Owner: "m"})
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, "e2", events[0].ID)
	require.Equal(t, tally.Event{ID: "e1", Project: "p", Owner: "m", View: "v", Type: "io.weir.test.detected.v1", Time: 7, WindowStart: hour, WindowEnd: 2 * hour, Retrain: true, Payload: []byte("{}")}, events[1])
	entries, err := s.Entries(ctx, outbox.Query{})
	require.NoError(t, err)
	require.Len(t, entries, 2, "an entry with the id of another changes nothing")
	require.Equal(t, map[string]string{"a": "b"}, entries[1].Headers)
	one, err := s.Events(ctx, tally.EventQuery{ID: "e1", Limit: 5})
	require.NoError(t, err)
	require.Len(t, one, 1)
	none, err := s.Events(ctx, tally.EventQuery{Project: "q"})
	require.NoError(t, err)
	require.Empty(t, none)
}

func (k *Kit[T, V]) references(t *testing.T, s tally.Store[T, V]) {
	_, err := s.Reference(ctx, "k")
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	require.NoError(t, s.PutReference(ctx, "k", []byte{1, 0, 2}, t0))
	require.NoError(t, s.PutReference(ctx, "k", []byte{3}, t0))
	b, err := s.Reference(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, []byte{1, 0, 2}, b)
}

func (k *Kit[T, V]) prune(t *testing.T, s tally.Store[T, V]) {
	stage(t, s, "a", append(k.deltas(3, 1), k.deltas(4, 2)...), mark(0, "", 0, 10))
	settle(t, s, "a")
	require.NoError(t, s.Close(ctx, series, []int64{hour}, t0))
	_, err := s.Record(ctx, &tally.Judgement[V]{Series: series, Start: hour, State: tally.Skipped, Deltas: 1, Change: tally.Change{At: t0}})
	require.NoError(t, err)
	k.put(t, s, "x", "kafka", "k")
	require.NoError(t, s.Done(ctx, []string{"x"}, t0))
	later := t0.Add(time.Second)
	require.NoError(t, s.Prune(ctx, t0, t0, t0))
	require.NoError(t, s.Prune(ctx, t0, later, t0, tally.Kept{Series: tally.Series{Project: "p", Owner: "other", Size: "1h"}, From: 0}, tally.Kept{Series: series, From: 2*hour - 1}))
	kept, err := s.Windows(ctx, tally.WindowQuery{Profiles: true, Owner: "m"})
	require.NoError(t, err)
	require.NotZero(t, kept[0].Profile)
	require.True(t, settle(t, s, "a"))
	require.NoError(t, s.Prune(ctx, later, later, later, tally.Kept{Series: series, From: 2 * hour}))
	require.False(t, settle(t, s, "a"))
	all, err := s.Windows(ctx, tally.WindowQuery{Profiles: true, Owner: "m"})
	require.NoError(t, err)
	require.Zero(t, all[0].Profile)
	require.Equal(t, tally.Skipped, all[0].State)
	require.NotZero(t, all[1].Profile)
	left, err := s.Entries(ctx, outbox.Query{ID: "x"})
	require.NoError(t, err)
	require.Empty(t, left)
}
