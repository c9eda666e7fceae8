package tabular

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

var ctx = context.Background()

func textFile(t testing.TB, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// readAll returns the column names with types and all rows.
func readAll(t testing.TB, path string, o ReadOptions) (schema []string, rows [][]any, err error) {
	r, err := Open(ctx, path, o)
	if err != nil {
		return nil, nil, err
	}
	defer func() { require.NoError(t, r.Close()) }()
	for _, f := range r.Schema().Fields() {
		ft, exact := TypeOf(f.Type)
		require.True(t, exact)
		schema = append(schema, f.Name+":"+ft.String())
	}
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return schema, rows, nil
		}
		if err != nil {
			return schema, rows, err
		}
		for i := range int(rec.NumRows()) {
			var row []any
			for _, c := range rec.Columns() {
				row = append(row, value(c, i))
			}
			rows = append(rows, row)
		}
		rec.Release()
	}
}

func value(c arrow.Array, i int) any {
	if c.IsNull(i) {
		return nil
	}
	switch c := c.(type) {
	case *array.Boolean:
		return c.Value(i)
	case *array.Int32:
		return c.Value(i)
	case *array.Int64:
		return c.Value(i)
	case *array.Float32:
		return c.Value(i)
	case *array.Float64:
		if math.IsNaN(c.Value(i)) {
			return "NaN"
		}
		return c.Value(i)
	case *array.Timestamp:
		return int64(c.Value(i))
	case *array.String:
		return c.Value(i)
	case *array.Binary:
		return string(c.Value(i))
	case *array.List:
		list := []any{}
		from, to := c.ValueOffsets(i)
		for k := from; k < to; k++ {
			list = append(list, value(c.ListValues(), int(k)))
		}
		return list
	}
	panic(c.DataType())
}

var everyType = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}

func randomBatch(r *rand.Rand, schema *arrow.Schema, rows int) arrow.RecordBatch {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer rb.Release()
	for range rows {
		for i := range schema.NumFields() {
			if r.IntN(5) == 0 {
				rb.Field(i).AppendNull()
				continue
			}
			appendRandom(r, rb.Field(i))
		}
	}
	return rb.NewRecordBatch()
}

func appendRandom(r *rand.Rand, to array.Builder) {
	switch b := to.(type) {
	case *array.BooleanBuilder:
		b.Append(r.IntN(2) == 0)
	case *array.Int32Builder:
		b.Append(int32(r.Uint32()))
	case *array.Int64Builder:
		b.Append(int64(r.Uint64()) >> r.IntN(64))
	case *array.Float32Builder:
		b.Append(float32(r.NormFloat64() * math.Pow(10, float64(r.IntN(60)-30))))
	case *array.Float64Builder:
		b.Append([]float64{r.NormFloat64() * math.Pow(10, float64(r.IntN(600)-300)), float64(r.IntN(9)), math.MaxFloat64, math.SmallestNonzeroFloat64}[r.IntN(4)])
	case *array.StringBuilder:
		b.Append([]string{"", "a", "é", "a,b", "\"q\"", "two\nlines", "\r\n", " x ", "NA", "\\", "\u0000", "007"}[r.IntN(12)])
	case *array.BinaryBuilder:
		b.Append([]byte{0, 0xff, byte(r.IntN(256))}[:1+r.IntN(3)])
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(feature.MinTime + r.Int64N(feature.MaxTime/2-feature.MinTime/2)*2))
	case *array.ListBuilder:
		b.Append(true)
		for range r.IntN(4) {
			appendRandom(r, b.ValueBuilder())
		}
	}
}

// scalarsAndArrays are all types there are.
func scalarsAndArrays() (all []feature.Type) {
	for _, t := range everyType {
		all = append(all, t, feature.Array(t))
	}
	return all
}

