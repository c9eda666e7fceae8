package sqldb_test

import (
	"context"
	"database/sql"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry/feature"
)

// with adds a parameter to a url.
func with(t testing.TB, raw, name, value string) string {
	u, err := url.Parse(raw)
	require.NoError(t, err)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestPostgresSettings(t *testing.T) {
	server := testserver.OwnPostgres(t)
	raw := server.Database(t, "settings")
	ctx := context.Background()
	ask := func(db *sqldb.DB, q string) (out string) {
		require.NoError(t, db.SQL.QueryRow(q).Scan(&out))
		return out
	}

	t.Run("defaults", func(t *testing.T) {
		db := open(t, raw)
		require.Equal(t, 16, db.SQL.Stats().MaxOpenConnections)
		require.Equal(t, "1min", ask(db, "SHOW statement_timeout"))
		require.Equal(t, "1min", ask(db, "SHOW idle_in_transaction_session_timeout"))
		require.Equal(t, "weir", ask(db, "SHOW application_name"))
	})
	t.Run("said in the url", func(t *testing.T) {
		db := open(t, with(t, with(t, with(t, raw, "pool_max_conns", "2"), "statement_timeout", "250ms"), "application_name", "mine"))
		require.Equal(t, "250ms", ask(db, "SHOW statement_timeout"))
		require.Equal(t, "mine", ask(db, "SHOW application_name"))
		err := db.Tx(ctx, func(tx *sql.Tx) error { _, err := tx.Exec("SELECT pg_sleep(60)"); return err })
		require.Equal(t, feature.Unavailable, feature.KindOf(err), "a statement that took too long may work later: %v", err)
		var most int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				var n int
				err := db.SQL.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE datname = 'settings' AND application_name = 'mine'").Scan(&n)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				most = max(most, n)
			})
		}
		wg.Wait()
		require.LessOrEqual(t, most, 2, "connections")
	})
	t.Run("faults", func(t *testing.T) {
		for _, c := range []struct {
			url, says string
			kind      feature.ErrorKind
		}{
			{with(t, raw, "pool_max_conns", "0"), "pool_max_conns", feature.Invalid},
			{with(t, raw, "pool_max_conns", "many"), "pool_max_conns", feature.Invalid},
			{with(t, raw, "sslmode", "require"), "TLS", feature.Unavailable}, // this server has none
			{with(t, raw, "sslmode", "nonsense"), "not a PostgreSQL address", feature.Invalid},
			{with(t, with(t, raw, "sslmode", "verify-full"), "sslrootcert", "/nowhere/ca.pem"), "not a PostgreSQL address", feature.Invalid},
		} {
			u := with(t, c.url, "password", "hunter2")
			_, err := sqldb.Open(ctx, u)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.kind, feature.KindOf(err), "%v", err)
			require.NotContains(t, err.Error(), "hunter2")
		}
	})
	t.Run("a server that comes back", func(t *testing.T) {
		db := open(t, raw)
		server.Kill(t)
		var err error
		require.Eventually(t, func() bool { // a process of it that serves a connection answers until it notices
			err = db.Tx(ctx, func(tx *sql.Tx) error { _, err := tx.Exec("SELECT 1"); return err })
			return err != nil
		}, time.Minute, time.Millisecond)
		require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
		server.Start(t)
		require.NoError(t, db.Tx(ctx, func(tx *sql.Tx) error { _, err := tx.Exec("SELECT 1"); return err }))
	})
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"postgres://h/db", "postgresql://other:secret@h:5432/db?sslmode=disable", true},
		{"postgres://h/db", "postgres://h/db2", false},
		{"postgres://h/db", "postgres://h:5433/db", false},
		{"postgres://H/db", "postgres://h/db?pool_max_conns=3", true},
		{"postgres://h/db?search_path=tables", "postgres://h/db", false},
		{"sqlite:/a/b.db", "sqlite:/a/c/../b.db", true},
		{"sqlite:/a/b.db", "sqlite:/a/c.db", false},
		{"", "", false},
	} {
		require.Equal(t, c.same, sqldb.Same(c.a, c.b), "%s %s", c.a, c.b)
	}
}
