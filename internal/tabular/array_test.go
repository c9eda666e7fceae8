package tabular

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// fromJSON is a column of an Arrow type, its values as JSON has them.
func fromJSON(t testing.TB, typ arrow.DataType, js string) arrow.Array {
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(js))
	require.NoError(t, err)
	return a
}

// values are a column's, arrays in their packed form as lists.
func values(t testing.TB, typ feature.Type, a arrow.Array) (out []any) {
	if typ.IsArray() && a.DataType().ID() == arrow.BINARY {
		l, err := feature.ToLists(typ, a.(*array.Binary))
		require.NoError(t, err)
		a = l
	}
	for i := range a.Len() {
		out = append(out, value(a, i))
	}
	return out
}

// A list of every kind that Arrow has becomes the same array, whole and as a slice;
// elements are converted by the rules of scalars.
func TestConvertLists(t *testing.T) {
	i32, f64 := arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float64
	js := `[[1,2],null,[],[3,4],[5,6]]`
	want := []any{[]any{1.0, 2.0}, nil, []any{}, []any{3.0, 4.0}, []any{5.0, 6.0}}
	for _, typ := range []arrow.DataType{
		arrow.ListOf(i32), arrow.ListOf(f64), arrow.LargeListOf(f64), arrow.LargeListOf(arrow.PrimitiveTypes.Uint8), arrow.ListViewOf(i32), arrow.LargeListViewOf(f64),
		arrow.ListOf(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.PrimitiveTypes.Int64}),
		arrow.FixedSizeListOf(2, i32), arrow.FixedSizeListOf(2, f64),
	} {
		js, want := js, want
		if typ.ID() == arrow.FIXED_SIZE_LIST { // the elements of a null one are null
			js, want = `[[1,2],null,[0,-7],[3,4],[5,6]]`, slices.Concat(want[:2], []any{[]any{0.0, -7.0}}, want[3:])
		}
		ft, _ := TypeOf(typ)
		require.True(t, ft.IsArray(), "%s", typ)
		lists := fromJSON(t, typ, js)
		to := feature.Array(feature.Float64)
		for from := range 5 {
			part := array.NewSlice(lists, int64(from), 5)
			got, err := Convert(part, to)
			require.NoError(t, err, "%s", typ)
			require.Equal(t, want[from:], values(t, to, got), "%s", typ)
			l, err := Lists(part, to)
			require.NoError(t, err, "%s", typ)
			require.True(t, arrow.TypeEqual(l.DataType(), to.Exchange()), "%s", l.DataType())
			require.Equal(t, want[from:], values(t, to, l), "%s", typ)
		}
	}
	// Texts hold JSON; nothing but nulls is fine, whatever it is.
	for _, c := range []arrow.Array{fromJSON(t, arrow.BinaryTypes.String, `["[\"2026-01-02T03:04:05Z\"]",null," [ ] "]`),
		fromJSON(t, arrow.ListOf(arrow.FixedWidthTypes.Timestamp_s), `[["2026-01-02 03:04:05Z"],null,[]]`)} {
		got, err := Convert(c, feature.Array(feature.Timestamp))
		require.NoError(t, err)
		require.Equal(t, []any{[]any{int64(1767323045000000)}, nil, []any{}}, values(t, feature.Array(feature.Timestamp), got))
	}
	for _, typ := range []arrow.DataType{arrow.Null, arrow.BinaryTypes.Binary, arrow.ListOf(i32), arrow.PrimitiveTypes.Int8} {
		got, err := Convert(array.MakeArrayOfNull(memory.DefaultAllocator, typ, 3), feature.Array(feature.String))
		require.NoError(t, err, "%s", typ)
		require.Equal(t, []any{nil, nil, nil}, values(t, feature.Array(feature.String), got))
	}
	for typ, want := range map[arrow.DataType]feature.Type{
		arrow.ListOf(arrow.ListOf(i32)): feature.String, arrow.MapOf(i32, i32): feature.String, arrow.ListOf(arrow.StructOf()): feature.String,
		arrow.ListOf(arrow.Null): feature.String, arrow.ListOf(arrow.PrimitiveTypes.Int16): feature.Array(feature.Int32),
		arrow.LargeListOf(arrow.BinaryTypes.LargeString): feature.Array(feature.String), arrow.ListOfNonNullable(arrow.BinaryTypes.Binary): feature.Array(feature.Bytes),
	} {
		got, _ := TypeOf(typ)
		require.Equal(t, want, got, "%s", typ)
	}
}

