package tallytest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
)

func (k *Kit[T, V]) put(t *testing.T, s tally.Store[T, V], id, destination, key string) {
	t.Helper()
	k.Put(t, s, id, t0, outbox.Entry{ID: id, Destination: destination, Key: key, Payload: []byte(id)})
}

// Put stores outbox entries the only way there is: with a judgement, made up under the given name.
func (k *Kit[T, V]) Put(t testing.TB, s tally.Store[T, V], name string, at time.Time, entries ...outbox.Entry) {
	t.Helper()
	m := tally.Series{Project: "outbox", Owner: name, Size: "1h"}
	d := k.deltas(1, 0)
	d[0].Series = m
	commit := "outbox " + name
	require.NoError(t, s.Stage(ctx, &tally.Staged[T]{Commit: commit, View: "outbox/v", Deltas: d}))
	_, err := s.Settle(ctx, commit, at)
	require.NoError(t, err)
	require.NoError(t, s.Close(ctx, m, []int64{0}, at))
	ok, err := s.Record(ctx, &tally.Judgement[V]{Series: m, State: tally.Judged, Verdict: k.Verdict(), Deltas: 1, Change: tally.Change{At: at, Outbox: entries}})
	require.NoError(t, err)
	require.True(t, ok)
}

func claim(t *testing.T, s outbox.Store, now time.Time, limit int, destinations ...string) (ids []string) {
	t.Helper()
	for _, d := range destinations {
		all, err := s.Claim(ctx, d, now, time.Minute, limit)
		require.NoError(t, err)
		for _, e := range all {
			require.Equal(t, e.ID, string(e.Payload))
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (k *Kit[T, V]) outboxOrder(t *testing.T, s tally.Store[T, V]) {
	for _, e := range [][3]string{{"a1", "x", "a"}, {"b1", "x", "b"}, {"a2", "x", "a"}, {"c1", "y", "a"}, {"a3", "x", "a"}, {"b2", "x", "b"}} {
		k.put(t, s, e[0], e[1], e[2])
	}
	require.Empty(t, claim(t, s, t0, 10))
	require.Empty(t, claim(t, s, t0, 10, "z"))
	require.Equal(t, []string{"a1", "b1"}, claim(t, s, t0, 2, "x"))
	require.Equal(t, []string{"c1"}, claim(t, s, t0, 10, "x", "y"), "what is leased holds back what follows it")
	require.NoError(t, s.Done(ctx, []string{"a1"}, t0))
	require.Equal(t, []string{"a2", "a3"}, claim(t, s, t0, 10, "x", "y"))
	require.NoError(t, s.Fail(ctx, "a2", "no", t0, t0.Add(time.Second), false))
	require.NoError(t, s.Release(ctx, []string{"a3"}, t0))
	require.Empty(t, claim(t, s, t0.Add(999*time.Millisecond), 10, "x"))
	require.Equal(t, []string{"a2", "a3"}, claim(t, s, t0.Add(time.Second), 10, "x"))
	// Leases end: a dispatcher that died holds nothing back for ever.
	require.Equal(t, []string{"b1", "b2", "c1"}, sorted(claim(t, s, t0.Add(time.Minute), 10, "x", "y")))
}

func sorted(v []string) []string {
	for i := range v {
		for j := i; j > 0 && v[j] < v[j-1]; j-- {
			v[j], v[j-1] = v[j-1], v[j]
		}
	}
	return v
}

func (k *Kit[T, V]) outboxEnds(t *testing.T, s tally.Store[T, V]) {
	k.put(t, s, "a1", "x", "a")
	k.put(t, s, "a2", "x", "a")
	claim(t, s, t0, 1, "x")
	require.NoError(t, s.Fail(ctx, "a1", "answered 500: \x00 \xff", t0, t0, false), "a server may answer anything")
	failed, err := s.Entries(ctx, outbox.Query{ID: "a1"})
	require.NoError(t, err)
	require.Equal(t, 1, failed[0].Attempts)
	require.Contains(t, failed[0].LastError, "answered 500")
	require.NoError(t, s.Fail(ctx, "a1", "never", t0, t0.Add(time.Hour), true))
	require.Equal(t, []string{"a2"}, claim(t, s, t0, 10, "x"), "the dead hold nothing back")
	dead, err := s.Entries(ctx, outbox.Query{State: outbox.Dead, Destination: "x"})
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, "never", dead[0].LastError)
	require.Equal(t, 2, dead[0].Attempts)
	require.NoError(t, s.Done(ctx, []string{"a2"}, t0))
	require.NoError(t, s.Fail(ctx, "a2", "a slow attempt", t0, t0, false))
	require.Empty(t, claim(t, s, t0.Add(time.Hour), 10, "x"), "delivered stays delivered")
	n, err := s.Resend(ctx, []string{"a1", "a2", "zz"}, t0)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.Equal(t, []string{"a1", "a2"}, claim(t, s, t0, 10, "x"))
	n, err = s.Discard(ctx, []string{"a1"}, t0)
	require.NoError(t, err)
	require.Zero(t, n, "only what is dead")
}

func (k *Kit[T, V]) outboxBacklogs(t *testing.T, s tally.Store[T, V]) {
	none, err := s.Backlogs(ctx)
	require.NoError(t, err)
	require.Empty(t, none)
	for i, e := range [][3]string{{"e1/x", "x", "p"}, {"e1/y", "y", "p"}, {"e2/x", "x", "p"}, {"e3/x", "x", "q"}, {"e4/x", "x", "p"}} {
		k.Put(t, s, e[0], t0.Add(time.Duration(i)*time.Second), outbox.Entry{ID: e[0], Destination: e[1], Scope: e[2], Key: e[2], Payload: []byte(e[0])})
	}
	at := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }
	require.NoError(t, s.Done(ctx, []string{"e1/y"}, at(1)))
	require.NoError(t, s.Fail(ctx, "e1/x", "never", at(2), at(3), true))
	require.NoError(t, s.Fail(ctx, "e2/x", "never", at(3), at(3), true))
	all, err := s.Backlogs(ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Positive(t, all[0].Newest)
	all[0].Newest = 0
	require.Equal(t, []outbox.Backlog{
		{Destination: "x", Scope: "p", Pending: 1, Dead: 2, Oldest: t0.Add(4 * time.Second).UnixMicro(), DeadSince: at(2).UnixMicro()},
		{Destination: "x", Scope: "q", Pending: 1, Oldest: t0.Add(3 * time.Second).UnixMicro()},
	}, all)

	of, err := s.Entries(ctx, outbox.Query{Events: []string{"e1", "e3"}})
	require.NoError(t, err)
	var ids []string
	for _, e := range of {
		ids = append(ids, e.ID)
	}
	require.Equal(t, []string{"e3/x", "e1/y", "e1/x"}, ids)
	of, err = s.Entries(ctx, outbox.Query{Events: []string{"e1", "e3"}, Below: of[1].Seq})
	require.NoError(t, err)
	require.Len(t, of, 1)
	require.Equal(t, "e1/x", of[0].ID)

	n, err := s.Discard(ctx, []string{"e1/x", "e2/y"}, at(4))
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	_, err = s.Resend(ctx, []string{"e2/x"}, at(4))
	require.NoError(t, err)
	of, err = s.Entries(ctx, outbox.Query{Scope: "q"})
	require.NoError(t, err)
	require.Len(t, of, 1)
	all, err = s.Backlogs(ctx)
	require.NoError(t, err)
	require.Equal(t, [2]int64{2, 0}, [2]int64{all[0].Pending, all[0].Dead})
	require.Equal(t, []string{"e2/x", "e3/x", "e4/x"}, claim(t, s, at(5), 10, "x"), "in its old place")
	require.NoError(t, s.Prune(ctx, t0, t0, at(5)))
	of, err = s.Entries(ctx, outbox.Query{Events: []string{"e1"}})
	require.NoError(t, err)
	require.Empty(t, of)
}

// outboxInPieces: whatever is asked for at a time, entries come in order, and a key that waits
// lets all others pass, however many of its own wait behind it.
func (k *Kit[T, V]) outboxInPieces(t *testing.T, s tally.Store[T, V]) {
	const keys, each = 7, 40
	var entries []outbox.Entry
	for i := range keys * each {
		id := fmt.Sprintf("%03d", i)
		entries = append(entries, outbox.Entry{ID: id, Destination: "x", Key: fmt.Sprint(i % keys), Payload: []byte(id)})
	}
	k.Put(t, s, "all", t0, entries...)
	require.Len(t, claim(t, s, t0, 1, "x"), 1)
	require.NoError(t, s.Fail(ctx, "000", "down", t0, t0.Add(time.Hour), false))
	var got []string
	for {
		ids := claim(t, s, t0, 9, "x")
		if len(ids) == 0 {
			break
		}
		got = append(got, ids...)
		require.NoError(t, s.Done(ctx, ids, t0))
	}
	var want []string
	for i := range keys * each {
		if i%keys != 0 {
			want = append(want, fmt.Sprintf("%03d", i))
		}
	}
	require.Equal(t, want, got)
	require.Len(t, claim(t, s, t0.Add(time.Hour), 1000, "x"), each)
}

func (k *Kit[T, V]) outboxStarvesNobody(t *testing.T, s tally.Store[T, V]) {
	for i := range 30 {
		k.put(t, s, fmt.Sprintf("a%02d", i), "x", "a")
	}
	k.put(t, s, "b", "x", "b")
	require.Len(t, claim(t, s, t0, 1, "x"), 1)
	require.NoError(t, s.Fail(ctx, "a00", "down", t0, t0.Add(time.Hour), false))
	require.Equal(t, []string{"b"}, claim(t, s, t0, 5, "x"))
}