// TestRoundTrip: what is written in any format is read back as it was.
func TestRoundTrip(t *testing.T) {
	var fields []arrow.Field
	types := map[string]feature.Type{}
	all := scalarsAndArrays()
	for i := len(all) - 1; i >= 0; i-- { // not in the order of names
		name := all[i].String()
		fields = append(fields, arrow.Field{Name: name, Type: all[i].Exchange(), Nullable: true})
		types[name] = all[i]
	}
	schema := arrow.NewSchema(fields, nil)
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, name := range []string{"f.csv", "f.tsv", "f.jsonl", "f.parquet", "f.arrow"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			w, err := Create(path, schema, WriteOptions{RowGroup: 50})
			require.NoError(t, err)
			var want [][]any
			for range 4 {
				rec := randomBatch(r, schema, r.IntN(90))
				require.NoError(t, w.Write(rec))
				for i := range int(rec.NumRows()) {
					var row []any
					for _, c := range rec.Columns() {
						row = append(row, value(c, i))
					}
					want = append(want, row)
				}
			}
			_, err = os.Stat(path)
			require.ErrorIs(t, err, os.ErrNotExist, "nothing to see before Close")
			require.NoError(t, w.Close())
			require.Equal(t, int64(len(want)), w.Rows())
			names, got, err := readAll(t, path, ReadOptions{Types: types, BatchRows: 33})
			require.NoError(t, err)
			require.Len(t, names, len(all))
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, want[i], got[i], "seed %d, row %d", seed, i)
			}
			left, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, left, 1)
		})
	}
}

// Other writers' files say more in their schemas than ours; batches are of the
// reader's schema all the same, or no IPC stream would take them.
func TestBatchesHaveTheReadersSchema(t *testing.T) {
	meta := arrow.MetadataFrom(map[string]string{"owner": "someone"})
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Metadata: meta}, {Name: "at", Type: feature.Timestamp.Arrow(), Nullable: true}}, &meta)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(7)
	b.Field(1).(*array.TimestampBuilder).Append(8)
	rec := b.NewRecordBatch()
	defer rec.Release()
	var asParquet, asArrow bytes.Buffer
	pw, err := pqarrow.NewFileWriter(schema, &asParquet, nil, pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	require.NoError(t, pw.Write(rec))
	require.NoError(t, pw.Close())
	aw := ipc.NewWriter(&asArrow, ipc.WithSchema(schema))
	require.NoError(t, aw.Write(rec))
	require.NoError(t, aw.Close())
	for name, content := range map[string]string{"a.parquet": asParquet.String(), "a.arrow": asArrow.String()} {
		r, err := Open(ctx, textFile(t, name, content), ReadOptions{})
		require.NoError(t, err, name)
		got, err := r.Read()
		require.NoError(t, err, name)
		require.True(t, got.Schema().Equal(r.Schema()), "%s: %s of %s", name, got.Schema(), r.Schema())
		require.EqualValues(t, 8, got.Column(1).(*array.Timestamp).Value(0), name)
		got.Release()
		require.NoError(t, r.Close(), name)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.parquet")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)
	w, err := Create(path, schema, WriteOptions{})
	require.NoError(t, err)
	require.NoError(t, w.Write(randomBatch(rand.New(rand.NewPCG(1, 1)), arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil), 0)))
	w.Abort()
	w.Abort()
	require.NoError(t, w.Close(), "no effect after Abort")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(old))
}

