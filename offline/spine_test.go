package offline_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// oneFact is a service over one view with one row: id 7, known and happened at
// 2026-01-01T00:00:00Z, x = 1.5.
func oneFact(t testing.TB, ttl feature.Duration) (*feature.Service, []offline.TableAt) {
	v := makeView("v", ttl, []feature.Field{field("id", feature.Int64)}, field("x", feature.Float64))
	table := openTable(t, v)
	at := int64(1767225600_000000)
	appendFiles(t, table, []offline.File{writeFile(t, table, "a", []fact{{
		keys: []any{int64(7)}, stamp: feature.Stamp{Event: at, Known: at}, values: []any{1.5},
	}}, true, true, 10, 100)})
	return makeService(t, v), []offline.TableAt{{Table: table}}
}

func csvSpine(t testing.TB, svc *feature.Service, text string) *tabular.Reader {
	path := filepath.Join(t.TempDir(), "spine.csv")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	r, err := tabular.Open(context.Background(), path, tabular.ReadOptions{Types: offline.KeyTypes(svc)})
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func joinColumn(t testing.TB, req offline.JoinRequest, name string) ([]any, offline.JoinResult, error) {
	var got []any
	res, err := offline.Join(context.Background(), req, func(rec arrow.RecordBatch) error {
		at := rec.Schema().FieldIndices(name)
		require.Len(t, at, 1)
		for i := range int(rec.NumRows()) {
			got = append(got, cellAny(rec.Column(at[0]), i))
		}
		return nil
	})
	return got, res, err
}

func TestSpineTimes(t *testing.T) {
	svc, tables := oneFact(t, feature.Duration(3600e9))
	for _, c := range []struct{ name, text, time, unit string }{
		{"rfc3339", "id,event_timestamp\n7,2026-01-01T01:00:00+01:00\n7,2025-12-31T23:59:59.999999Z\n", "", ""},
		{"naive is utc", "id,t\n7,2026-01-01 00:00:00\n7,2025-12-31 23:59:59.999999\n", "t", ""},
		{"dates", "id,t\n7,2026-01-01\n7,2025-12-31\n", "t", ""},
		{"seconds", "id,t\n7,1767225600\n7,1767225599\n", "t", "s"},
		{"milliseconds", "id,t\n7,1767225600000\n7,1767225599999\n", "t", "ms"},
		{"ttl, both ends", "id,t\n7,1767229200000000\n7,1767229200000001\n", "t", "us"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, res, err := joinColumn(t, offline.JoinRequest{Service: svc, Tables: tables,
				Spine: offline.Spine{Rows: csvSpine(t, svc, c.text), Time: c.time, Unit: c.unit}}, "x")
			require.NoError(t, err)
			require.Equal(t, []any{1.5, nil}, got)
			require.Equal(t, []int64{1}, res.Nulls)
		})
	}
}

func TestSpineNulls(t *testing.T) {
	svc, tables := oneFact(t, 0)
	got, res, err := joinColumn(t, offline.JoinRequest{Service: svc, Tables: tables,
		Spine: offline.Spine{Rows: csvSpine(t, svc, "id,event_timestamp,label\n7,,a\n,2026-01-02T00:00:00Z,b\n7,2026-01-02T00:00:00Z,c\n")}}, "x")
	require.NoError(t, err)
	require.Equal(t, []any{nil, nil, 1.5}, got)
	require.Equal(t, int64(1), res.NullTimes)
	require.Equal(t, int64(3), res.Rows)
}

