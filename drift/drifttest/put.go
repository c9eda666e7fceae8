package drifttest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
)

// Put stores outbox entries the only way there is: with a judgement, made up under the given name.
func Put(t testing.TB, s drift.Store, name string, at time.Time, entries ...outbox.Entry) {
	t.Helper()
	m := drift.Series{Project: "outbox", Owner: name, Size: "1h"}
	d := deltas(1, 0)
	d[0].Series = m
	commit := "outbox " + name
	require.NoError(t, s.Stage(ctx, &drift.Staged{Commit: commit, View: "outbox/v", Deltas: d}))
	_, err := s.Settle(ctx, commit, at)
	require.NoError(t, err)
	require.NoError(t, s.Close(ctx, m, []int64{0}, at))
	ok, err := s.Record(ctx, &drift.Judgement{Series: m, State: drift.Judged, Verdict: &drift.Verdict{}, Deltas: 1, Change: drift.Change{At: at, Outbox: entries}})
	require.NoError(t, err)
	require.True(t, ok)
}
