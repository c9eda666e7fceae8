package iceberg_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	iceberggo "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// rewriteOf puts all files of one day into one.
func rewriteOf(t testing.TB, tb offline.Table, id string) *offline.Rewrite {
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	var gone []offline.File
	for _, f := range st.Files {
		if offline.DayOf(f.MinEffective) == offline.DayOf(st.Files[0].MinEffective) {
			gone = append(gone, f)
		}
	}
	return &offline.Rewrite{ID: id, Gone: gone, New: offlinetest.Regroup(t, tb, gone, 1)}
}

func inAnHour() int64 { return time.Now().Add(time.Hour).UnixMicro() }

func noLeftovers(t testing.TB, tb offline.Table) {
	t.Helper()
	left, err := iceberg.Leftovers(ctx, tb.(*iceberg.Table))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Answers to upkeep's commits are lost, whether they landed or not.
func TestLostAnswersOfUpkeep(t *testing.T) {
	v := offlinetest.View("stats")
	for _, landed := range []bool{true, false} {
		t.Run(fmt.Sprint("landed ", landed), func(t *testing.T) {
			tb, open := openTable(t, v)
			want, _, snaps := fill(t, tb, 5)
			lost := func(says string, do func() error) {
				t.Helper()
				iceberg.LoseAnswers(tb, landed, 1)
				err := do()
				if !landed {
					require.Equal(t, feature.Unavailable, feature.KindOf(err), "%s: %v", says, err)
					err = do()
				}
				require.NoError(t, err, says)
				require.NoError(t, do(), "%s: again", says)
			}
			r := rewriteOf(t, tb, "rw")
			lost("replace", func() error { return tb.Replace(ctx, r) })
			offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
			lost("tag", func() error { return tb.Tag(ctx, "keep", snaps[1]) })
			lost("rollback", func() error { return tb.Rollback(ctx, &offline.Rollback{ID: "rb", To: snaps[2]}) })
			offlinetest.SameRows(t, want[:30], rows(t, tb, offline.Version{}))
			all, err := tb.Rollbacks(ctx)
			require.NoError(t, err)
			require.Len(t, all, 1)
			forgotten := 0
			lost("expire", func() error {
				done, err := tb.Expire(ctx, offline.ExpireOptions{Before: inAnHour()})
				forgotten += done.Snapshots
				return err
			})
			require.Equal(t, 4, forgotten)
			lost("sweep", func() error {
				_, err := tb.Sweep(ctx, offline.SweepOptions{Before: time.Now().UnixMicro()})
				return err
			})
			lost("untag", func() error { return tb.Untag(ctx, "keep") })
			other, err := open().Table(ctx, v)
			require.NoError(t, err)
			offlinetest.SameRows(t, want[:30], rows(t, other, offline.Version{}))
			tb.(*iceberg.Table).Age(3 * time.Hour)
			_, err = tb.Expire(ctx, offline.ExpireOptions{Before: inAnHour()})
			require.NoError(t, err)
			_, err = tb.Sweep(ctx, offline.SweepOptions{Before: time.Now().UnixMicro()})
			require.NoError(t, err)
			noLeftovers(t, tb)
		})
	}
}

// iceberg-go's own scanner reads what each kind of upkeep leaves, and another
// engine's commits lie between.
func TestOtherEngineAndUpkeep(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(t testing.TB) string) {
		url, dir := newURL(t), filepath.Join(t.TempDir(), "warehouse")
		store, err := iceberg.Open(ctx, url, dir, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = store.Close() })
		v := offlinetest.View("stats")
		tb, err := store.Table(ctx, v)
		require.NoError(t, err)
		want, at, snaps := fill(t, tb, 6)
		other := newEngine(t, url, dir)
		sees := func(says string, n int, snapshot int64) {
			t.Helper()
			x, err := other.cat.LoadTable(ctx, table.Identifier{"shop", "stats"})
			require.NoError(t, err)
			opts := []table.ScanOption{}
			if snapshot != 0 {
				opts = append(opts, table.WithSnapshotID(snapshot))
			}
			all, err := x.Scan(opts...).ToArrowTable(ctx)
			require.NoError(t, err, says)
			defer all.Release()
			require.Equal(t, int64(n), all.NumRows(), says)
		}
		same := func(says string, n int) {
			t.Helper()
			offlinetest.SameRows(t, want[:n], rows(t, tb, offline.Version{}))
			sees(says, n, 0)
			noLeftovers(t, tb)
		}
		same("filled", 60)
		require.NoError(t, tb.Replace(ctx, rewriteOf(t, tb, "rw1")))
		same("replaced", 60)
		sees("an old version", 20, snaps[1])
		other.do(func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
			return tx.SetProperties(iceberggo.Properties{"owner": "somebody"})
		})
		st, err := tb.Load(ctx, offline.Version{})
		require.NoError(t, err)
		// Their rewrite lies on top of ours; ours is forgotten below it.
		require.NoError(t, iceberg.Foreign(ctx, tb, func(h *table.Table, tx *table.Transaction) error {
			old, err := iceberg.DataFile(ctx, tb, st.Files[0])
			if err != nil {
				return err
			}
			f := offlinetest.Regroup(t, tb, st.Files[:1], 1)[0]
			d, err := iceberg.DataFile(ctx, tb, f)
			if err != nil {
				return err
			}
			return tx.ReplaceDataFilesWithDataFiles(ctx, []iceberggo.DataFile{old}, []iceberggo.DataFile{d}, nil)
		}))
		same("theirs on top", 60)
		require.NoError(t, tb.Tag(ctx, "old", snaps[2]))
		done, err := tb.Expire(ctx, offline.ExpireOptions{Before: inAnHour()})
		require.NoError(t, err)
		require.Equal(t, 2, done.Kept)
		same("ours forgotten", 60)
		sees("the tagged version", 30, snaps[2])
		again, err := store.Table(ctx, v)
		require.NoError(t, err)
		p, err := again.Positions(ctx)
		require.NoError(t, err)
		require.Equal(t, []feature.Position{at}, p)
		require.NoError(t, tb.Replace(ctx, rewriteOf(t, tb, "rw2")))
		same("replaced over theirs", 60)
		b := generator(v).Batch(0, at.Next, 10, false)
		c := offlinetest.Move(v, "on", at, offlinetest.At(0, at.Next+10, ""))
		require.NoError(t, offlinetest.Flush(ctx, offlinetest.NewWriter(t, tb), c, b))
		want, at = append(want, offlinetest.Lines(b)...), c.Advances[0].To
		same("on", 70)
		// They go back, and we take it as it is.
		require.NoError(t, iceberg.RollBack(ctx, tb, snaps[2]))
		_, err = tb.Positions(ctx)
		require.ErrorIs(t, err, offline.ErrRolledBack)
		require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "mend", To: snaps[2]}))
		same("mended", 30)
		p, err = tb.Positions(ctx)
		require.NoError(t, err)
		require.Equal(t, []feature.Position{offlinetest.At(0, 30, "mend")}, p)
		require.Equal(t, feature.Conflict, feature.KindOf(tb.Append(ctx, offlinetest.Move(v, "zombie", at, offlinetest.At(0, 75, "")), nil)))
		require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "none", To: 0}))
		same("nothing", 0)
		// A branch of theirs keeps its head.
		require.NoError(t, iceberg.Branch(ctx, tb, "audit", snaps[2]))
		require.NoError(t, tb.Untag(ctx, "old"))
		done, err = tb.Expire(ctx, offline.ExpireOptions{Before: inAnHour()})
		require.NoError(t, err)
		require.Equal(t, 2, done.Kept)
		sees("their branch", 30, snaps[2])
		same("at last", 0)
	})
}

