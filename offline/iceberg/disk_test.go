package iceberg_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// attempt is a flush that meets faults: each step is made again after an
// Unavailable error, as ingestion does. It returns how many errors there were.
func attempt(t testing.TB, w *offline.Writer, c *feature.Commit, b *feature.Batch, after func()) (errs int) {
	t.Helper()
	require.NoError(t, w.Write(ctx, b))
	w.Cut(c)
	for _, step := range []func() error{
		func() error { return w.Stage(ctx, c) }, func() error { return w.Commit(ctx, c) }, func() error { return w.Settle(ctx, c) },
	} {
		for err := step(); err != nil; err = step() {
			require.Equal(t, feature.Unavailable, feature.KindOf(err), "ingestion waits for it: %v", err)
			errs++
			require.Less(t, errs, 20)
			after()
		}
	}
	require.Zero(t, w.Buffered())
	return errs
}

// dataFiles lists what lies in the table's data folder.
func dataFiles(t testing.TB, tb offline.Table) (out []string) {
	err := filepath.WalkDir(filepath.Join(localDir(t, tb), "data"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, filepath.Base(p))
		}
		return err
	})
	require.NoError(t, err)
	slices.Sort(out)
	return out
}

func named(st *offline.State) (out []string) {
	for _, f := range st.Files {
		out = append(out, filepath.Base(f.Path))
	}
	slices.Sort(out)
	return out
}

// Each step of writing fails once: the commit comes through all the same, with
// each row once, and leaves no half file.
func TestEveryDiskFault(t *testing.T) {
	v := offlinetest.View("stats")
	tb, _ := openTable(t, v)
	want, at, _ := fill(t, tb, 1)
	g := generator(v)
	steps := map[string]int{}
	for n := 1; ; n++ {
		k, hit := 0, ""
		iceberg.FailDisk(tb, func(step, path string) error {
			if k++; k == n {
				hit = step
				return &fs.PathError{Op: step, Path: path, Err: []error{syscall.ENOSPC, syscall.EIO}[n%2]}
			}
			return nil
		})
		b := g.Batch(0, at.Next, 10, false)
		c := offlinetest.Move(v, fmt.Sprintf("c%d", n), at, offlinetest.At(0, at.Next+10, ""))
		errs := attempt(t, offlinetest.NewWriter(t, tb), c, b, func() {})
		at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
		if hit == "" {
			require.Zero(t, errs)
			break
		}
		require.Equal(t, 1, errs, "step %d, %s: told, and told once", n, hit)
		steps[hit]++
	}
	iceberg.FailDisk(tb, func(string, string) error { return nil })
	for _, s := range []string{"open", "write", "sync", "sync folder"} {
		require.Positive(t, steps[s], s)
	}
	t.Logf("steps failed: %v", steps)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	offlinetest.SameRows(t, want, offlinetest.Read(t, tb, st))
	require.Equal(t, named(st), dataFiles(t, tb), "nothing but whole files that the table names")
}

// A folder that somebody has cleaned up is made again.
func TestFolderIsGone(t *testing.T) {
	v := offlinetest.View("stats")
	tb, _ := openTable(t, v)
	_, at, _ := fill(t, tb, 1)
	data := filepath.Join(localDir(t, tb), "data")
	require.NoError(t, os.Rename(data, data+".away"))
	b := generator(v).Batch(0, at.Next, 10, false)
	require.NoError(t, offlinetest.Flush(ctx, offlinetest.NewWriter(t, tb), offlinetest.Move(v, "c", at, offlinetest.At(0, at.Next+10, "")), b))
}

// A data file that is gone is told by its name, to whoever reads.
func TestMissingDataFile(t *testing.T) {
	v := offlinetest.View("stats")
	tb, _ := openTable(t, v)
	fill(t, tb, 3)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	lost := st.Files[len(st.Files)/2].Path
	r, err := tb.Open(ctx, lost)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	for _, name := range dataFiles(t, tb) {
		if strings.HasSuffix(lost, name) {
			day := filepath.Base(filepath.Dir(lost))
			require.NoError(t, os.Remove(filepath.Join(localDir(t, tb), "data", day, name)))
		}
	}
	for says, read := range map[string]func() error{
		"scan": func() error {
			return offline.Scan(ctx, tb, offline.ScanOptions{}, func(*feature.Batch) error { return nil })
		},
		"newest": func() error {
			return offline.Newest(ctx, tb, offline.NewestOptions{}, func(*feature.Batch) error { return nil })
		},
	} {
		err := read()
		require.Equal(t, feature.NotFound, feature.KindOf(err), "%s: %v", says, err)
		require.ErrorContains(t, err, filepath.Base(lost), says)
		var fe *feature.Error
		require.True(t, errors.As(err, &fe) && fe.Hint != "", says)
	}
	_, err = tb.Positions(ctx)
	require.NoError(t, err, "positions do not need the files")
}

// A commit that cannot land leaves nothing behind, however often it is tried: on a
// full disk its manifests would take the room that others make.
func TestFailedCommitsLeaveNothing(t *testing.T) {
	v := offlinetest.View("stats")
	tb, open := openTable(t, v)
	_, at, _ := fill(t, tb, 2)
	metadata := func() (out []string) {
		all, err := os.ReadDir(filepath.Join(localDir(t, tb), "metadata"))
		require.NoError(t, err)
		for _, f := range all {
			out = append(out, f.Name())
		}
		return out
	}
	before := metadata()
	w, g := offlinetest.NewWriter(t, tb), generator(v)
	c := offlinetest.Move(v, "c", at, offlinetest.At(0, at.Next+10, ""))
	require.NoError(t, w.Write(ctx, g.Batch(0, at.Next, 10, false)))
	w.Cut(c)
	require.NoError(t, w.Stage(ctx, c))
	for _, at := range []string{"open", "write", "sync", "sync folder"} {
		iceberg.FailDisk(tb, func(step, path string) error {
			if step == at && (strings.HasSuffix(path, ".metadata.json") || step == "sync folder") {
				return &fs.PathError{Op: step, Path: path, Err: syscall.ENOSPC}
			}
			return nil
		})
		for range 3 {
			require.Equal(t, feature.Unavailable, feature.KindOf(w.Commit(ctx, c)))
		}
		require.Equal(t, before, metadata(), at)
	}
	// Nor does one that a rival beats to the swap: the rival commits when ours is about to.
	rival, err := open().Table(ctx, v)
	require.NoError(t, err)
	rw, once := offlinetest.NewWriter(t, rival), true
	iceberg.FailDisk(tb, func(step, path string) error {
		if once && strings.HasSuffix(path, ".metadata.json") {
			once = false
			require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), "weir.lock"))) // the lock is for speed; this rival does not wait for it
			require.NoError(t, offlinetest.Flush(ctx, rw, offlinetest.Move(v, "rival", feature.Position{}, offlinetest.At(1, 5, "")), g.Batch(1, 0, 5, false)))
		}
		return nil
	})
	manifests := func() (n int) {
		for _, name := range metadata() {
			if strings.HasSuffix(name, ".avro") {
				n++
			}
		}
		return n
	}
	had := manifests()
	require.NoError(t, w.Commit(ctx, c))
	require.False(t, once)
	require.Equal(t, had+4, manifests(), "a manifest and a list for each of two commits")
}
