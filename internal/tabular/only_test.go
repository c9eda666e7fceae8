package tabular

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"
)

// fewTexts writes a Parquet file of several row groups whose text is one of a
// dictionary, one of a dictionary that overflows into plain pages, and one without.
func fewTexts(t *testing.T) (path string, want []arrow.RecordBatch) {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "few", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "n", Type: arrow.PrimitiveTypes.Int64},
		{Name: "many", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "plain", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true}}, nil)
	path = filepath.Join(t.TempDir(), "t.parquet")
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(1000), parquet.WithDictionaryPageSizeLimit(4<<10),
		parquet.WithDictionaryFor("plain", false)), pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	for part := range 5 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for i := range 777 {
			few, many, plain := b.Field(0).(*array.StringBuilder), b.Field(2).(*array.StringBuilder), b.Field(3).(*array.StringBuilder)
			switch i % 7 {
			case 0:
				few.AppendNull()
			case 1:
				few.Append("")
			default:
				few.Append(fmt.Sprintf("ä%d", (i+part)%5))
			}
			b.Field(1).(*array.Int64Builder).Append(int64(i))
			many.Append(fmt.Sprintf("%d-%020d", part, i))
			plain.Append(fmt.Sprint(i % 3))
			l := b.Field(4).(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Int64Builder).Append(int64(i))
		}
		rec := b.NewRecordBatch()
		want = append(want, rec)
		require.NoError(t, w.WriteBuffered(rec))
	}
	require.NoError(t, w.Close())
	return path, want
}

// TestTextsOfDictionaries: texts are the same whether they are read as indexes or one by one.
func TestTextsOfDictionaries(t *testing.T) {
	path, want := fewTexts(t)
	for _, rows := range []int{1, 64, 1000, 10000} {
		r, err := Open(context.Background(), path, ReadOptions{BatchRows: rows})
		require.NoError(t, err)
		part, at := 0, 0
		for {
			rec, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			for i := range int(rec.NumRows()) {
				if at == int(want[part].NumRows()) {
					part, at = part+1, 0
				}
				for c := range int(rec.NumCols()) {
					require.Equal(t, want[part].Column(c).ValueStr(at), rec.Column(c).ValueStr(i))
				}
				at++
			}
			rec.Release()
		}
		require.Equal(t, []int{4, 777}, []int{part, at})
		require.NoError(t, r.Close())
	}
	r, err := Open(context.Background(), path, ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, arrow.STRING, r.Schema().Field(0).Type.ID())
	require.NoError(t, r.Close())
}

// TestOnlySomeColumns: those that are not wanted are null, the others and the schema as ever.
func TestOnlySomeColumns(t *testing.T) {
	path, _ := fewTexts(t)
	for _, only := range []map[string]bool{{}, {"none": true}, {"n": true}, {"list": true, "few": true}, {"few": true, "n": true, "many": true, "plain": true, "list": true}} {
		all, err := Open(context.Background(), path, ReadOptions{BatchRows: 777})
		require.NoError(t, err)
		some, err := Open(context.Background(), path, ReadOptions{BatchRows: 777, Only: only})
		require.NoError(t, err)
		require.True(t, all.Schema().Equal(some.Schema()), "%v\n%v", all.Schema(), some.Schema())
		rows := 0
		for {
			a, err := all.Read()
			if errors.Is(err, io.EOF) {
				_, err := some.Read()
				require.ErrorIs(t, err, io.EOF)
				break
			}
			require.NoError(t, err)
			b, err := some.Read()
			require.NoError(t, err)
			require.Equal(t, a.NumRows(), b.NumRows())
			for i, f := range a.Schema().Fields() {
				if only[f.Name] {
					require.True(t, array.Equal(a.Column(i), b.Column(i)), f.Name)
				} else {
					require.True(t, arrow.TypeEqual(f.Type, b.Column(i).DataType()))
					require.True(t, b.Column(i).NullN() == b.Column(i).Len() || i == 0 && (len(only) == 0 || only["none"]), f.Name)
				}
			}
			rows += int(a.NumRows())
			a.Release()
			b.Release()
		}
		require.Equal(t, 5*777, rows)
		require.NoError(t, all.Close())
		require.NoError(t, some.Close())
	}
}
