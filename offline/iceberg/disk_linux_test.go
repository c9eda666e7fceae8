package iceberg_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
)

// TestDiskFull fills a disk of four megabytes, to another brim each time, and makes
// room when the commit waits.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("SKIP(tmpfs refused): %v; TestEveryDiskFault fails the same steps behind a seam", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	v := offlinetest.View("stats")
	open := openerOn(t, "sqlite:"+filepath.Join(dir, "tables.db"), dir)
	tb, err := open().Table(ctx, v)
	require.NoError(t, err)
	want, at, _ := fill(t, tb, 1)
	g := generator(v)
	ballast := filepath.Join(dir, "ballast")
	full := 0
	for free := 0; free <= 96; free += 8 {
		var st syscall.Statfs_t
		require.NoError(t, syscall.Statfs(dir, &st))
		room := int(st.Bavail)*int(st.Bsize) - free<<10
		require.Positive(t, room, "four megabytes are enough for this test")
		require.NoError(t, os.WriteFile(ballast, []byte(strings.Repeat("x", room)), 0o600))
		b := g.Batch(0, at.Next, 10, false)
		c := offlinetest.Move(v, fmt.Sprintf("c%d", free), at, offlinetest.At(0, at.Next+10, ""))
		if attempt(t, offlinetest.NewWriter(t, tb), c, b, func() { _ = os.Remove(ballast) }) > 0 {
			full++
		}
		_ = os.Remove(ballast)
		at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
	}
	require.Greater(t, full, 3)
	t.Logf("the disk was full in %d of 13 commits", full)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	offlinetest.SameRows(t, want, offlinetest.Read(t, tb, st))
	require.Equal(t, named(st), dataFiles(t, tb))
}
