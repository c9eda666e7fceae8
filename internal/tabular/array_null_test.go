package tabular

import (
	"bytes"
	"fmt"
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

	"github.com/weir-ml/weir/registry/feature"
)

// typedFiles writes rows, a batch each, as Parquet and as Arrow's file and stream.
func typedFiles(t *testing.T, schema *arrow.Schema, batches ...string) (paths []string) {
	var pq, file, stream bytes.Buffer
	pw, err := pqarrow.NewFileWriter(schema, &pq, parquet.NewWriterProperties(parquet.WithStats(true)), pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	fw, err := ipc.NewFileWriter(&file, ipc.WithSchema(schema))
	require.NoError(t, err)
	sw := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	for _, rows := range batches {
		rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
		require.NoError(t, err)
		require.NoError(t, pw.Write(rec))
		require.NoError(t, fw.Write(rec))
		require.NoError(t, sw.Write(rec))
	}
	require.NoError(t, pw.Close())
	require.NoError(t, fw.Close())
	require.NoError(t, sw.Close())
	return []string{textFile(t, "a.parquet", pq.String()), textFile(t, "a.arrow", file.String()), textFile(t, "b.arrow", stream.String())}
}

// Lists of which some element is null are no arrays where nobody said so: they stay JSON
// text, in every format, wherever the null is; those without one are arrays beside them.
func TestNullElementsStayText(t *testing.T) {
	list := arrow.ListOf(arrow.PrimitiveTypes.Float64)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "some", Type: list, Nullable: true},
		{Name: "none", Type: list, Nullable: true}, // null and empty lists, which a file's statistics count as nulls too
		{Name: "large", Type: arrow.LargeListOf(arrow.BinaryTypes.String), Nullable: true},
		{Name: "fixed", Type: arrow.FixedSizeListOf(1, arrow.PrimitiveTypes.Int32), Nullable: true},
	}, nil)
	paths := typedFiles(t, schema,
		`[{"id":1,"some":[0.5],"none":[1],"large":["a"],"fixed":null}]`,
		`[{"id":2,"some":[0.5,null],"none":null,"large":[null],"fixed":[7]},{"id":3,"some":null,"none":[],"large":[],"fixed":[8]}]`)
	paths = append(paths, textFile(t, "a.jsonl", `{"id":1,"some":[0.5],"none":[1.0],"large":["a"]}`+"\n"+
		`{"id":2,"some":[0.5,null],"none":null,"large":[null],"fixed":[7]}`+"\n"+`{"id":3,"none":[],"large":[],"fixed":[8]}`+"\n"))
	want := [][]any{
		{int64(1), "[0.5]", []any{1.0}, `["a"]`, nil},
		{int64(2), "[0.5,null]", nil, "[null]", []any{int64(7)}},
		{int64(3), nil, []any{}, "[]", []any{int64(8)}},
	}
	for _, path := range paths {
		types := map[string]feature.Type{"fixed": feature.Array(feature.Int64)}
		s, rows, err := readAll(t, path, ReadOptions{Types: types})
		require.NoError(t, err, path)
		require.Equal(t, []string{"id:int64", "some:string", "none:array<float64>", "large:string", "fixed:array<int64>"}, s, path)
		require.Equal(t, want, rows, path)

		// What is declared is an array or an error, also as it comes out of a pipe of which no
		// more than once can be read.
		types["some"] = feature.Array(feature.Float64)
		_, _, err = readAll(t, path, ReadOptions{Types: types})
		require.ErrorContains(t, err, `2, column "some": element [1] is null`, path)
		require.Equal(t, feature.Invalid, feature.KindOf(err))

		// Who judges each row on its own keeps them as lists.
		r, err := Open(ctx, path, ReadOptions{NullElements: true})
		require.NoError(t, err, path)
		require.Equal(t, feature.Array(feature.Float64).Exchange(), r.Schema().Field(1).Type)
		nulls := 0
		for {
			rec, err := r.Read()
			if err != nil {
				break
			}
			nulls += rec.Column(1).(*array.List).ListValues().NullN()
		}
		require.Equal(t, 1, nulls, path)
		require.NoError(t, r.Close())
	}
	// Columns that nobody wants are not looked at.
	_, rows, err := readAll(t, paths[0], ReadOptions{Only: map[string]bool{"some": true, "none": true}})
	require.NoError(t, err)
	require.Equal(t, []any{nil, "[0.5,null]", nil, nil, nil}, rows[1])
}

// A stream out of a pipe can be read once: its lists are arrays until a null is met.
func TestNullElementsOfPipes(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "e", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64), Nullable: true}}, nil)
	for rows, want := range map[string]string{`[{"e":[1]}]`: "", `[{"e":[1]},{"e":[null]}]`: `row 2, column "e": element [0] is null`} {
		content, err := os.ReadFile(typedFiles(t, schema, rows)[2])
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "pipe.arrow")
		in, out, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, os.Symlink(fmt.Sprintf("/dev/fd/%d", in.Fd()), path))
		go func() { out.Write(content); out.Close() }()
		_, got, err := readAll(t, path, ReadOptions{})
		in.Close()
		if want != "" {
			require.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, [][]any{{[]any{int64(1)}}}, got)
	}
}
