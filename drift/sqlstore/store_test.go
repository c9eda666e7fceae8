package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

func open(t testing.TB, url string) *Store {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s, err := New(context.Background(), db)
	require.NoError(t, err)
	return s
}

func TestStore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		drifttest.Store(t, func(t *testing.T) drift.Store { return open(t, newURL(t)) })
	})
}

func TestExactlyOnce(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		drifttest.ExactlyOnce(t, 1, 150, func() drift.Store { return open(t, newURL(t)) })
	})
}

type instant struct{}

func (instant) Deliver(context.Context, *outbox.Entry) error { return nil }

// Ten thousand undelivered events of a few monitors drain well within half a minute.
func TestOutboxDrains(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): ten thousand entries; the other tests have it watch the same steps")
	}
	s := open(t, sqldbtest.NewSQLite(t))
	const n = 10000
	entries := make([]outbox.Entry, n)
	for i := range entries {
		entries[i] = outbox.Entry{ID: fmt.Sprintf("%05d", i), Destination: "x", Key: fmt.Sprint(i % 3), Payload: make([]byte, 1500)}
	}
	drifttest.Put(t, s, "all", time.Now(), entries...)
	d := outbox.New(s, map[string]outbox.Deliverer{"x": instant{}}, outbox.DefaultConfig(), slog.New(slog.DiscardHandler), nil, nil)
	start := time.Now()
	for left := n; left > 0; {
		k, err := d.Step(context.Background())
		require.NoError(t, err)
		require.Positive(t, k)
		left -= k
	}
	t.Logf("%d entries drained in %s", n, time.Since(start))
}

// Connections are cut while commits are staged and settled: every delta counts once.
func TestConnectionsAreCut(t *testing.T) {
	server := testserver.OwnPostgres(t)
	s := open(t, server.Database(t, "weir"))
	admin, err := sql.Open("pgx", server.Database(t, "admin"))
	require.NoError(t, err)
	defer admin.Close()
	ctx, turn, over := context.Background(), make(chan struct{}), make(chan struct{})
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		for {
			select {
			case <-turn:
				_, _ = admin.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'weir'`)
			case <-over:
				return
			}
		}
	}()
	const commits, failures = 60, 2000
	failed := 0
	again := func(f func() error) {
		for {
			select {
			case turn <- struct{}{}:
			default:
			}
			err := f()
			if err == nil {
				return
			}
			require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
			failed++
			require.Less(t, failed, failures)
		}
	}
	v := drifttest.View()
	tap := drift.NewTap(v, []*feature.Monitor{drifttest.Monitor(v, "1h")}, s, drift.TapOptions{})
	at := feature.Position{Topic: "t", TopicID: [16]byte{7}}
	again(func() error { return tap.Assign(ctx, []feature.Position{at}) })
	tally := drifttest.NewTally(v)
	for i := int64(0); i < commits || failed == 0 && i < failures; i++ { // until a cut has met a call
		e := drifttest.Event{Time: i * int64(time.Minute/time.Microsecond) * 10, Num: 1, Cat: fmt.Sprint(i % 3)}
		tally.Add(e.Time, false, []string{"1", "1", e.Cat, "true", "x"})
		b := drifttest.Batch(v, at.TopicID, 0, i, []drifttest.Event{e})
		require.NoError(t, tap.Write(ctx, b))
		b.Rows.Release()
		to := at
		to.Next, to.Commit = i+1, fmt.Sprint("c", i)
		c := &feature.Commit{ID: to.Commit, View: v, Partitions: 1, Advances: []feature.Advance{{From: at, To: to}}}
		tap.Cut(c)
		again(func() error { return tap.Stage(ctx, c) })
		again(func() error { return tap.Settle(ctx, c) })
		at = to
	}
	close(over)
	<-cut
	require.Positive(t, failed)
	t.Logf("%d calls failed", failed)
	// The last cut may still have a connection of the pool to find dead.
	again(func() error { _, err := s.Progress(ctx, v.ID()); return err })
	require.ElementsMatch(t, tally.Lines(), drifttest.Counts(t, s, "p", "m_1h"))
}