// Each step of writing fails once during a rewrite, an expiry and a rollback: told, or not needed, and
// the next call does it; nothing is left behind but what the expiry could not remove.
func TestEveryDiskFaultOfUpkeep(t *testing.T) {
	v := offlinetest.View("stats")
	tb, _ := openTable(t, v)
	want, _, snaps := fill(t, tb, 4)
	hits := 0
	each := func(says string, do func(n int) func() error) {
		for n := 1; ; n++ {
			call := do(n)
			k, hit := 0, false
			iceberg.FailDisk(tb, func(step, path string) error {
				if k++; k == n {
					hit = true
					return &fs.PathError{Op: step, Path: path, Err: syscall.ENOSPC}
				}
				return nil
			})
			err := call()
			iceberg.FailDisk(tb, func(string, string) error { return nil })
			if !hit {
				require.NoError(t, err)
				return
			}
			hits++
			require.Equal(t, feature.Unavailable, feature.KindOf(err), "%s, step %d: %v", says, n, err)
			require.NoError(t, call(), "%s, step %d", says, n)
		}
	}
	each("replace", func(n int) func() error {
		r := rewriteOf(t, tb, fmt.Sprint("rw", n))
		return func() error { return tb.Replace(ctx, r) }
	})
	offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
	noLeftovers(t, tb)
	each("rollback", func(n int) func() error {
		r := &offline.Rollback{ID: fmt.Sprint("rb", n), To: snaps[n%4]}
		return func() error { return tb.Rollback(ctx, r) }
	})
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "last", To: snaps[3]}))
	each("to nothing", func(n int) func() error {
		r := &offline.Rollback{ID: fmt.Sprint("zero", n), To: 0}
		return func() error { return tb.Rollback(ctx, r) }
	})
	require.NoError(t, tb.Rollback(ctx, &offline.Rollback{ID: "forward", To: snaps[3]}))
	each("expire", func(int) func() error {
		require.NoError(t, tb.Replace(ctx, rewriteOf(t, tb, fmt.Sprint("x", hits))))
		return func() error {
			_, err := tb.Expire(ctx, offline.ExpireOptions{Before: inAnHour()})
			return err
		}
	})
	require.Greater(t, hits, 15)
	offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
	noLeftovers(t, tb)
}

// Manifests and metadata stay small over years of commits, compactions and expiries.
func TestManifestsDoNotPileUp(t *testing.T) {
	v := offlinetest.View("stats")
	tb, _ := openTable(t, v)
	want, at, _ := fill(t, tb, 1)
	w, g := offlinetest.NewWriter(t, tb), generator(v)
	most := 0
	for i := range 12 {
		for j := range 10 {
			b := g.Batch(0, at.Next, 3, false)
			c := offlinetest.Move(v, fmt.Sprintf("c%d-%d", i, j), at, offlinetest.At(0, at.Next+3, ""))
			require.NoError(t, offlinetest.Flush(ctx, w, c, b))
			at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
		}
		require.NoError(t, tb.Replace(ctx, rewriteOf(t, tb, fmt.Sprint("rw", i))))
		n, _, err := iceberg.Manifests(ctx, tb.(*iceberg.Table))
		require.NoError(t, err)
		most = max(most, n)
	}
	require.LessOrEqual(t, most, 3, "what is new, what went, and all the rest")
	done, err := tb.Expire(ctx, offline.ExpireOptions{Before: inAnHour(), Keep: 2})
	require.NoError(t, err)
	require.Equal(t, 3, done.Kept)
	noLeftovers(t, tb)
	_, size, err := iceberg.Manifests(ctx, tb.(*iceberg.Table))
	require.NoError(t, err)
	require.Less(t, size, 16<<10)
	offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
}
