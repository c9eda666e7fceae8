package iceberg_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
)

// TestOpenAgain: who opens a table that the process knows reads nothing of it but the
// pointer; what another process has committed, and a table dropped and made again, is seen.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	open := func() *iceberg.Store {
		s, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse"), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	v := offlinetest.View("stats")
	ours, theirs := open(), open()
	tb, err := ours.Table(ctx, v)
	require.NoError(t, err)
	want, _, snaps := fill(t, tb, 3)
	offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))

	// With the metadata away, only what is in memory can be opened.
	meta := filepath.Join(tb.(*iceberg.Table).Dir(), "metadata")
	require.NoError(t, os.Rename(meta, meta+".away"))
	again, err := ours.Table(ctx, v)
	require.NoError(t, err)
	at, err := again.Positions(ctx)
	require.NoError(t, err)
	require.Len(t, at, 1)
	_, err = theirs.Table(ctx, v)
	require.ErrorContains(t, err, "metadata file that cannot be read")
	require.NoError(t, os.Rename(meta+".away", meta))

	// What another process commits is seen by those that are open and by who opens next.
	their, err := theirs.Table(ctx, v)
	require.NoError(t, err)
	require.NoError(t, their.Tag(ctx, "first", snaps[0]))
	for _, tb := range []offline.Table{tb, again} {
		st, err := tb.Load(ctx, offline.Version{Tag: "first"})
		require.NoError(t, err)
		require.Equal(t, snaps[0], st.Snapshot)
	}

	require.NoError(t, theirs.Drop(ctx, v.Meta.Project, v.Meta.Name))
	_, err = tb.Load(ctx, offline.Version{})
	require.Error(t, err)
	fresh, err := ours.Table(ctx, v)
	require.NoError(t, err)
	require.NotEqual(t, tb.(*iceberg.Table).Location(), fresh.(*iceberg.Table).Location())
	require.Empty(t, rows(t, fresh, offline.Version{}))
	_, err = tb.Load(ctx, offline.Version{})
	require.ErrorContains(t, err, "the table was dropped")
}
