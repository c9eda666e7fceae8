package iceberg_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	iceberggo "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

var ctx = context.Background()

func openTable(t testing.TB, v *feature.View) (offline.Table, offlinetest.Open) {
	open := opener(t, t.TempDir())
	tb, err := open().Table(ctx, v)
	require.NoError(t, err)
	return tb, open
}

func generator(v *feature.View) *offlinetest.Gen {
	return &offlinetest.Gen{R: rand.New(rand.NewPCG(3, 4)), View: v}
}

func rows(t testing.TB, tb offline.Table, v offline.Version) []string {
	st, err := tb.Load(ctx, v)
	require.NoError(t, err)
	return offlinetest.Read(t, tb, st)
}

// fill commits n times ten rows of partition 0.
func fill(t testing.TB, tb offline.Table, n int) (want []string, at feature.Position, snaps []int64) {
	g, w := generator(tb.View()), offlinetest.NewWriter(t, tb)
	for i := range n {
		b := g.Batch(0, int64(10*i), 10, false)
		c := offlinetest.Move(tb.View(), fmt.Sprintf("f%d", i), at, offlinetest.At(0, int64(10*i+10), ""))
		require.NoError(t, offlinetest.Flush(ctx, w, c, b))
		at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
		st, err := tb.Load(ctx, offline.Version{})
		require.NoError(t, err)
		snaps = append(snaps, st.Snapshot)
	}
	return want, at, snaps
}

func TestLostAnswers(t *testing.T) {
	v := offlinetest.View("stats")
	tb, open := openTable(t, v)
	want, at, _ := fill(t, tb, 2)
	w, g := offlinetest.NewWriter(t, tb), generator(v)
	for i, landed := range []bool{true, false, true, false} {
		b := g.Batch(0, at.Next, 10, false)
		c := offlinetest.Move(v, fmt.Sprintf("c%d", i), at, offlinetest.At(0, at.Next+10, ""))
		require.NoError(t, w.Write(ctx, b))
		w.Cut(c)
		require.NoError(t, w.Stage(ctx, c))
		iceberg.LoseAnswers(tb, landed, 1)
		err := w.Commit(ctx, c)
		if landed {
			require.NoError(t, err, "recognised by its positions")
		} else {
			require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
			require.NoError(t, w.Commit(ctx, c), "again")
		}
		require.NoError(t, w.Settle(ctx, c))
		at, want = c.Advances[0].To, append(want, offlinetest.Lines(b)...)
	}
	other, err := open().Table(ctx, v)
	require.NoError(t, err)
	offlinetest.SameRows(t, want, rows(t, other, offline.Version{}))
}

func TestZombie(t *testing.T) {
	v := offlinetest.View("stats")
	zombie, open := openTable(t, v)
	_, at, _ := fill(t, zombie, 1)
	heir, err := open().Table(ctx, v)
	require.NoError(t, err)
	zw, hw, g := offlinetest.NewWriter(t, zombie), offlinetest.NewWriter(t, heir), generator(v)
	late := offlinetest.Move(v, "zombie", at, offlinetest.At(0, at.Next+5, ""))
	require.NoError(t, zw.Write(ctx, g.Batch(0, at.Next, 5, false)))
	zw.Cut(late)
	require.NoError(t, zw.Stage(ctx, late))
	require.NoError(t, offlinetest.Flush(ctx, hw, offlinetest.Move(v, "heir", at, offlinetest.At(0, at.Next+7, "")), g.Batch(0, at.Next, 7, false)))
	require.Equal(t, feature.Conflict, feature.KindOf(zw.Commit(ctx, late)))
	require.Len(t, rows(t, heir, offline.Version{}), 17)
}

