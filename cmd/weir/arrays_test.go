package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
)

// listRows are rows with arrays of each type, with empty ones, nulls, and texts that JSON
// and CSV would have to escape.
const listRows = `{"id":"a","at":"2026-01-01T00:00:00Z","vec":[0.5,-1.25,3.0],"tags":["x","a,\"b\"\n",""],"n":[1,-9007199254740993],"ok":[true,false],"seen":["2026-01-02T03:04:05Z"],"raw":["AAE=",""],"x":7}
{"id":"b","at":"2026-01-01T01:00:00Z","vec":[],"tags":[],"n":[],"ok":[],"seen":[],"raw":[],"x":8}
{"id":"c","at":"2026-01-01T02:00:00Z","vec":null,"tags":null,"n":null,"ok":null,"seen":null,"raw":null,"x":null}
{"id":"a","at":"2026-01-01T03:00:00Z","vec":[1.0],"tags":["é"],"n":[0],"ok":[true],"seen":["1969-12-31T23:59:59.5Z","2026-01-02T03:04:05Z"],"raw":["/w=="],"x":9}
`

// listFeatures are the columns of listRows behind its key and time.
var listFeatures = []feature.Field{{Name: "vec", Type: feature.Array(feature.Float32)}, {Name: "tags", Type: feature.Array(feature.String)},
	{Name: "n", Type: feature.Array(feature.Int64)}, {Name: "ok", Type: feature.Array(feature.Bool)}, {Name: "seen", Type: feature.Array(feature.Timestamp)},
	{Name: "raw", Type: feature.Array(feature.Bytes)}, {Name: "x", Type: feature.Int64}}

func listManifest(view string) string {
	var features []string
	for _, f := range listFeatures {
		features = append(features, fmt.Sprintf("{name: %s, type: %s}", f.Name, f.Type))
	}
	return fmt.Sprintf(`
apiVersion: weir/v1
kind: Entity
metadata: {name: %[1]s}
spec: {join_keys: [{name: id, type: string}]}
---
apiVersion: weir/v1
kind: Source
metadata: {name: %[1]s}
spec: {topic: %[1]s, event_time: {field: at}}
---
apiVersion: weir/v1
kind: FeatureView
metadata: {name: %[1]s}
spec: {source: %[1]s, entities: [%[1]s], features: [%[2]s]}
---
apiVersion: weir/v1
kind: FeatureService
metadata: {name: %[1]s_model}
spec: {features: ["%[1]s:*"]}
`, view, strings.Join(features, ", "))
}

// listFiles writes listRows in every format; in Parquet and Arrow they are real lists.
func listFiles(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	types := map[string]feature.Type{"id": feature.String, "at": feature.Timestamp}
	for _, f := range listFeatures {
		types[f.Name] = f.Type
	}
	from := filepath.Join(dir, "rows.jsonl")
	require.NoError(t, os.WriteFile(from, []byte(listRows), 0o600))
	files := map[string]string{"jsonl": from}
	for _, ext := range []string{"csv", "parquet", "arrow"} {
		files[ext] = filepath.Join(dir, "rows."+ext)
		r, err := tabular.Open(t.Context(), from, tabular.ReadOptions{Types: types})
		require.NoError(t, err)
		w, err := tabular.Create(files[ext], r.Schema(), tabular.WriteOptions{})
		require.NoError(t, err)
		rec, err := r.Read()
		require.NoError(t, err)
		require.NoError(t, w.Write(rec))
		require.NoError(t, w.Close())
		require.NoError(t, r.Close())
	}
	return files
}

// jsonRows are a file's rows as JSON lines, columns of arrays checked for their type.
func jsonRows(t *testing.T, path string, types map[string]feature.Type) (rows []map[string]any) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.jsonl")
	r, err := tabular.Open(t.Context(), path, tabular.ReadOptions{Types: types})
	require.NoError(t, err)
	defer r.Close()
	for _, f := range r.Schema().Fields() {
		if want, ok := types[f.Name]; ok {
			require.True(t, arrow.TypeEqual(want.Exchange(), f.Type), "%s: %s is %s", path, f.Name, f.Type)
		}
	}
	w, err := tabular.Create(out, r.Schema(), tabular.WriteOptions{})
	require.NoError(t, err)
	for {
		rec, err := r.Read()
		if err != nil {
			break
		}
		require.NoError(t, w.Write(rec))
		rec.Release()
	}
	require.NoError(t, w.Close())
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var row map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		require.NoError(t, d.Decode(&row))
		rows = append(rows, row)
	}
	return rows
}