func TestInference(t *testing.T) {
	path := textFile(t, "in.csv", "\xef\xbb\xbfint,float,mixed,zip,big,ts,date,flag,na,text,,allnull\r\n"+
		"1,1.5,1,01234,12345678901234567890,2026-01-02 03:04:05,2026-01-02,true,NA,é,x,\r\n"+
		"-2,3,a,1,1,2026-01-02T03:04:05.25+01:00,2026-01-03,False,7,\"a \"\"b\"\"\nc\",y,\r\n\r\n")
	schema, rows, err := readAll(t, path, ReadOptions{Nulls: []string{"NA"}})
	require.NoError(t, err)
	require.Equal(t, []string{"int:int64", "float:float64", "mixed:string", "zip:string", "big:string", "ts:timestamp",
		"date:string", "flag:bool", "na:int64", "text:string", "column_11:string", "allnull:string"}, schema)
	require.Equal(t, [][]any{
		{int64(1), 1.5, "1", "01234", "12345678901234567890", int64(1767323045000000), "2026-01-02", true, nil, "é", "x", nil},
		{int64(-2), 3.0, "a", "1", "1", int64(1767319445250000), "2026-01-03", false, int64(7), "a \"b\"\nc", "y", nil},
	}, rows)

	path = textFile(t, "in.jsonl", `{"a":1,"b":"x","c":{"d":[1]},"t":"2026-01-02T03:04:05Z"}`+"\n\n"+` {"b":"y\n","a":2.5,"e":true,"t":null} `+"\n")
	schema, rows, err = readAll(t, path, ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"a:float64", "b:string", "c:string", "t:timestamp", "e:bool"}, schema)
	require.Equal(t, [][]any{
		{1.0, "x", `{"d":[1]}`, int64(1767323045000000), nil},
		{2.5, "y\n", nil, nil, true},
	}, rows)
}

func TestReadErrors(t *testing.T) {
	x := map[string]feature.Type{"x": feature.Int64}
	for _, c := range []struct {
		file, text string
		want       string
	}{
		{"a.csv", "", "the file is empty"},
		{"a.csv", "a,b,a\n", `line 1: column "a" is there twice`},
		{"a.csv", "x,y\n1,2\n1\n", "line 3: the row has 1 values, the header names 2 columns"},
		{"a.csv", "x,y\n\"a\nb\",1\n4,\"2\" 3\n", `line 4: text follows a closing quote`},
		{"a.csv", "x,y\n1,\"2\n", `line 2: a quoted value is not closed`},
		{"a.csv", "y,x\n\"a\nb\",1\n4,1.5\n", `line 4, column "x": "1.5" is not an int64`},
		{"a.csv", "x\n9223372036854775808\n", `"9223372036854775808" is not an int64`},
		{"a.jsonl", "{\"x\":1}\n{\"x\":\"1\"}\n", `line 2, column "x": "\"1\"" is not an int64`},
		{"a.jsonl", "{\"x\":1}\n{\"x\":1,\"x\":2}\n", `line 2: member "x" is there twice`},
		{"a.jsonl", "{\"x\":1}\n\n{\"x\":\n", `line 3: unexpected end of JSON input`},
		{"a.jsonl", "[1]\n", `line 1: the line is not an object`},
		{"a.parquet", "PAR1 not really", "is it a Parquet file, and whole?"},
		{"a.arrow", "ARROW1 not really", "is it an Arrow file, and whole?"},
		{"a.arrow", "neither", "is it an Arrow file or stream?"},
		{"a.xls", "", `the file's ending "xls" does not tell its format`},
		{"a.csv.gz", "a,b\n1,2\n3,4\n5,6\n", "gzip: invalid header"},
	} {
		_, _, err := readAll(t, textFile(t, c.file, c.text), ReadOptions{Types: x})
		require.ErrorContains(t, err, c.want, "%q", c.text)
		require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
	}
	_, _, err := readAll(t, filepath.Join(t.TempDir(), "none.csv"), ReadOptions{})
	require.Equal(t, feature.NotFound, feature.KindOf(err))
}

