package iceberg_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	iceberggo "github.com/apache/iceberg-go"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// engine is another program on our tables: iceberg-go with its own catalog, its own
// files and its own commits, which knows nothing of positions.
type engine struct {
	t   *testing.T
	cat *sqlcat.Catalog
}

func newEngine(t *testing.T, url, warehouse string) engine {
	db, err := sqldb.Open(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	dialect := sqlcat.SQLite
	if db.Dialect == sqldb.Postgres {
		dialect = sqlcat.Postgres
	}
	cat, err := sqlcat.NewCatalog(iceberg.CatalogName, db.SQL, dialect, map[string]string{"warehouse": warehouse, "init_catalog_tables": "false"})
	require.NoError(t, err)
	return engine{t, cat}
}

func (e engine) do(fn func(context.Context, *table.Table, *table.Transaction) error) {
	e.t.Helper()
	tb, err := e.cat.LoadTable(ctx, table.Identifier{"shop", "stats"})
	require.NoError(e.t, err)
	tx := tb.NewTransaction()
	require.NoError(e.t, fn(ctx, tb, tx))
	_, err = tx.Commit(ctx)
	require.NoError(e.t, err)
}

// Another engine appends, deletes, overwrites and expires; our positions stay,
// our commits go on, and nothing of ours comes twice or is missing.
func TestOtherEngine(t *testing.T) {
	t.Parallel()
	sqldbtest.Each(t, func(t *testing.T, newURL func(t testing.TB) string) {
		url, dir := newURL(t), filepath.Join(t.TempDir(), "warehouse")
		store, err := iceberg.Open(ctx, url, dir, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = store.Close() })
		v := offlinetest.View("stats")
		tb, err := store.Table(ctx, v)
		require.NoError(t, err)
		want, at, _ := fill(t, tb, 3)
		other := newEngine(t, url, dir)
		w, g, n := offlinetest.NewWriter(t, tb), generator(v), 0
		goOn := func(says string) {
			t.Helper()
			offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
			got, err := tb.Positions(ctx)
			require.NoError(t, err, says)
			require.Equal(t, []feature.Position{at}, got, says)
			n++
			b := g.Batch(0, at.Next, 10, false)
			c := offlinetest.Move(v, says, at, offlinetest.At(0, at.Next+10, ""))
			require.NoError(t, offlinetest.Flush(ctx, w, c, b), says)
			at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
			offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
			// A worker that has been away starts from the same place.
			again, err := store.Table(ctx, v)
			require.NoError(t, err, says)
			got, err = again.Positions(ctx)
			require.NoError(t, err, says)
			require.Equal(t, []feature.Position{at}, got, says)
		}
		goOn("alone")

		other.do(func(ctx context.Context, tb *table.Table, tx *table.Transaction) error {
			all, err := tb.Scan().ToArrowTable(ctx)
			require.NoError(t, err)
			defer all.Release()
			return tx.AppendTable(ctx, all, 1000, nil)
		})
		want = append(want, want...)
		goOn("appended")

		other.do(func(ctx context.Context, _ *table.Table, tx *table.Transaction) error {
			return tx.Delete(ctx, iceberggo.EqualTo(iceberggo.Reference("shop_id"), int64(0)), nil)
		})
		before := len(want)
		want = slices.DeleteFunc(want, func(l string) bool { return strings.Contains(l, " shop_id=0 ") })
		require.Less(t, len(want), before)
		goOn("deleted")

		other.do(func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
			return tx.ExpireSnapshots(table.WithRetainLast(1), table.WithOlderThan(0))
		})
		goOn("expired")

		other.do(func(ctx context.Context, tb *table.Table, tx *table.Transaction) error {
			all, err := tb.Scan(table.WithRowFilter(iceberggo.EqualTo(iceberggo.Reference("shop_id"), int64(1)))).ToArrowTable(ctx)
			require.NoError(t, err)
			defer all.Release()
			return tx.OverwriteTable(ctx, all, 1000, nil)
		})
		want = slices.DeleteFunc(want, func(l string) bool { return !strings.Contains(l, " shop_id=1 ") })
		goOn("overwritten")
		goOn("and on")

		// Going back is another matter: positions and rows would no longer belong together.
		st, err := tb.Load(ctx, offline.Version{})
		require.NoError(t, err)
		goOn("once more")
		other.do(func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
			return tx.RollbackToSnapshot(st.Snapshot)
		})
		_, err = tb.Positions(ctx)
		require.ErrorIs(t, err, offline.ErrRolledBack)
		_, err = store.Table(ctx, v)
		require.ErrorIs(t, err, offline.ErrRolledBack)
		c := offlinetest.Move(v, "x", at, offlinetest.At(0, at.Next+1, ""))
		require.ErrorIs(t, tb.Append(ctx, c, nil), offline.ErrRolledBack)
	})
}