// TestArraysFromFileToFile: lists come in from every format and go out in every format, by
// training sets, exports and rows of a table, as they were.
func TestArraysFromFileToFile(t *testing.T) {
	w := start(t, testConfig(t))
	types := map[string]feature.Type{}
	for _, f := range listFeatures {
		types[f.Name] = f.Type
	}
	var facts []map[string]any
	for line := range strings.Lines(listRows) {
		var row map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		require.NoError(t, d.Decode(&row))
		facts = append(facts, row)
	}
	spine := fileOf(t, "spine.jsonl", `{"id":"a","event_timestamp":"2026-01-01T02:59:59Z","carried":[1,2]}
{"id":"a","event_timestamp":"2026-01-01T03:00:00Z","carried":[]}
{"id":"b","event_timestamp":"2026-01-02T00:00:00Z","carried":null}
{"id":"c","event_timestamp":"2026-01-02T00:00:00Z","carried":[3]}
{"id":"nobody","event_timestamp":"2026-01-02T00:00:00Z","carried":[4]}
`)
	want := []map[string]any{facts[0], facts[3], facts[1], facts[2], {}}
	dir := t.TempDir()
	hashes := map[string]bool{}
	files := listFiles(t)
	for i, from := range []string{"csv", "parquet", "jsonl", "arrow"} {
		view := "facts_" + from
		w.apply(listManifest(view))
		got := w.landed(0, "--view", view, files[from])
		require.EqualValues(t, 4, got[0].Rows, "%s: %v", from, got)
		require.Zero(t, got[0].Quarantined, "%s: %v", from, got[0].Rules)

		out := filepath.Join(dir, fmt.Sprint("set.", []string{"parquet", "csv", "arrow", "jsonl"}[i]))
		var made struct {
			ID          string `json:"id"`
			ContentHash string `json:"content_hash"`
		}
		w.json(&made, "snapshot", "create", "--service", view+"_model", "--spine", spine, "--out", out, "--time", "event")
		hashes[made.ContentHash] = true
		rows := jsonRows(t, out, types)
		require.Len(t, rows, len(want))
		for k, row := range rows {
			for _, f := range listFeatures {
				require.Equal(t, want[k][f.Name], row[f.Name], "from %s, row %d, %s in %s", from, k, f.Name, out)
			}
		}
		require.Equal(t, []any{json.Number("1"), json.Number("2")}, rows[0]["carried"])
		require.Equal(t, []any{}, rows[1]["carried"])
		require.Nil(t, rows[2]["carried"])
		for _, s := range []string{spine, out} {
			require.Contains(t, w.run("snapshot", "verify", made.ID, "--spine", s), "each value the same", "%s, %s", from, s)
		}
		show := w.run("snapshot", "show", made.ID)
		require.Contains(t, show, "array<float32>")
		require.Contains(t, show, "of arrays only nulls are counted")
		var seen struct {
			Columns []struct {
				Name, Type string
				Nulls      int64
			}
		}
		w.json(&seen, "snapshot", "show", made.ID)
		for k, f := range listFeatures {
			require.Equal(t, f.Type.String(), seen.Columns[k].Type)
			require.EqualValues(t, 2, seen.Columns[k].Nulls)
		}

		export := filepath.Join(dir, "export."+from)
		w.run("export", "--service", view+"_model", "--out", export)
		newest := map[any]map[string]any{}
		for _, row := range jsonRows(t, export, types) {
			newest[row["id"]] = row
		}
		for _, k := range []int{1, 2, 3} {
			for _, f := range listFeatures {
				require.Equal(t, facts[k][f.Name], newest[facts[k]["id"]][f.Name], "%s of %s in %s", f.Name, facts[k]["id"], export)
			}
		}

		var shown []map[string]any
		w.json(&shown, "table", "rows", "--view", view)
		require.Len(t, shown, 4)
		var tags []any
		for _, row := range shown {
			tags = append(tags, row["tags"])
		}
		require.ElementsMatch(t, []any{[]any{"x", "a,\"b\"\n", ""}, []any{}, nil, []any{"é"}}, tags)
		require.Contains(t, w.run("table", "rows", "--view", view), `["é"]`)
	}
	require.Len(t, hashes, 1, "whatever it came from, wherever it went")
}

