package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/registry/feature"
)

func open(t testing.TB, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestDatabases(t *testing.T) {
	ctx := context.Background()
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		t.Run("migrate from many at once", func(t *testing.T) {
			url := newURL(t)
			var wg sync.WaitGroup
			errs := make([]error, 6)
			for i := range errs {
				db := open(t, url)
				wg.Go(func() { errs[i] = db.Migrate(ctx, os.DirFS("testdata"), "two", "goose_test") })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			db := open(t, url)
			require.NoError(t, db.Migrate(ctx, os.DirFS("testdata"), "two", "goose_test"))

			err := db.Migrate(ctx, os.DirFS("testdata"), "one", "goose_test")
			require.Equal(t, feature.Invalid, feature.KindOf(err), "an older program: %v", err)
			require.ErrorContains(t, err, "newer")
		})

		t.Run("no update is lost", func(t *testing.T) {
			url := newURL(t)
			const pools, each = 4, 25
			var wg sync.WaitGroup
			errs := make([]error, pools*2)
			for i := range pools {
				db := open(t, url)
				require.NoError(t, db.Migrate(ctx, os.DirFS("testdata"), "one", "goose_test"))
				for j := range 2 {
					wg.Go(func() {
						for range each {
							err := db.Tx(ctx, func(tx *sql.Tx) error {
								var n int64
								if err := tx.QueryRowContext(ctx, db.Rebind("SELECT n FROM counters WHERE name = ?"), "a").Scan(&n); err != nil {
									return err
								}
								_, err := tx.ExecContext(ctx, db.Rebind("UPDATE counters SET n = ? WHERE name = ?"), n+1, "a")
								return err
							})
							if err != nil {
								errs[i*2+j] = err
								return
							}
						}
					})
				}
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			var n int64
			require.NoError(t, open(t, url).SQL.QueryRow("SELECT n FROM counters").Scan(&n))
			require.EqualValues(t, pools*2*each, n)
		})

		t.Run("errors have a kind", func(t *testing.T) {
			db := open(t, newURL(t))
			require.NoError(t, db.Migrate(ctx, os.DirFS("testdata"), "one", "goose_test"))
			insert := func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO counters (name, n) VALUES ('a', 1)")
				return err
			}
			require.Equal(t, feature.Conflict, feature.KindOf(db.Tx(ctx, insert)))
			require.Equal(t, feature.Invalid, feature.KindOf(db.Tx(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "SELECT nonsense FROM nowhere")
				return err
			})))
			require.Equal(t, feature.NotFound, feature.KindOf(db.ReadTx(ctx, func(tx *sql.Tx) error {
				var n int
				return tx.QueryRowContext(ctx, "SELECT n FROM counters WHERE name = 'zzz'").Scan(&n)
			})))
			own := feature.Errorf(feature.Exhausted, "x", "y", "z")
			require.Same(t, error(own), db.Tx(ctx, func(*sql.Tx) error { return own }))

			stopped, cancel := context.WithCancel(ctx)
			cancel()
			require.ErrorIs(t, db.Tx(stopped, insert), context.Canceled)
		})

		t.Run("a panic rolls back", func(t *testing.T) {
			db := open(t, newURL(t))
			require.NoError(t, db.Migrate(ctx, os.DirFS("testdata"), "one", "goose_test"))
			require.Panics(t, func() {
				_ = db.Tx(ctx, func(tx *sql.Tx) error {
					_, _ = tx.ExecContext(ctx, "DELETE FROM counters")
					panic("oops")
				})
			})
			var n int
			require.NoError(t, db.SQL.QueryRow("SELECT count(*) FROM counters").Scan(&n))
			require.Equal(t, 1, n)
			require.NoError(t, db.Tx(ctx, func(*sql.Tx) error { return nil }), "the writer's turn was given back")
		})
	})
}

func TestOpenErrors(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("this is no database ", 100)), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	for _, c := range []struct {
		url, says string
		kind      feature.ErrorKind
	}{
		{"weir.db", "no scheme", feature.Invalid},
		{"mysql://root:secret@h/db", `unknown scheme "mysql"`, feature.Invalid},
		{"sqlite::memory:", "a file is required", feature.Invalid},
		{"sqlite:", "a file is required", feature.Invalid},
		{"sqlite:" + dir + "/file/below/x.db", "not a directory", feature.Unavailable},
		{"sqlite:" + dir + "/text.db", "not a SQLite database", feature.Invalid},
		{"postgres://u:secret@127.0.0.1:1/db", "is the database up", feature.Unavailable},
		{"postgres://u:secret@127.0.0.1:port/db", "not a PostgreSQL address", feature.Invalid},
	} {
		db, err := sqldb.Open(ctx, c.url)
		require.Nil(t, db, c.url)
		require.ErrorContains(t, err, c.says, c.url)
		require.Equal(t, c.kind, feature.KindOf(err), "%s: %v", c.url, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestSQLiteSettings(t *testing.T) {
	db := open(t, "sqlite:"+filepath.Join(t.TempDir(), "a b#c?d%20.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		var got string
		require.NoError(t, db.SQL.QueryRow("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := os.Stat(strings.TrimPrefix(db.String(), "sqlite:"))
	require.NoError(t, err, "the file has exactly the name that was asked for")
}

func TestRebind(t *testing.T) {
	pg := &sqldb.DB{Dialect: sqldb.Postgres}
	require.Equal(t, "a = $1 AND b IN ($2, $3)", pg.Rebind("a = ? AND b IN (?, ?)"))
	lite := &sqldb.DB{Dialect: sqldb.SQLite}
	require.Equal(t, "a = ?", lite.Rebind("a = ?"))
}