func TestChangedFromOutside(t *testing.T) {
	v := offlinetest.View("stats")
	refused := func(t *testing.T, tb offline.Table, open offlinetest.Open, at feature.Position, fault error) {
		t.Helper()
		_, err := tb.Positions(ctx)
		require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
		require.ErrorIs(t, err, fault)
		var fe *feature.Error
		require.True(t, errors.As(err, &fe) && fe.Hint != "")
		_, err = tb.Load(ctx, offline.Version{})
		require.Equal(t, feature.Invalid, feature.KindOf(err))
		err = tb.Append(ctx, offlinetest.Move(v, "x", at, offlinetest.At(0, at.Next+1, "")), nil)
		require.Equal(t, feature.Invalid, feature.KindOf(err))
		_, err = open().Table(ctx, v)
		require.Equal(t, feature.Invalid, feature.KindOf(err))
		require.ErrorIs(t, err, fault)
	}
	t.Run("rolled back", func(t *testing.T) {
		tb, open := openTable(t, v)
		_, at, snaps := fill(t, tb, 3)
		require.NoError(t, iceberg.RollBack(ctx, tb, snaps[1]))
		refused(t, tb, open, at, offline.ErrRolledBack)
		require.NoError(t, iceberg.RollBack(ctx, tb, snaps[2]))
		_, err := tb.Positions(ctx)
		require.NoError(t, err, "mended")
	})
	t.Run("property removed", func(t *testing.T) {
		tb, open := openTable(t, v)
		_, at, _ := fill(t, tb, 2)
		require.NoError(t, iceberg.Foreign(ctx, tb, func(_ *table.Table, tx *table.Transaction) error {
			return tx.RemoveProperties([]string{iceberg.FieldPositions})
		}))
		refused(t, tb, open, at, offline.ErrNoPositions)
	})
	t.Run("property damaged", func(t *testing.T) {
		tb, open := openTable(t, v)
		_, at, _ := fill(t, tb, 2)
		require.NoError(t, iceberg.Foreign(ctx, tb, func(_ *table.Table, tx *table.Transaction) error {
			return tx.SetProperties(iceberggo.Properties{iceberg.FieldPositions: `{"v":1,"topics":[{"id":"zz"}]}`})
		}))
		refused(t, tb, open, at, offline.ErrNoPositions)
	})
	t.Run("commits and expiry of others are survived", func(t *testing.T) {
		tb, open := openTable(t, v)
		want, at, snaps := fill(t, tb, 4)
		require.NoError(t, tb.Tag(ctx, "keep", snaps[1]))
		// A rewrite by another engine: the same rows in a file of its own, no summary of ours.
		st, err := tb.Load(ctx, offline.Version{})
		require.NoError(t, err)
		require.NoError(t, iceberg.Foreign(ctx, tb, func(h *table.Table, tx *table.Transaction) error {
			fs, err := h.FS(ctx)
			if err != nil {
				return err
			}
			b, err := fs.(interface{ ReadFile(string) ([]byte, error) }).ReadFile(st.Files[0].Path)
			if err != nil {
				return err
			}
			f := st.Files[0]
			fw, err := tb.Create(ctx, "copy.parquet")
			if err != nil {
				return err
			}
			if _, err := fw.Write(b); err != nil {
				return err
			}
			if f.Path, err = fw.Commit(); err != nil {
				return err
			}
			d, err := iceberg.DataFile(ctx, tb, f)
			if err != nil {
				return err
			}
			old, err := iceberg.DataFile(ctx, tb, st.Files[0])
			if err != nil {
				return err
			}
			return tx.ReplaceDataFilesWithDataFiles(ctx, []iceberggo.DataFile{old}, []iceberggo.DataFile{d}, nil)
		}))
		offlinetest.SameRows(t, want, rows(t, tb, offline.Version{}))
		require.NoError(t, iceberg.Foreign(ctx, tb, func(_ *table.Table, tx *table.Transaction) error {
			return tx.ExpireSnapshots(table.WithRetainLast(1), table.WithOlderThan(0), table.WithPostCommit(false))
		}))
		_, err = tb.Load(ctx, offline.Version{Snapshot: snaps[2]})
		require.Equal(t, feature.NotFound, feature.KindOf(err), "expired")
		// Nothing of ours is left on the branch; the property still tells.
		tb, err = open().Table(ctx, v)
		require.NoError(t, err)
		p, err := tb.Positions(ctx)
		require.NoError(t, err)
		require.Equal(t, []feature.Position{at}, p)
		kept, err := tb.Load(ctx, offline.Version{Tag: "keep"})
		require.NoError(t, err)
		require.Equal(t, []feature.Position{offlinetest.At(0, 20, "f1")}, kept.Positions)
		offlinetest.SameRows(t, want[:20], offlinetest.Read(t, tb, kept))
		b := generator(v).Batch(0, at.Next, 5, false)
		require.NoError(t, offlinetest.Flush(ctx, offlinetest.NewWriter(t, tb), offlinetest.Move(v, "on", at, offlinetest.At(0, at.Next+5, "")), b))
		offlinetest.SameRows(t, append(want, offlinetest.Lines(b)...), rows(t, tb, offline.Version{}))
	})
}

func TestPositionsText(t *testing.T) {
	for _, text := range []string{
		`{"v":1}`,
		`{"v":1,"data":"b","commits":["a","b"],"topics":[{"name":"t","id":"000102030405060708090a0b0c0d0e0f","at":[[0,5,1,0],[1,6,2,1]]}]}`,
		`{"v":1,"commits":["a"],"topics":[{"name":"file:x.csv","id":"000102030405060708090a0b0c0d0e0f","at":[[-1,5,1,0,1767571200000000]]}]}`,
	} {
		got, err := iceberg.RoundTrip(text)
		require.NoError(t, err)
		require.Equal(t, text, got)
	}
}

func FuzzPositionsText(f *testing.F) {
	f.Add(`{"v":1,"data":"b","commits":["a"],"topics":[{"name":"t","id":"000102030405060708090a0b0c0d0e0f","at":[[0,5,1,0]]}]}`)
	f.Add(`{"v":1,"topics":[{"at":[[0,0,0,-1]]}]}`)
	f.Add(`{"v":1,"topics":[{"at":[[0,0,0],[]]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		one, err := iceberg.RoundTrip(text)
		if err != nil {
			return
		}
		two, err := iceberg.RoundTrip(one)
		require.NoError(t, err)
		require.Equal(t, one, two)
	})
}

// TestFilesDoNotPileUp guards the settings that keep the thousandth commit cheap.
func TestFilesDoNotPileUp(t *testing.T) {
	v := offlinetest.View("stats")
	tb, _ := openTable(t, v)
	fill(t, tb, 60)
	dir := filepath.Join(localDir(t, tb), "metadata")
	json, err := filepath.Glob(filepath.Join(dir, "*.metadata.json"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(json), 22, "old metadata files are removed")
}

func localDir(t testing.TB, tb offline.Table) string {
	d := tb.(*iceberg.Table).Dir()
	_, err := os.Stat(d)
	require.NoError(t, err)
	return d
}
