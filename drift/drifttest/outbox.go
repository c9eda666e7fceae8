package drifttest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

func put(t *testing.T, s drift.Store, id, destination, key string) {
	t.Helper()
	Put(t, s, id, t0, outbox.Entry{ID: id, Destination: destination, Key: key, Payload: []byte(id)})
}

func claim(t *testing.T, s drift.Store, now time.Time, limit int, destinations ...string) (ids []string) {
	t.Helper()
	all, err := s.Claim(ctx, destinations, now, time.Minute, limit)
	require.NoError(t, err)
	for _, e := range all {
		require.Equal(t, e.ID, string(e.Payload))
		ids = append(ids, e.ID)
	}
	return ids
}

func outboxOrder(t *testing.T, s drift.Store) {
	for _, e := range [][3]string{{"a1", "x", "a"}, {"b1", "x", "b"}, {"a2", "x", "a"}, {"c1", "y", "a"}, {"a3", "x", "a"}, {"b2", "x", "b"}} {
		put(t, s, e[0], e[1], e[2])
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

func outboxEnds(t *testing.T, s drift.Store) {
	put(t, s, "a1", "x", "a")
	put(t, s, "a2", "x", "a")
	claim(t, s, t0, 1, "x")
	require.NoError(t, s.Fail(ctx, "a1", "never", t0, t0.Add(time.Hour), true))
	require.Equal(t, []string{"a2"}, claim(t, s, t0, 10, "x"), "the dead hold nothing back")
	dead, err := s.Entries(ctx, outbox.Query{State: outbox.Dead, Destination: "x"})
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, "never", dead[0].LastError)
	require.Equal(t, 1, dead[0].Attempts)
	require.NoError(t, s.Done(ctx, []string{"a2"}, t0))
	require.NoError(t, s.Fail(ctx, "a2", "a slow attempt", t0, t0, false))
	require.Empty(t, claim(t, s, t0.Add(time.Hour), 10, "x"), "delivered stays delivered")
	require.NoError(t, s.Resend(ctx, "a1", t0))
	require.NoError(t, s.Resend(ctx, "a2", t0))
	require.Equal(t, []string{"a1", "a2"}, claim(t, s, t0, 10, "x"))
	require.Equal(t, feature.NotFound, feature.KindOf(s.Resend(ctx, "zz", t0)))
}

func outboxStarvesNobody(t *testing.T, s drift.Store) {
	for i := range 30 {
		put(t, s, fmt.Sprintf("a%02d", i), "x", "a")
	}
	put(t, s, "b", "x", "b")
	require.Len(t, claim(t, s, t0, 1, "x"), 1)
	require.NoError(t, s.Fail(ctx, "a00", "down", t0, t0.Add(time.Hour), false))
	require.Equal(t, []string{"b"}, claim(t, s, t0, 5, "x"))
}
