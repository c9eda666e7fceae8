package offlinetest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
)

var regrouped atomic.Int64

// Regroup writes the rows of files, all of one day, into n others, by arrow's
// Parquet writer: in the order they come, as another engine might.
func Regroup(t testing.TB, tb offline.Table, files []offline.File, n int) (out []offline.File) {
	t.Helper()
	cols := tb.AllColumns()
	parts := make([][]arrow.Array, len(cols))
	for _, f := range files {
		byID, rows := columnsOf(t, tb, f)
		for i, c := range cols {
			parts[i] = append(parts[i], widened(t, byID[c.ID], c, rows))
		}
	}
	fields := make([]arrow.Field, len(cols))
	whole := make([]arrow.Array, len(cols))
	for i, c := range cols {
		fields[i] = arrow.Field{Name: c.Name, Type: arrowType(c), Nullable: !c.Required,
			Metadata: arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(c.ID)})}
		a, err := array.Concatenate(parts[i], memory.DefaultAllocator)
		require.NoError(t, err)
		whole[i] = a
	}
	schema := arrow.NewSchema(fields, nil)
	all := array.NewRecordBatch(schema, whole, int64(whole[0].Len()))
	n = min(n, whole[0].Len())
	for i := range n {
		from, to := int64(i)*all.NumRows()/int64(n), int64(i+1)*all.NumRows()/int64(n)
		out = append(out, put(t, tb, schema, all.NewSlice(from, to)))
	}
	return out
}

func columnsOf(t testing.TB, tb offline.Table, f offline.File) (map[int]arrow.Array, int) {
	r, err := tb.Open(ctx, f.Path)
	require.NoError(t, err)
	defer r.Close()
	pf, err := file.NewParquetReader(io.NewSectionReader(r, 0, r.Size()))
	require.NoError(t, err)
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	tab, err := fr.ReadTable(ctx)
	require.NoError(t, err)
	defer tab.Release()
	byID := map[int]arrow.Array{}
	for i := range int(tab.NumCols()) {
		a, err := array.Concatenate(tab.Column(i).Data().Chunks(), memory.DefaultAllocator)
		require.NoError(t, err)
		byID[int(pf.MetaData().Schema.Root().Field(i).FieldID())] = a
	}
	return byID, int(tab.NumRows())
}

func arrowType(c offline.Column) arrow.DataType {
	if c.Fixed > 0 {
		return &arrow.FixedSizeBinaryType{ByteWidth: c.Fixed}
	}
	if c.Type.IsArray() { // other engines seldom say that elements are never null
		return arrow.ListOfField(arrow.Field{Name: "element", Type: c.Type.Elem().Arrow(), Nullable: true,
			Metadata: arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(c.Element)})})
	}
	return c.Type.Arrow()
}

// widened is a column as its type is now; null where the file does not have it.
func widened(t testing.TB, a arrow.Array, c offline.Column, rows int) arrow.Array {
	want := arrowType(c)
	if a == nil {
		return array.MakeArrayOfNull(memory.DefaultAllocator, want, rows)
	}
	if arrow.TypeEqual(a.DataType(), want) {
		return a
	}
	if _, ok := a.(array.ListLike); ok {
		d := a.Data()
		return array.MakeFromData(array.NewData(want, d.Len(), d.Buffers(), d.Children(), d.NullN(), d.Offset()))
	}
	b := array.NewBuilder(memory.DefaultAllocator, want)
	defer b.Release()
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		switch a := a.(type) {
		case *array.Int32:
			b.(*array.Int64Builder).Append(int64(a.Value(i)))
		case *array.Float32:
			b.(*array.Float64Builder).Append(float64(a.Value(i)))
		default:
			t.Fatalf("column %s is %s in the file and %s in the table", c.Name, a.DataType(), want)
		}
	}
	return b.NewArray()
}

func put(t testing.TB, tb offline.Table, schema *arrow.Schema, rows arrow.RecordBatch) offline.File {
	var buf bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &buf, nil, pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	require.NoError(t, w.Write(rows))
	require.NoError(t, w.Close())
	fw, err := tb.Create(ctx, fmt.Sprintf("regrouped/%d-%08x.parquet", regrouped.Add(1), rand.Uint32()))
	require.NoError(t, err)
	_, err = fw.Write(buf.Bytes())
	require.NoError(t, err)
	size := int64(buf.Len())
	path, err := fw.Commit()
	require.NoError(t, err)
	f := offline.File{Path: path, Rows: rows.NumRows(), Bytes: size}
	lo, hi := bounds(rows, offline.ColEffective)
	f.MinEffective, f.MaxEffective = lo, hi
	f.MinEvent, f.MaxEvent = bounds(rows, offline.ColEvent)
	f.MinKnown, f.MaxKnown = bounds(rows, offline.ColKnown)
	f.MinOffset, f.MaxOffset = bounds(rows, offline.ColOffset)
	f.MinPartition, f.MaxPartition = bounds(rows, offline.ColPartition)
	return f
}

func bounds(rows arrow.RecordBatch, name string) (lo, hi int64) {
	lo, hi = offline.UnknownMax, offline.UnknownMin
	a := rows.Column(rows.Schema().FieldIndices(name)[0])
	for i := range a.Len() {
		v := int64(0)
		switch a := a.(type) {
		case *array.Timestamp:
			v = int64(a.Value(i))
		case *array.Int64:
			v = a.Value(i)
		case *array.Int32:
			v = int64(a.Value(i))
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// SameDay picks files of one day; nil when there are none.
func SameDay(r *rand.Rand, files []offline.File) (out []offline.File) {
	if len(files) == 0 {
		return nil
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b offline.File) int { // stores list them in any order
		return cmp.Or(cmp.Compare(a.MinEffective, b.MinEffective), cmp.Compare(a.MinOffset, b.MinOffset), cmp.Compare(a.MinPartition, b.MinPartition),
			cmp.Compare(a.MaxEffective, b.MaxEffective), cmp.Compare(a.MaxOffset, b.MaxOffset), cmp.Compare(a.Rows, b.Rows))
	})
	day := offline.DayOf(files[r.IntN(len(files))].MinEffective)
	for _, f := range files {
		if offline.DayOf(f.MinEffective) == day && r.IntN(4) > 0 {
			out = append(out, f)
		}
	}
	return out
}
