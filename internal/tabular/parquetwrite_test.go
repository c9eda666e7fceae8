package tabular

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

func everyTypeSchema() *arrow.Schema {
	var fields []arrow.Field
	for _, t := range scalarsAndArrays() {
		fields = append(fields, arrow.Field{Name: t.String(), Type: t.Exchange(), Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// parquetCells reads a file with Arrow's own reader, which shares no code with the writer.
func parquetCells(t *testing.T, raw []byte) (names []string, rows [][]any, groups int) {
	pf, err := file.NewParquetReader(bytes.NewReader(raw))
	require.NoError(t, err)
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	tab, err := fr.ReadTable(context.Background())
	require.NoError(t, err)
	defer tab.Release()
	rows = make([][]any, tab.NumRows())
	for ci := range int(tab.NumCols()) {
		names = append(names, tab.Column(ci).Name()+":"+tab.Column(ci).DataType().String())
		at := 0
		for _, c := range tab.Column(ci).Data().Chunks() {
			for i := range c.Len() {
				rows[at] = append(rows[at], value(c, i))
				at++
			}
		}
	}
	return names, rows, pf.NumRowGroups()
}

// Columns of every type, in slices of arrays, with nulls nowhere, somewhere and
// everywhere (then there may be no memory at all), come back from another reader.
func TestParquetForOthers(t *testing.T) {
	schema := everyTypeSchema()
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		var out bytes.Buffer
		e, err := newParquetEncoder(&out, schema, 1+r.IntN(200))
		require.NoError(t, err)
		var want [][]any
		for range r.IntN(6) {
			rec := randomBatch(r, schema, 1+r.IntN(150))
			switch from := r.Int64N(rec.NumRows()); r.IntN(4) {
			case 0:
				rec = rec.NewSlice(from, rec.NumRows())
			case 1:
				var none []arrow.Array
				for _, f := range schema.Fields() {
					if f.Type.ID() == arrow.LIST {
						none = append(none, array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(rec.NumRows())))
						continue
					}
					buffers := []*memory.Buffer{memory.NewBufferBytes(make([]byte, 20)), nil, nil}
					switch f.Type.(type) {
					case *arrow.StringType, *arrow.BinaryType:
						buffers[1] = memory.NewBufferBytes(make([]byte, 4*(rec.NumRows()+1)))
					default:
						buffers = buffers[:2]
					}
					none = append(none, array.MakeFromData(array.NewData(f.Type, int(rec.NumRows()), buffers, nil, int(rec.NumRows()), 0)))
				}
				rec = array.NewRecordBatch(schema, none, rec.NumRows())
			}
			require.NoError(t, e.write(rec))
			for i := range int(rec.NumRows()) {
				var row []any
				for _, c := range rec.Columns() {
					row = append(row, value(c, i))
				}
				want = append(want, row)
			}
		}
		require.NoError(t, e.finish())
		names, got, _ := parquetCells(t, out.Bytes())
		var types []string
		for _, n := range []string{"bool", "int32", "int64", "float32", "float64", "string:utf8", "bytes:binary", "timestamp:timestamp[us, tz=UTC]"} {
			name, typ, ok := strings.Cut(n, ":")
			if !ok {
				typ = name
			}
			types = append(types, name+":"+typ, "array<"+name+">:list<element: "+typ+">")
		}
		require.Equal(t, types, names)
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i], got[i], "row %d", i)
		}
	}
}

// Texts end a row group early, so that its memory has a bound; one that is longer has its own.
func TestParquetLongTexts(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	kib := strings.Repeat("0123456789abcdef", 1<<6)
	var want [][]any
	for _, n := range []int{1, 20, 12, 0, 40, 1, 30, 3} {
		b.Append(strings.Repeat(kib, n))
		want = append(want, []any{strings.Repeat(kib, n)})
	}
	var out bytes.Buffer
	e, err := newParquetEncoder(&out, schema, 1000)
	require.NoError(t, err)
	e.most = 32 << 10
	require.NoError(t, e.write(array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, int64(len(want)))))
	require.NoError(t, e.finish())
	_, got, groups := parquetCells(t, out.Bytes())
	require.True(t, len(got) == len(want))
	for i := range want {
		require.True(t, want[i][0] == got[i][0], "row %d", i)
	}
	require.Equal(t, 5, groups) // of 1+20, 12+0, 40, 1+30 and 3 KiB
}