func TestSpineFaults(t *testing.T) {
	svc, tables := oneFact(t, 0)
	for _, c := range []struct{ name, text, unit, want string }{
		{"everything at once", "customer,when\n1,2\n", "", `spine column "id": is missing: view v joins by it (int64)`},
		{"and the time", "customer,when\n1,2\n", "", `spine column "event_timestamp": the column of row times is missing`},
		{"unit", "id,event_timestamp\n1,1767225600\n", "", `a number needs a unit`},
		{"text that is no time", "id,event_timestamp\n1,2026-01-01\n2,yesterday\n", "", `row 2: "yesterday" (utf8) is not a timestamp`},
		{"float time", "id,event_timestamp\n1,1.5\n", "s", "is float64, not a time"},
		{"wrong unit", "id,event_timestamp\n1,1767225600000000\n", "ms", "outside of the years 1 to 9999"},
		{"a feature's name", "id,event_timestamp,x\n1,2026-01-01,4\n", "", `service svc has a feature of this name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := joinColumn(t, offline.JoinRequest{Service: svc, Tables: tables,
				Spine: offline.Spine{Rows: csvSpine(t, svc, c.text), Unit: c.unit}}, "x")
			require.ErrorContains(t, err, c.want)
			require.Equal(t, feature.Invalid, feature.KindOf(err))
		})
	}
}

// TestSpineKeyTypes: dataframes bring keys in other widths, and integers with
// nulls as floats; texts are never taken for numbers.
func TestSpineKeyTypes(t *testing.T) {
	svc, tables := oneFact(t, 0)
	spine := func(build func(b array.Builder), typ arrow.DataType) *batches {
		schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: typ, Nullable: true}, {Name: "event_timestamp", Type: arrow.FixedWidthTypes.Timestamp_ns}}, nil)
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		build(rb.Field(0))
		rb.Field(1).(*array.TimestampBuilder).Append(1767225600_000000_999)
		return &batches{schema: schema, recs: []arrow.RecordBatch{rb.NewRecordBatch()}}
	}
	ask := func(b *batches) ([]any, error) {
		got, _, err := joinColumn(t, offline.JoinRequest{Service: svc, Tables: tables, Spine: offline.Spine{Rows: b}}, "x")
		return got, err
	}
	for name, b := range map[string]*batches{
		"uint8":   spine(func(b array.Builder) { b.(*array.Uint8Builder).Append(7) }, arrow.PrimitiveTypes.Uint8),
		"int32":   spine(func(b array.Builder) { b.(*array.Int32Builder).Append(7) }, arrow.PrimitiveTypes.Int32),
		"float64": spine(func(b array.Builder) { b.(*array.Float64Builder).Append(7) }, arrow.PrimitiveTypes.Float64),
	} {
		got, err := ask(b)
		require.NoError(t, err, name)
		require.Equal(t, []any{1.5}, got, name)
	}
	_, err := ask(spine(func(b array.Builder) { b.(*array.Float64Builder).Append(7.5) }, arrow.PrimitiveTypes.Float64))
	require.ErrorContains(t, err, `spine column "id": row 1: "7.5" (float64) is not an int64`)
	_, err = ask(spine(func(b array.Builder) { b.(*array.StringBuilder).Append("7") }, arrow.BinaryTypes.String))
	require.ErrorContains(t, err, "is utf8, but view v joins by int64 (cast the column to int64)")
	got, err := ask(spine(func(b array.Builder) { b.AppendNull() }, arrow.Null))
	require.NoError(t, err)
	require.Equal(t, []any{nil}, got)
}

// TestSpineTextKeys: identifiers made of digits are integers in a CSV file that
// nobody declared, and find the rows of a view whose key is a string all the same.
func TestSpineTextKeys(t *testing.T) {
	v := makeView("v", 0, []feature.Field{field("id", feature.String)}, field("x", feature.Float64))
	table := openTable(t, v)
	var facts []fact
	for i, k := range []string{"7", "007", "-12"} {
		facts = append(facts, fact{keys: []any{k}, stamp: feature.Stamp{Event: 1, Known: 1, Offset: int64(i)}, values: []any{float64(i)}})
	}
	appendFiles(t, table, []offline.File{writeFile(t, table, "a", facts, true, true, 10, 100)})
	svc := makeService(t, v)
	for text, want := range map[string][]any{
		"id,t\n7,2\n-12,2\n": {0.0, 2.0},
		"id,t\n7,2\n007,2\n": {0.0, 1.0},
	} {
		path := filepath.Join(t.TempDir(), "spine.csv")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		r, err := tabular.Open(context.Background(), path, tabular.ReadOptions{})
		require.NoError(t, err)
		got, _, err := joinColumn(t, offline.JoinRequest{Service: svc, Tables: []offline.TableAt{{Table: table}}, Spine: offline.Spine{Rows: r, Time: "t", Unit: "us"}}, "x")
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, r.Close())
	}
}