func TestConvertListsRefused(t *testing.T) {
	ints := arrow.ListOf(arrow.PrimitiveTypes.Int64)
	for _, c := range []struct {
		in   arrow.Array
		to   feature.Type
		row  int
		want string
	}{
		{fromJSON(t, ints, `[[1],[2,null]]`), feature.Array(feature.Int64), 1, "element [1] is null, and an array's elements may not be"},
		{fromJSON(t, arrow.LargeListOf(arrow.PrimitiveTypes.Int64), `[null,[1],[null]]`), feature.Array(feature.Float64), 2, "element [0] is null, and an array's elements may not be"},
		{fromJSON(t, ints, `[[1],[],[7,2147483648]]`), feature.Array(feature.Int32), 2, `element [1], "2147483648", is not an int32`},
		{fromJSON(t, arrow.ListOf(arrow.PrimitiveTypes.Float64), `[[1.5]]`), feature.Array(feature.Int64), 0, `element [0], "1.5", is not an int64`},
		{fromJSON(t, ints, `[[9007199254740993]]`), feature.Array(feature.Float64), 0, `element [0], "9007199254740993", is not a float64`},
		{fromJSON(t, arrow.BinaryTypes.String, `["[1]","[1,null]"]`), feature.Array(feature.Int64), 1, "element [1] is null, and an array's elements may not be"},
		{fromJSON(t, arrow.BinaryTypes.String, `["[1","[1]"]`), feature.Array(feature.Int64), 0, `"[1" (utf8) is not an array<int64> (a list, in text a JSON array)`},
		{fromJSON(t, arrow.BinaryTypes.String, `["{}"]`), feature.Array(feature.String), 0, `"{}" (utf8) is not an array<string> (a list, in text a JSON array)`},
		{fromJSON(t, arrow.BinaryTypes.Binary, `["AAAAAAAAAAA="]`), feature.Array(feature.Int64), 0, `"AAAAAAAAAAA=" (binary) is not an array<int64> (a list, in text a JSON array)`},
		{fromJSON(t, ints, `[null,[1,2]]`), feature.Int64, 1, `"[1,2]" (list<item: int64, nullable>) is not an int64`},
		{fromJSON(t, arrow.PrimitiveTypes.Int64, `[7]`), feature.Array(feature.Int64), 0, `"7" (int64) is not an array<int64> (a list, in text a JSON array)`},
	} {
		_, err := Convert(c.in, c.to)
		var ce *ConvertError
		require.ErrorAs(t, err, &ce, "%s", c.in)
		require.Equal(t, c.row, ce.Row, "%s", c.in)
		require.Equal(t, c.want, err.Error())
	}
}

func payloads(t *testing.T, path string, o RowOptions) (out []string) {
	r, err := OpenRows(ctx, path, o)
	require.NoError(t, err)
	defer r.Close()
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		require.NoError(t, row.Err)
		out = append(out, string(row.Payload))
	}
}

