package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"
)

// TestNestedColumns: what is proposed of columns of lists and objects holds for them as events have
// them, and not as the JSON text that expectations see; a text that is JSON stays a text.
func TestNestedColumns(t *testing.T) {
	point := arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "y", Type: arrow.PrimitiveTypes.Float64, Nullable: true})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "at", Type: point, Nullable: true},
		{Name: "path", Type: arrow.ListOf(point), Nullable: true},
		{Name: "grid", Type: arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int64))},
		{Name: "holes", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)},
		{Name: "whole", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)},
		{Name: "text", Type: arrow.BinaryTypes.String},
		{Name: "by", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64)},
	}, nil)
	var lines strings.Builder
	for range 12 {
		lines.WriteString(`{"at":{"x":1,"y":0.5},"path":[{"x":1,"y":2},{"x":null,"y":3}],"grid":[[1],[2,3]],"holes":[1,null],"whole":[1,2],"text":"{\"a\":[1]}","by":[{"key":"a","value":1}]}` + "\n")
		lines.WriteString(`{"at":null,"path":[],"grid":[],"holes":[],"whole":[],"text":"[]","by":[]}` + "\n")
	}
	r := array.NewJSONReader(strings.NewReader(lines.String()), schema, array.WithChunk(-1), array.WithAllocator(memory.DefaultAllocator))
	require.True(t, r.Next(), r.Err())
	rec := r.RecordBatch()
	for _, name := range []string{"d.arrow", "d.parquet"} {
		data := filepath.Join(t.TempDir(), name)
		f, err := os.Create(data)
		require.NoError(t, err)
		if strings.HasSuffix(name, ".arrow") {
			w, err := ipc.NewFileWriter(f, ipc.WithSchema(schema))
			require.NoError(t, err)
			require.NoError(t, w.Write(rec))
			require.NoError(t, w.Close())
			require.NoError(t, f.Close())
		} else {
			w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
			require.NoError(t, err)
			require.NoError(t, w.Write(rec))
			require.NoError(t, w.Close())
		}
		suite, proposed := proposed(t, data)
		code, out, errs := weir("check", "--suite", suite, "--schema", proposed, data)
		require.Equal(t, 0, code, "%s\n%s%s", name, out, errs)
		raw, err := os.ReadFile(proposed)
		require.NoError(t, err)
		var got struct {
			Properties map[string]struct{ Type any }
		}
		require.NoError(t, json.Unmarshal(raw, &got))
		types := map[string]any{}
		for column, p := range got.Properties {
			types[column] = p.Type
		}
		require.Equal(t, map[string]any{"at": []any{"object", "null"}, "path": "array", "grid": "array", "holes": "array", "whole": nil, "text": "string", "by": "array"}, types, name)

		// A schema that takes them for texts is refused by the same rows.
		texts := filepath.Join(t.TempDir(), "texts.json")
		require.NoError(t, os.WriteFile(texts, []byte(`{"properties":{"at":{"type":["string","null"]},"grid":{"type":"string"}}}`), 0o644))
		code, _, _ = weir("check", "--schema", texts, data)
		require.Equal(t, 1, code, name)
	}
}
