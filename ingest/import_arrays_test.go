package ingest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestImportOfArrays: lists have the same fate whatever they are written in, those
// with an element that is null or does not fit among them.
func TestImportOfArrays(t *testing.T) {
	t.Parallel()
	w := newWorks(t, 1)
	const n = 3000
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "at", Type: arrow.PrimitiveTypes.Int64},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}, {Name: "vec", Type: arrow.ListOf(arrow.PrimitiveTypes.Float64), Nullable: true}}, nil)
	var rows [][]sinktest.Row
	var reasons [][]string
	for _, format := range []string{"jsonl", "csv", "parquet", "arrow"} {
		v := personView(format)
		v.Features = []feature.Field{{Name: "tags", Type: feature.Array(feature.String)}, {Name: "small", Type: feature.Array(feature.Float32), Path: "vec"}}
		w.apply(v)
		path := filepath.Join(t.TempDir(), "rows."+format)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		var text []byte
		if format == "csv" {
			text = append(text, "id,at,tags,vec\n"...)
		}
		for i := range n {
			tags, vec := fmt.Sprintf(`["t%d","x, \"y\""]`, i), fmt.Sprintf(`[%d.5,0.1]`, i)
			switch i % 20 {
			case 3:
				tags = `["a",null]`
			case 5:
				vec = `[1,2,1e+300]`
			case 7:
				tags, vec = "[]", "[]"
			case 9:
				tags, vec = "null", "null"
			}
			id, at := fmt.Sprintf("k%d", i%20), base.Add(time.Duration(i)*time.Second).UnixMicro()
			switch format {
			case "jsonl":
				text = fmt.Appendf(text, "{\"id\":%q,\"at\":%d,\"tags\":%s,\"vec\":%s}\n", id, at, tags, vec)
			case "csv":
				cell := func(x string) string {
					if x == "null" {
						return ""
					}
					out := `"`
					for _, c := range x {
						if out += string(c); c == '"' {
							out += `"`
						}
					}
					return out + `"`
				}
				text = fmt.Appendf(text, "%s,%d,%s,%s\n", id, at, cell(tags), cell(vec))
			default:
				b.Field(0).(*array.StringBuilder).Append(id)
				b.Field(1).(*array.Int64Builder).Append(at)
				require.NoError(t, b.Field(2).UnmarshalJSON([]byte("["+tags+"]")))
				require.NoError(t, b.Field(3).UnmarshalJSON([]byte("["+vec+"]")))
			}
		}
		if text != nil {
			require.NoError(t, os.WriteFile(path, text, 0o600))
		} else {
			writeTyped(t, path, schema, b.NewRecordBatch())
		}
		none := sinktest.NewFaults(1, 0)
		im := w.importer(w.config(), func(s *sinktest.Writer) *sinktest.FaultyWriter { return &sinktest.FaultyWriter{Writer: s, F: none} })
		req := w.fileOf(1, "jsonl")
		req.View, req.Path, req.Name = format, path, filepath.Base(path)
		_, err := im.Import(t.Context(), req, nil)
		require.NoError(t, err)
		got := w.table(format).Rows()
		for i := range got {
			got[i].TopicID = [16]byte{}
		}
		rows = append(rows, got)
		res, err := quarantine.NewReader(w.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: format})
		require.NoError(t, err)
		why := map[string]int{}
		for _, e := range res.Entries {
			text, err := json.Marshal(e.Reasons)
			require.NoError(t, err)
			why[string(text)]++
		}
		require.Len(t, why, 2)
		var all []string
		for _, r := range []feature.Reason{
			{Rule: "decode", Path: "tags[1]", Value: "null", Expected: "an element of array<string>: text; an element may not be null"},
			{Rule: "decode", Path: "vec[2]", Value: "1e+300", Expected: "an element of array<float32>: a number within the range of 32-bit floats"},
		} {
			text, err := json.Marshal([]feature.Reason{r})
			require.NoError(t, err)
			all = append(all, fmt.Sprint(string(text), why[string(text)]))
			require.Equal(t, n/20, why[string(text)], "%s: %v", format, why)
		}
		reasons = append(reasons, all)
	}
	require.Len(t, rows[0], n-2*n/20)
	for i := range rows {
		require.Equal(t, rows[0], rows[i])
		require.Equal(t, reasons[0], reasons[i])
	}
}

// writeTyped writes with others' writers: ours makes no list with a null element.
func writeTyped(t *testing.T, path string, schema *arrow.Schema, rec arrow.RecordBatch) {
	t.Helper()
	defer rec.Release()
	f, err := os.Create(path)
	require.NoError(t, err)
	if filepath.Ext(path) == ".parquet" {
		w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(1000)), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
		require.NoError(t, err)
		require.NoError(t, w.Write(rec))
		require.NoError(t, w.Close())
		return
	}
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(schema))
	require.NoError(t, err)
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}