// Files say where an element is null; a row of an import stands on its own.
func TestNullElements(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "e", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true}}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"id":1,"e":[0.5]},{"id":2,"e":[0.5,null]},{"id":3,"e":null},{"id":4,"e":[]}]`))
	require.NoError(t, err)
	var asParquet, asArrow bytes.Buffer
	pw, err := pqarrow.NewFileWriter(schema, &asParquet, nil, pqarrow.DefaultWriterProps())
	require.NoError(t, err)
	require.NoError(t, pw.Write(rec))
	require.NoError(t, pw.Close())
	aw := ipc.NewWriter(&asArrow, ipc.WithSchema(schema))
	require.NoError(t, aw.Write(rec))
	require.NoError(t, aw.Close())
	text := "{\"id\":1,\"e\":[0.5]}\n{\"id\":2,\"e\":[0.5,null]}\n{\"id\":3,\"e\":null}\n{\"id\":4,\"e\":[]}\n"
	for _, f := range []struct{ name, content, want string }{
		{"a.parquet", asParquet.String(), `row 2, column "e": element [1] is null`},
		{"a.arrow", asArrow.String(), `row 2, column "e": element [1] is null`},
		{"a.jsonl", text, `line 2, column "e": element [1] is null`},
		{"a.csv", "id,e\n1,[0.5]\n2,\"[0.5,null]\"\n3,\n4,[]\n", `line 3, column "e": element [1] is null`},
	} {
		path := textFile(t, f.name, f.content)
		types := map[string]feature.Type{"e": feature.Array(feature.Float32), "id": feature.Int64}
		_, _, err := readAll(t, path, ReadOptions{Types: types})
		require.ErrorContains(t, err, f.want, f.name)
		require.Equal(t, feature.Invalid, feature.KindOf(err))
		var got string
		for _, row := range payloads(t, path, RowOptions{Types: types}) {
			got += row + "\n"
		}
		require.Equal(t, text, got, f.name)
		_, ok, err := OpenColumns(ctx, path, RowOptions{Types: types})
		require.NoError(t, err)
		require.False(t, ok, f.name)
	}
	// A text that looks like a list with a null stays one, where nobody said that it is a list.
	_, rows, err := readAll(t, textFile(t, "b.csv", "e\n\"[1,null]\"\n"), ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, [][]any{{"[1,null]"}}, rows)
}

func TestInferArrays(t *testing.T) {
	schema, rows, err := readAll(t, textFile(t, "a.csv", "i,f,s,t,b,log,deep,mixed,empty,half\n"+
		`[1],"[1, 2.5]","[""a,b""]","[""2026-01-02T03:04:05Z""]","[true,false]",[INFO] up,"[[1]]","[1,""x""]",[],[1]`+"\n"+
		`,[],[],[],,"[1]","[2]",[],[],1`+"\n"), ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"i:array<int64>", "f:array<float64>", "s:array<string>", "t:array<timestamp>", "b:array<bool>", "log:string", "deep:string", "mixed:array<string>", "empty:array<string>", "half:string"}, schema)
	require.Equal(t, [][]any{
		{[]any{int64(1)}, []any{1.0, 2.5}, []any{"a,b"}, []any{int64(1767323045000000)}, []any{true, false}, "[INFO] up", "[[1]]", []any{"1", "x"}, []any{}, "[1]"},
		{nil, []any{}, []any{}, []any{}, nil, "[1]", "[2]", []any{}, []any{}, "1"},
	}, rows)
	schema, rows, err = readAll(t, textFile(t, "a.jsonl", `{"i":[1,2],"s":["\n"],"deep":[{}],"half":[1]}`+"\n"+`{"i":[2.5],"s":null,"deep":[1],"half":true}`+"\n"), ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"i:array<float64>", "s:array<string>", "deep:string", "half:string"}, schema)
	require.Equal(t, [][]any{{[]any{1.0, 2.0}, []any{"\n"}, "[{}]", "[1]"}, {[]any{2.5}, nil, "[1]", "true"}}, rows)
	_, _, err = readAll(t, textFile(t, "a.jsonl", `{"i":[1,"x"]}`+"\n"), ReadOptions{Types: map[string]feature.Type{"i": feature.Array(feature.Int64)}})
	require.ErrorContains(t, err, `line 1, column "i": element [1], "\"x\"", is not an int64`)
}

// Rows of lists are events with JSON arrays, whatever kind of list it is, and read
// back as what they were.
func TestListRows(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.LargeListOf(arrow.PrimitiveTypes.Int16), Nullable: true}, {Name: "t", Type: arrow.ListOf(arrow.FixedWidthTypes.Timestamp_ms), Nullable: true},
		{Name: "x", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float64), Nullable: true}, {Name: "s", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
	}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(
		`[{"n":[1,-2],"t":["2026-01-02 03:04:05Z"],"x":[1,0.5],"s":["a\"b",""]},{"n":null,"t":[],"x":null,"s":[]}]`))
	require.NoError(t, err)
	rec.Column(2).(*array.FixedSizeList).ListValues().(*array.Float64).Float64Values()[1] = math.NaN()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	path := textFile(t, "a.arrow", out.String())
	got := payloads(t, path, RowOptions{Times: map[string]string{"t": "unix_ms"}})
	require.Equal(t, `{"n":[1,-2],"t":[1767323045000],"x":[1.0,null],"s":["a\"b",""]}`, got[0])
	require.Equal(t, `{"n":null,"t":[],"x":null,"s":[]}`, got[1])

	csv := textFile(t, "a.csv", "n,s,u,v\n"+`"[1, 2]","[""a""]",[1],[1`+"\n")
	lists := map[string]feature.Type{"n": feature.Array(feature.Int64), "s": feature.Array(feature.String), "v": feature.Array(feature.Int64)}
	require.Equal(t, `{"n":[1, 2],"s":["a"],"u":"[1]","v":"[1"}`, payloads(t, csv, RowOptions{Types: lists})[0])
}

// What is written is what other readers take for lists, elements that may not be null.
func TestArrowFilesHaveLists(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 0))
	var fields []arrow.Field
	for _, typ := range everyType {
		fields = append(fields, arrow.Field{Name: typ.String(), Type: feature.Array(typ).Exchange(), Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	path := filepath.Join(t.TempDir(), "a.arrow")
	w, err := Create(path, schema, WriteOptions{})
	require.NoError(t, err)
	rec := randomBatch(r, schema, 40)
	require.NoError(t, w.Write(rec.NewSlice(7, 40)))
	require.NoError(t, w.Close())
	f, err := openSource(path)
	require.NoError(t, err)
	defer f.close()
	in, err := ipc.NewReader(f.r)
	require.NoError(t, err)
	require.True(t, in.Schema().Equal(schema), "%s", in.Schema())
	for rows := 0; ; {
		if !in.Next() {
			require.Equal(t, 33, rows)
			break
		}
		for i := range int(in.RecordBatch().NumRows()) {
			for k, c := range in.RecordBatch().Columns() {
				require.Equal(t, value(rec.Column(k), 7+rows+i), value(c, i), "seed %d", seed)
			}
		}
		rows += int(in.RecordBatch().NumRows())
	}
	if err := in.Err(); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// Whatever lists are made of, and whatever stands where they are null, each row is what
// Convert makes of its elements alone, or an error that names the first row where it fails.
func TestConvertListsLikeElements(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 0))
	sources := []arrow.DataType{arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64,
		arrow.BinaryTypes.String, arrow.BinaryTypes.LargeBinary, arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Timestamp_us, arrow.FixedWidthTypes.Date32}
	fine, refused := 0, 0
	for range 600 {
		eb := array.NewBuilder(memory.DefaultAllocator, sources[r.IntN(len(sources))])
		nulls := []int{0, 0, 30}[r.IntN(3)] // of 100
		for range 60 {
			switch b := eb.(type) {
			case *array.Int8Builder:
				b.Append(int8(r.IntN(256)))
			case *array.Uint64Builder:
				b.Append(r.Uint64() >> r.IntN(64))
			case *array.LargeStringBuilder:
				b.Append("")
			case *array.Date32Builder:
				b.Append(arrow.Date32(r.IntN(9999)))
			case *array.StringBuilder:
				b.Append([]string{"1", "2.5", "x", "true", "2026-01-02"}[min(r.IntN(40), 4)])
			case *array.BinaryBuilder:
				b.Append([]byte("ab"))
			default:
				appendRandom(r, eb)
			}
		}
		elems := eb.NewArray()
		if nulls > 0 {
			bits := make([]byte, 8)
			n := 0
			for i := range 60 {
				if r.IntN(100) >= nulls {
					bits[i>>3] |= 1 << (i & 7)
				} else {
					n++
				}
			}
			d := elems.Data()
			elems = array.MakeFromData(array.NewData(d.DataType(), 60, append([]*memory.Buffer{memory.NewBufferBytes(bits)}, d.Buffers()[1:]...), nil, n, 0))
		}
		lists := randomLists(r, elems)
		from := r.IntN(lists.Len() + 1)
		part := array.NewSlice(lists, int64(from), int64(from+r.IntN(lists.Len()-from+1))).(array.ListLike)
		to := feature.Array(everyType[r.IntN(len(everyType))])

		var want []any
		bad := -1
		for i := 0; i < part.Len() && bad < 0; i++ {
			if part.IsNull(i) {
				want = append(want, nil)
				continue
			}
			lo, hi := part.ValueOffsets(i)
			own := array.NewSlice(part.ListValues(), lo, hi)
			as, err := Convert(own, to.Elem())
			if err != nil || own.NullN() > 0 {
				bad = i
				continue
			}
			list := []any{}
			for k := range as.Len() {
				list = append(list, value(as, k))
			}
			want = append(want, list)
		}
		got, err := Convert(part, to)
		if bad >= 0 {
			var ce *ConvertError
			require.ErrorAs(t, err, &ce, "seed %d: %s as %s", seed, part, to)
			require.Equal(t, bad, ce.Row, "seed %d: %s as %s: %v", seed, part, to, err)
			refused++
			continue
		}
		require.NoError(t, err, "seed %d: %s as %s", seed, part, to)
		require.Equal(t, want, values(t, to, got), "seed %d: %s as %s", seed, part, to)
		fine++
	}
	require.Greater(t, fine, 100)
	require.Greater(t, refused, 100)
}

// randomLists makes lists of some kind out of 60 elements.
func randomLists(r *rand.Rand, elems arrow.Array) array.ListLike {
	const rows = 12
	bits, nulls := make([]byte, 2), 0
	for i := range rows {
		if r.IntN(4) > 0 {
			bits[i>>3] |= 1 << (i & 7)
		} else {
			nulls++
		}
	}
	valid := memory.NewBufferBytes(bits)
	if nulls == 0 {
		valid = nil
	}
	var typ arrow.DataType
	buffers := []*memory.Buffer{valid}
	switch kind := r.IntN(4); kind {
	case 0:
		typ = arrow.FixedSizeListOf(5, elems.DataType())
	case 1, 2:
		ends := make([]int64, rows+1)
		ends[0] = r.Int64N(10)
		for i := range rows {
			ends[i+1] = min(60, ends[i]+r.Int64N(9))
		}
		if kind == 1 {
			typ = arrow.LargeListOf(elems.DataType())
			buffers = append(buffers, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(ends)))
			break
		}
		typ = arrow.ListOf(elems.DataType())
		small := make([]int32, len(ends))
		for i, e := range ends {
			small[i] = int32(e)
		}
		buffers = append(buffers, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(small)))
	case 3: // in any order, some elements twice, some never
		offsets, sizes := make([]int32, rows), make([]int32, rows)
		for i := range rows {
			offsets[i] = r.Int32N(60)
			sizes[i] = r.Int32N(min(9, 61-offsets[i]))
		}
		typ = arrow.ListViewOf(elems.DataType())
		buffers = append(buffers, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(sizes)))
	}
	return array.MakeFromData(array.NewData(typ, rows, buffers, []arrow.ArrayData{elems.Data()}, nulls, 0)).(array.ListLike)
}

// FuzzArrayText: a text that is taken for an array is JSON of a list, and what is written
// of it reads back as the same.
func FuzzArrayText(f *testing.F) {
	for _, s := range []string{`[1,2.5e3]`, `["a","\u00e9"]`, `[]`, ` [ true , false ] `, `[null]`, `["2026-01-02"]`, `["AAE="]`, `[[1]]`, `[1`, `{}`, `[-0]`, `[1e999]`, "[\"\xff\"]"} {
		for i := range everyType {
			f.Add(s, i)
		}
	}
	f.Fuzz(func(t *testing.T, text string, which int) {
		typ := feature.Array(everyType[uint(which)%uint(len(everyType))])
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.Append(text)
		lists, err := Lists(b.NewArray(), typ)
		if err != nil {
			return
		}
		require.True(t, json.Valid([]byte(text)), "%q", text)
		written := jsonCell(lists, nil)(nil, 0)
		b.Append(string(written))
		again, err := Lists(b.NewArray(), typ)
		require.NoError(t, err, "%q became %q", text, written)
		require.Equal(t, value(lists, 0), value(again, 0), "%q became %q", text, written)
	})
}
