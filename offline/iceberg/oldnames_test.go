package iceberg_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
)

// A table from before has its column under the name that Spark refuses; it is
// renamed when it is opened, and its files are read as before.
func TestOldPartitionName(t *testing.T) {
	dir := t.TempDir()
	url, wh := "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse")
	store, err := iceberg.Open(ctx, url, wh, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	v := offlinetest.View("stats")
	tb, err := store.Table(ctx, v)
	require.NoError(t, err)
	want, _, _ := fill(t, tb, 2)
	newEngine(t, url, wh).do(func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
		return tx.UpdateSchema(true, false).RenameColumn([]string{offline.ColPartition}, "_partition").Commit()
	})
	tb, err = store.Table(ctx, v)
	require.NoError(t, err)
	offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
	for _, c := range tb.Columns() {
		require.NotZero(t, c.ID, c.Name)
		require.NotEqual(t, "_partition", c.Name)
	}
}
