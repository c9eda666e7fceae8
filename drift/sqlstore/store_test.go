package sqlstore

import (
	"context"
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