// TestConvert: other Arrow types come in as feature types, value for value.
func TestConvert(t *testing.T) {
	js := `[{"i8":-1,"u32":4294967295,"f16":1.5,"d":"2026-01-02","ts":"2026-01-02 03:04:05","large":"x","list":[1,2],"nested":[[1],null],"st":{"a":1},"dict":"k"},
		{"i8":null,"u32":0,"f16":null,"d":null,"ts":null,"large":null,"list":null,"nested":null,"st":null,"dict":null}]`
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "i8", Type: arrow.PrimitiveTypes.Int8, Nullable: true}, {Name: "u32", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "f16", Type: arrow.FixedWidthTypes.Float16, Nullable: true}, {Name: "d", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "ts", Type: &arrow.TimestampType{Unit: arrow.Second}, Nullable: true}, {Name: "large", Type: arrow.BinaryTypes.LargeString, Nullable: true},
		{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int32), Nullable: true},
		{Name: "nested", Type: arrow.ListOf(arrow.ListOf(arrow.PrimitiveTypes.Int32)), Nullable: true}, {Name: "st", Type: arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64}), Nullable: true},
		{Name: "dict", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true},
	}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, readerOf(js))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "x.arrows")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := ipc.NewWriter(f, ipc.WithSchema(schema))
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	names, rows, err := readAll(t, path, ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"i8:int32", "u32:int64", "f16:float32", "d:timestamp", "ts:timestamp", "large:string", "list:array<int32>", "nested:string", "st:string", "dict:string"}, names)
	require.Equal(t, [][]any{
		{int32(-1), int64(4294967295), float32(1.5), int64(1767312000000000), int64(1767323045000000), "x", []any{int32(1), int32(2)}, "[[1],null]", `{"a":1}`, "k"},
		{nil, int64(0), nil, nil, nil, nil, nil, nil, nil, nil},
	}, rows)

	// As events, nested values stay nested and times are written as the source wants them.
	r, err := OpenRows(ctx, path, RowOptions{Times: map[string]string{"ts": "unix_ms"}})
	require.NoError(t, err)
	defer r.Close()
	row, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, `{"i8":-1,"u32":4294967295,"f16":1.5,"d":"2026-01-02T00:00:00Z","ts":1767323045000,"large":"x","list":[1,2],"nested":[[1],null],"st":{"a":1},"dict":"k"}`, string(row.Payload))
}

func TestParseTimeAgainstStandard(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20000 {
		want := feature.MinTime + int64(r.Uint64N(uint64(feature.MaxTime-feature.MinTime)))
		zone := time.FixedZone("", (r.IntN(47*30)-23*30)*60)
		s := feature.Time(want).In(zone).Format("2006-01-02T15:04:05.999999999Z07:00")
		if s[4] != '-' { // the zone moved it out of four-digit years
			continue
		}
		got, ok := ParseTime([]byte(s))
		require.True(t, ok, "seed %d: %s", seed, s)
		require.Equal(t, want, got, "seed %d: %s", seed, s)
	}
	for s, want := range map[string]int64{
		"2026-01-02": 1767312000000000, "2026-01-02 03:04": 1767323040000000, "2026-01-02T03:04:05.1234567Z": 1767323045123456,
		"2026-01-02T03:04:05+0100": 1767319445000000, "2026-01-02T03:04:05-01": 1767326645000000, "1969-12-31T23:59:59.999999Z": -1,
	} {
		got, ok := ParseTime([]byte(s))
		require.True(t, ok, s)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "2026", "2026-13-01", "2025-02-29", "0000-01-01", "2026-01-02T", "2026-01-02T25:00:00Z", "2026-01-02T03:04:60Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05 Z", "2026-01-02T03:04:05+24:00", "yesterday at noon"} {
		_, ok := ParseTime([]byte(s))
		require.False(t, ok, s)
	}
}

func TestCancel(t *testing.T) {
	text := "x\n" + strings.Repeat("12345\n", 50000)
	c, cancel := context.WithCancel(ctx)
	r, err := Open(c, textFile(t, "a.csv", text), ReadOptions{BatchRows: 100})
	require.NoError(t, err)
	_, err = r.Read()
	require.NoError(t, err)
	cancel()
	_, err = r.Read()
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
	_, err = Open(c, textFile(t, "a.csv", text), ReadOptions{})
	require.ErrorIs(t, err, context.Canceled)
}
