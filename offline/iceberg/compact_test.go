package iceberg_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// Small files of a day on a disk become few, within a bounded memory, while the
// positions stay and the next commit goes on from them.
func TestCompactInLittleMemory(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): it measures memory, and TestUpkeep has the detector watch a compaction")
	}
	const files, rows = 60, 2500
	ctx := context.Background()
	dir := t.TempDir()
	store, err := iceberg.Open(ctx, "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "tables"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer store.Close()
	v := benchView()
	table, err := store.Table(ctx, v)
	require.NoError(t, err)
	defer table.Close()
	w := offlinetest.NewWriter(t, table)
	r := rand.New(rand.NewPCG(1, 2))
	var lines []string
	at := feature.Position{}
	add := func(first int64) {
		b := benchBatch(r, v, first, rows, 100_000)
		lines = append(lines, offlinetest.Lines(b)...)
		c := offlinetest.Move(v, fmt.Sprint("c", first), at, offlinetest.At(0, first+rows, ""))
		require.NoError(t, offlinetest.Flush(ctx, w, c, b))
		b.Rows.Release()
		at = c.Advances[0].To
	}
	for n := range int64(files) {
		add(n * rows)
	}
	before, err := table.Load(ctx, offline.Version{})
	require.NoError(t, err)

	cfg := offline.DefaultConfig()
	cfg.Compact.Memory = 16 << 20
	cfg.RowGroupRows = 1 << 15
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base, most, last := live(), uint64(0), int64(0)
	done, err := offline.Compact(ctx, table, offline.CompactOptions{Config: cfg, Progress: func(p offline.CompactProgress) {
		require.Greater(t, p.Rows, last)
		require.LessOrEqual(t, p.Rows, p.OfRows)
		last = p.Rows
		most = max(most, live())
	}})
	require.NoError(t, err)
	t.Logf("%+v; %d KiB above %d KiB", done, (int64(most)-int64(base))>>10, base>>10)
	require.Less(t, most, base+48<<20)
	require.Equal(t, len(before.Files), done.FilesBefore)
	require.Less(t, done.FilesAfter, len(before.Files)/4)

	after, err := table.Load(ctx, offline.Version{})
	require.NoError(t, err)
	require.Equal(t, before.Positions, after.Positions)
	require.Len(t, after.Files, done.FilesAfter)
	add(files * rows)
	after, err = table.Load(ctx, offline.Version{})
	require.NoError(t, err)
	offlinetest.SameRows(t, lines, offlinetest.Read(t, table, after))
	// What was read before can still be.
	old, err := table.Load(ctx, offline.Version{Snapshot: before.Snapshot})
	require.NoError(t, err)
	offlinetest.SameRows(t, lines[:files*rows], offlinetest.Read(t, table, old))
}