// fileOfArrow writes a batch as it is.
func fileOfArrow(t *testing.T, path string, schema *arrow.Schema, rec arrow.RecordBatch) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(schema))
	require.NoError(t, err)
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// TestInferArrays: a file with lists needs no definitions; a list with a null in it holds
// back its row.
func TestInferArrays(t *testing.T) {
	w := start(t, testConfig(t))
	for ext, file := range listFiles(t) {
		view := "guess_" + ext
		out := w.run("import", "--view", view, "--infer", "--key", "id", "--time", "at", "--yes", file)
		float, raw := "float32", "bytes"
		if ext == "csv" || ext == "jsonl" {
			float, raw = "float64", "string" // a text does not tell
		}
		for _, f := range []string{"{name: vec, type: array<" + float + ">}", "{name: tags, type: array<string>}", "{name: n, type: array<int64>}",
			"{name: ok, type: array<bool>}", "{name: seen, type: array<timestamp>}", "{name: raw, type: array<" + raw + ">}", "{name: x, type: int64}"} {
			require.Contains(t, out, f, ext)
		}
		var shown []map[string]any
		w.json(&shown, "table", "rows", "--view", view)
		require.Len(t, shown, 4, ext)
		var vec []any
		for _, row := range shown {
			vec = append(vec, row["vec"])
		}
		require.ElementsMatch(t, []any{[]any{0.5, -1.25, 3.0}, []any{}, nil, []any{1.0}}, vec, ext)
	}

	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "at", Type: feature.Timestamp.Arrow()},
		{Name: "e", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float64), Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i, id := range []string{"a", "b", "c"} {
		b.Field(0).(*array.StringBuilder).Append(id)
		b.Field(1).(*array.TimestampBuilder).Append(1767225600000000)
		e := b.Field(2).(*array.FixedSizeListBuilder)
		if i == 2 {
			e.AppendNull()
			continue
		}
		e.Append(true)
		e.ValueBuilder().(*array.Float64Builder).Append(0.5)
		if i == 1 {
			e.ValueBuilder().AppendNull()
		} else {
			e.ValueBuilder().(*array.Float64Builder).Append(1.5)
		}
	}
	path := filepath.Join(t.TempDir(), "nulls.arrow")
	rec := b.NewRecordBatch()
	fileOfArrow(t, path, schema, rec)
	w.apply(strings.Replace(listManifest("some"), "features: [{name: vec", "features: [{name: e, type: array<float32>}, {name: vec", 1))
	got := w.landed(0, "--view", "some", path)
	require.EqualValues(t, 2, got[0].Rows)
	require.EqualValues(t, 1, got[0].Quarantined)
	out := w.run("import", "--view", "new", "--infer", "--key", "id", "--time", "at", "--yes", path)
	require.Contains(t, out, "{name: e, type: array<float64>}")
	require.Contains(t, out, "e: 1 list with an element that is null: events with such a list go to quarantine")
	var shown []map[string]any
	w.json(&shown, "table", "rows", "--view", "new")
	require.Len(t, shown, 2)

	// Carried along by a spine it is JSON text, as in a CSV.
	fields := schema.Fields()
	fields[1].Name, fields[2].Name = "event_timestamp", "carried"
	carried, set := filepath.Join(t.TempDir(), "spine.arrow"), filepath.Join(t.TempDir(), "set.csv")
	fileOfArrow(t, carried, arrow.NewSchema(fields, nil), array.NewRecordBatch(arrow.NewSchema(fields, nil), rec.Columns(), rec.NumRows()))
	var made struct {
		ID string `json:"id"`
	}
	w.json(&made, "snapshot", "create", "--service", "some_model", "--spine", carried, "--out", set)
	var texts []any
	for _, row := range jsonRows(t, set, map[string]feature.Type{"carried": feature.String}) {
		texts = append(texts, row["carried"])
	}
	require.Equal(t, []any{"[0.5,1.5]", "[0.5,null]", nil}, texts)
	require.Contains(t, w.run("snapshot", "verify", made.ID, "--spine", carried), "each value the same")

	spine := fileOf(t, "spine.jsonl", `{"id":["a"],"event_timestamp":"2026-01-02T00:00:00Z"}`+"\n")
	code, _, errs := w.try("snapshot", "create", "--service", "some_model", "--spine", spine, "--out", filepath.Join(t.TempDir(), "x.csv"))
	require.NotZero(t, code)
	require.Contains(t, errs, `"id"`)
	require.Contains(t, errs, "joins by string")
}
