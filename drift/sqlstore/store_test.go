package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
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

// arrived keeps what a destination got, by key; it refuses all while it is down.
type arrived struct {
	mu   sync.Mutex
	down bool
	got  map[string][]string
}

func (r *arrived) Deliver(_ context.Context, e *outbox.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return feature.Errorf(feature.Unavailable, "test", e.Destination, "it is down")
	}
	r.got[e.Key] = append(r.got[e.Key], e.ID)
	return nil
}

// killed is a store of a process that dies before it can say what was delivered.
type killed struct{ outbox.Store }

func (killed) Done(context.Context, []string, time.Time) error {
	return feature.Errorf(feature.Unavailable, "test", "process", "killed")
}

// Ten thousand undelivered events, of one monitor or of many, survive the process, which dies after
// a batch was sent and before that was recorded, and drain in order: a batch twice, the others once. Another
// destination that is down, with its entries at the head, holds nothing back.
func TestOutboxDrains(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): ten thousand entries; the other tests have it watch the same steps")
	}
	const n, others = 10_000, 300
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		for _, keys := range []int{1, 50} {
			url, ctx, now := newURL(t), context.Background(), time.Unix(1e9, 0)
			s := open(t, url)
			var entries []outbox.Entry
			for i := range others {
				entries = append(entries, outbox.Entry{ID: fmt.Sprintf("%05d/down", i), Destination: "down", Key: fmt.Sprint(i), Payload: []byte("{}")})
			}
			for i := range n {
				entries = append(entries, outbox.Entry{ID: fmt.Sprintf("%05d", i), Destination: "x", Key: fmt.Sprint(i % keys), Payload: make([]byte, 1500)})
			}
			drifttest.Put(t, s, "all", now, entries...)
			to := &arrived{got: map[string][]string{}}
			dispatcher := func(s outbox.Store) *outbox.Dispatcher {
				return outbox.New(s, map[string]outbox.Deliverer{"x": to, "down": &arrived{down: true}}, outbox.DefaultConfig(), slog.New(slog.DiscardHandler), nil, func() time.Time { return now })
			}
			_, err := dispatcher(killed{s}).Step(ctx)
			require.Error(t, err)

			s = open(t, url)
			pending := func() (left [2]int64) {
				all, err := s.Backlogs(ctx)
				require.NoError(t, err)
				for _, b := range all {
					left[map[string]int{"x": 0, "down": 1}[b.Destination]] = b.Pending
				}
				return left
			}
			require.Equal(t, [2]int64{n, others}, pending())
			now = now.Add(outbox.DefaultConfig().Lease) // until then the dead process has them
			d, start := dispatcher(s), time.Now()
			for took := 1; took > 0; { // what fails is not due again at this time
				took, err = d.Step(ctx)
				require.NoError(t, err)
			}
			t.Logf("%d entries of %d keys drained in %s", n, keys, time.Since(start))
			require.Equal(t, [2]int64{0, others}, pending())
			total, twice := 0, 0
			for k := range keys {
				next := k
				for _, id := range to.got[fmt.Sprint(k)] {
					total++
					if id == fmt.Sprintf("%05d", next) {
						next += keys
						continue
					}
					require.Less(t, id, fmt.Sprintf("%05d", next), "out of order")
					twice++
					next = 0 // the batch once more, from its first
					_, err := fmt.Sscanf(id, "%d", &next)
					require.NoError(t, err)
					next += keys
				}
				require.Equal(t, n+k, next, "all of key %d", k)
			}
			require.Equal(t, n+outbox.DefaultConfig().Batch, total)
			require.Equal(t, keys, twice, "each key begins once more")
		}
	})
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
