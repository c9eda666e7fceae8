package sqlstore

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
)

type store = tally.Store[*tallytest.Counted, *tallytest.Share]

func database(t testing.TB, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func on(t testing.TB, db *sqldb.DB, tables Tables) store {
	t.Helper()
	s, err := New[*tallytest.Counted, *tallytest.Share](context.Background(), db, tables, tallytest.DecodeCounted)
	require.NoError(t, err)
	return s
}

// On PostgreSQL the same statements have the suite in drift/sqlstore, for the tables of drift.
func TestStore(t *testing.T) {
	tallytest.Plain.Store(t, func(t *testing.T) store { return on(t, database(t, sqldbtest.NewSQLite(t)), Quality) })
}

func TestExactlyOnce(t *testing.T) {
	tallytest.Plain.ExactlyOnce(t, 1, 150, true, func() store {
		return on(t, database(t, sqldbtest.NewSQLite(t)), Quality)
	}, tallytest.NewTap)
}

// Two kinds of owners in one database have one outbox and one list of events, and nothing else.
func TestOneOutbox(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		ctx, now, db := context.Background(), time.Unix(1e9, 0), database(t, newURL(t))
		quality, drift := on(t, db, Quality), on(t, db, Drift)
		for i, s := range []store{quality, drift} {
			tallytest.Plain.Put(t, s, "m", now, outbox.Entry{ID: []string{"q", "d"}[i], Destination: "x", Key: "k", Payload: []byte("{}")})
			ok, err := s.Tell(ctx, &tally.Change{Event: &tally.Event{ID: []string{"q", "d"}[i], Project: "p", Owner: "m", Payload: []byte("{}")}, At: now})
			require.NoError(t, err)
			require.True(t, ok)
		}
		due, err := drift.Claim(ctx, "x", now, time.Minute, 10)
		require.NoError(t, err)
		require.Equal(t, []string{"q", "d"}, []string{due[0].ID, due[1].ID})
		events, err := quality.Events(ctx, tally.EventQuery{Owner: "m"})
		require.NoError(t, err)
		require.Len(t, events, 2)
		windows, err := quality.Windows(ctx, tally.WindowQuery{})
		require.NoError(t, err)
		require.Len(t, windows, 1)
	})
}

// What was stored before windows had early verdicts and progress had rows is read as it was.
func TestTablesOfOld(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		ctx, db := context.Background(), database(t, newURL(t))
		first, err := os.ReadFile("migrations/drift/00001_init.sql")
		require.NoError(t, err)
		require.NoError(t, db.Migrate(ctx, fstest.MapFS{"old/00001_init.sql": {Data: first}}, "old", "drift_schema"))
		profile, err := tallytest.Plain.Make(4).MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, db.Tx(ctx, func(tx *sql.Tx) error {
			for start, state := range []string{"open", "closed", "judged"} {
				verdict := map[string]string{"judged": `{"Held":0.5}`}[state]
				if _, err := tx.ExecContext(ctx, db.Rebind(`INSERT INTO drift_windows VALUES ('p', 'm', '1h', ?, 9, ?, 4, 0, 0, '', ?, ?, 0, 0)`), start, state, profile, verdict); err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, db.Rebind(`INSERT INTO drift_progress VALUES ('p/v', ?, 0, 1, 7, 5, 1, 0, 0, 3, 3)`), "01000000000000000000000000000000")
			return err
		}))
		s := on(t, db, Drift)
		all, err := s.Windows(ctx, tally.WindowQuery{Profiles: true})
		require.NoError(t, err)
		require.Len(t, all, 3)
		for _, w := range all {
			require.Equal(t, [4]int64{4, 1, 0, 0}, [4]int64{w.Profile.Rows, w.Deltas, w.Seen, w.Amended})
			require.False(t, w.Early())
		}
		require.Equal(t, &tallytest.Share{Held: 0.5}, all[2].Verdict)
		p, err := s.Progress(ctx, "p/v")
		require.NoError(t, err)
		require.Equal(t, []tally.Progress{{View: "p/v", TopicID: [16]byte{1}, Partitions: 1, Next: 7, MaxEvent: 5, Any: true, Since: 3, Updated: 3}}, p)
		ok, err := s.Record(ctx, &tally.Judgement[*tallytest.Share]{Series: all[1].Series, Start: 1, State: tally.Judged, Deltas: all[1].Deltas, Seen: all[1].Seen, Change: tally.Change{At: time.Unix(1e9, 0)}})
		require.NoError(t, err)
		require.True(t, ok)
	})
}
