package iceberg_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	iceberggo "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestLists: arrays are lists of required elements, which have ids and metrics of
// their own, in new tables and where a view gains them.
func TestLists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, wh := "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse")
	store, err := iceberg.Open(ctx, url, wh, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	other := newEngine(t, url, wh)
	load := func() *table.Table {
		tb, err := other.cat.LoadTable(ctx, table.Identifier{"shop", "stats"})
		require.NoError(t, err)
		return tb
	}
	check := func(v *feature.View) *iceberggo.Schema {
		sc := load().Schema()
		require.Equal(t, sc.HighestFieldID(), load().Metadata().LastColumnID())
		ids := map[int]bool{}
		for _, f := range sc.Fields() {
			require.False(t, ids[f.ID])
			ids[f.ID] = true
			if l, ok := f.Type.(*iceberggo.ListType); ok {
				require.True(t, l.ElementRequired)
				require.False(t, ids[l.ElementID])
				ids[l.ElementID] = true
			}
		}
		for _, x := range v.Features {
			f, ok := sc.FindFieldByName(x.Name)
			require.True(t, ok)
			_, list := f.Type.(*iceberggo.ListType)
			require.Equal(t, x.Type.IsArray(), list, x.Name)
		}
		return sc
	}
	v := offlinetest.View("stats")
	tb, err := store.Table(ctx, v)
	require.NoError(t, err)
	want, at, _ := fill(t, tb, 1)
	check(v)

	last := load().Metadata().LastColumnID()
	v = offlinetest.View("stats", feature.Field{Name: "more", Type: feature.Array(feature.Timestamp)}, feature.Field{Name: "plain", Type: feature.Bool},
		feature.Field{Name: "raw", Type: feature.Array(feature.Bytes)})
	v.Version = 2
	tb, err = store.Table(ctx, v)
	require.NoError(t, err)
	sc := check(v)
	require.Equal(t, last+5, load().Metadata().LastColumnID(), "two lists and a boolean")
	b := generator(v).Batch(0, at.Next, 40, false)
	require.NoError(t, offlinetest.Flush(ctx, offlinetest.NewWriter(t, tb), offlinetest.Move(v, "more", at, offlinetest.At(0, at.Next+40, "")), b))
	got := rows(t, tb, offline.Version{})
	require.Len(t, got, len(want)+40)
	for _, l := range offlinetest.Lines(b) {
		require.Contains(t, got, l)
	}

	// What the metadata says of the new files, list by list, and who has which column.
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	rowsIn := map[string]int64{}
	for _, f := range st.Files {
		rowsIn[f.Path] = f.Rows
		for _, c := range tb.Columns() {
			isNew := slices.Contains([]string{"more", "plain", "raw"}, c.Name)
			require.Equal(t, !isNew || slices.Contains(f.Has, tb.Columns()[len(v.Columns())-1].ID), slices.Contains(f.Has, c.ID), "%s %s", f.Path, c.Name)
		}
	}
	sums := map[int][2]int64{} // of the files with the new columns
	raw, _ := sc.FindFieldByName("raw")
	counted := raw.Type.(*iceberggo.ListType).ElementID
	snap := load().CurrentSnapshot()
	manifests, err := snap.Manifests(must(load().FS(ctx)))
	require.NoError(t, err)
	for _, m := range manifests {
		for e, err := range m.Entries(must(load().FS(ctx)), true) {
			require.NoError(t, err)
			d := e.DataFile()
			_, isNew := d.ValueCounts()[counted]
			for _, f := range sc.Fields() {
				l, ok := f.Type.(*iceberggo.ListType)
				if !ok {
					continue
				}
				for _, of := range []map[int]int64{d.ValueCounts(), d.NullValueCounts(), d.ColumnSizes()} {
					require.NotContains(t, of, f.ID, "metrics are those of the elements")
				}
				require.NotContains(t, d.LowerBoundValues(), l.ElementID)
				if isNew {
					s := sums[f.ID]
					sums[f.ID] = [2]int64{s[0] + d.ValueCounts()[l.ElementID], s[1] + d.NullValueCounts()[l.ElementID]}
				}
			}
		}
	}
	for i, c := range v.Columns() {
		if !c.Type.IsArray() {
			continue
		}
		var want [2]int64
		a := b.Rows.Column(i).(*array.Binary)
		for row := range a.Len() {
			n := 0
			if a.IsValid(row) {
				n, err = feature.Elements(c.Type, a.Value(row))
				require.NoError(t, err)
			}
			if n == 0 {
				want[0], want[1] = want[0]+1, want[1]+1
			}
			want[0] += int64(n)
		}
		f, _ := sc.FindFieldByName(c.Name)
		require.Equal(t, want, sums[f.ID], "%s: values, and nulls among them", c.Name)
	}
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// TestListsOfAnotherEngine: a list that another engine has added is a feature once a
// view has it, rows of its own writing included; what is no array of ours stays foreign.
func TestListsOfAnotherEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, wh := "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse")
	store, err := iceberg.Open(ctx, url, wh, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	v := offlinetest.View("stats")
	tb, err := store.Table(ctx, v)
	require.NoError(t, err)
	fill(t, tb, 1)
	other := newEngine(t, url, wh)
	long := iceberggo.PrimitiveTypes.Int64
	other.do(func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
		u := tx.UpdateSchema(true, false)
		for name, typ := range map[string]iceberggo.Type{
			"scores": &iceberggo.ListType{ElementID: 901, Element: long},
			"deep":   &iceberggo.ListType{ElementID: 902, Element: &iceberggo.ListType{ElementID: 903, Element: long}},
			"pair":   &iceberggo.StructType{FieldList: []iceberggo.NestedField{{ID: 904, Name: "a", Type: long}, {ID: 905, Name: "b", Type: long}}},
		} {
			u = u.AddColumn([]string{name}, typ, "", false, nil)
		}
		return u.Commit()
	})
	v = offlinetest.View("stats", feature.Field{Name: "scores", Type: feature.Array(feature.Int64)})
	v.Version = 2
	tb, err = store.Table(ctx, v)
	require.NoError(t, err)
	types := map[string]feature.Type{}
	for _, c := range tb.AllColumns() {
		types[c.Name] = c.Type
	}
	require.Equal(t, feature.Array(feature.Int64), types["scores"])
	require.Equal(t, []feature.Type{feature.InvalidType, feature.InvalidType}, []feature.Type{types["deep"], types["pair"]})

	for _, broken := range []bool{false, true} {
		other.do(func(ctx context.Context, it *table.Table, tx *table.Transaction) error {
			all, err := it.Scan().ToArrowTable(ctx)
			require.NoError(t, err)
			defer all.Release()
			return tx.AppendTable(ctx, withScores(t, all, broken), 1000, nil)
		})
		var found []string
		err = offline.Scan(ctx, tb, offline.ScanOptions{Columns: []string{"scores"}}, func(b *feature.Batch) error {
			a := b.Rows.Column(b.Rows.Schema().FieldIndices("scores")[0]).(*array.Binary)
			for i := range a.Len() {
				if a.IsValid(i) {
					found = append(found, string(a.Value(i)))
				}
			}
			return nil
		})
		if broken {
			require.ErrorContains(t, err, "column scores: element 1 of the list in row ")
			continue
		}
		require.NoError(t, err)
		slices.Sort(found)
		require.Equal(t, []string{"", "\x05\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"}, slices.Compact(found))
	}
	// Files with what we cannot write are left as they are.
	cfg := offline.DefaultConfig()
	cfg.Compact.MinFiles = 2
	_, err = offline.Compact(ctx, tb, offline.CompactOptions{Config: cfg})
	require.Equal(t, feature.Unsupported, feature.KindOf(err))
	require.ErrorContains(t, err, "another engine's column of a type that Weir cannot write")
}

// withScores gives every row a list of two, none, or none at all; or one with a null.
func withScores(t *testing.T, all arrow.Table, broken bool) arrow.Table {
	at := all.Schema().FieldIndices("scores")[0]
	b := array.NewBuilder(memory.DefaultAllocator, all.Schema().Field(at).Type).(*array.ListBuilder)
	longs := b.ValueBuilder().(*array.Int64Builder)
	for i := range int(all.NumRows()) {
		switch i % 3 {
		case 0:
			b.Append(true)
			longs.Append(5)
			if broken {
				longs.AppendNull()
			} else {
				longs.Append(6)
			}
		case 1:
			b.Append(true)
		default:
			b.AppendNull()
		}
	}
	cols := make([]arrow.Column, all.NumCols())
	for i := range cols {
		cols[i] = *all.Column(i)
	}
	list := b.NewListArray()
	cols[at] = *arrow.NewColumn(all.Schema().Field(at), arrow.NewChunked(list.DataType(), []arrow.Array{list}))
	require.EqualValues(t, all.NumRows(), list.Len())
	return array.NewTable(all.Schema(), cols, all.NumRows())
}
