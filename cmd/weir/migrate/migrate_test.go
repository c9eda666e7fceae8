package migrate

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func field(name string, t feature.Type, path string) feature.Field {
	return feature.Field{Name: name, Type: t, Path: path}
}

func view(schema, at, format string, keys []feature.Field, features ...feature.Field) *feature.View {
	return &feature.View{Meta: feature.Meta{Name: "v"}, Keys: keys, Features: features,
		SourceOf: &feature.Source{Schema: json.RawMessage(schema), EventTime: feature.TimeField{Field: at, Format: format}}}
}

var id = []feature.Field{field("id", feature.Int64, "")}

// TestLines: a row is an event as the source has them; what is null is left out, but where the schema wants it.
func TestLines(t *testing.T) {
	const at = 1_700_000_000_123_456
	for _, c := range []struct {
		view *feature.View
		row  Row
		want string
	}{
		{view("", "at", "", id, field("a", feature.Bool, ""), field("b", feature.Bytes, "")), Row{at, []any{int64(-1 << 63)}, []any{true, []byte{0, 255}}, nil},
			`{"at":"2023-11-14T22:13:20.123456Z","id":-9223372036854775808,"a":true,"b":"AP8="}`},
		{view("", "at", "naive", id, field("f", feature.Float32, ""), field("t", feature.Timestamp, "")), Row{at, []any{int64(1)}, []any{float32(0.1), int64(at)}, nil},
			`{"at":"2023-11-14T22:13:20.123456","id":1,"f":0.1,"t":"2023-11-14T22:13:20.123456Z"}`},
		{view("", "m.at", "unix_s", id, field("d", feature.Float64, "m.n.d"), field("s", feature.String, "m.s")), Row{at, []any{int64(1)}, []any{nil, "\"<\n"}, nil},
			`{"m":{"at":1700000000.123456,"s":"\"\u003c\n"},"id":1}`},
		{view(`{"required":["x"],"properties":{"x":{"required":["a"]},"y":{"required":["b"]}}}`, "at", "unix_ms", id, field("a", feature.Int64, "x.a"), field("b", feature.Int64, "y.b")), Row{-1, []any{int64(1)}, []any{nil, nil}, nil},
			`{"at":-0.001,"id":1,"x":{"a":null}}`},
		{view(`{"properties":{"at":{"type":"integer"}}}`, "at", "unix_s", id, field("a", feature.Int64, "")), Row{-1, []any{int64(1)}, []any{int64(2)}, nil},
			`{"at":-1,"id":1,"a":2}`},
		{view("", "at", "unix_ns", id, field("a", feature.Int64, "")), Row{at, []any{int64(1)}, []any{int64(2)}, nil}, `{"at":1700000000123456000,"id":1,"a":2}`},
		{view("", "at", "unix_us", id, field("f", feature.Array(feature.Float32), ""), field("t", feature.Array(feature.Timestamp), ""), field("s", feature.Array(feature.String), ""), field("y", feature.Array(feature.Bytes), ""), field("n", feature.Array(feature.Int64), "")),
			Row{0, []any{int64(1)}, []any{[]any{float32(0.1), float32(2)}, []any{int64(at)}, []any{"\"", ""}, []any{[]byte{0, 255}}, []any{}}, nil}, `{"at":0,"id":1,"f":[0.1,2],"t":["2023-11-14T22:13:20.123456Z"],"s":["\"",""],"y":["AP8="],"n":[]}`},
		{view("", "at", "unix_us", id, field("a", feature.Int64, "")), Row{0, []any{int64(1)}, []any{nil}, nil}, `{"at":0,"id":1}`},
	} {
		l, err := NewLines(c.view)
		require.NoError(t, err)
		require.Equal(t, c.want, string(l.Append(nil, &c.row)))
		require.Equal(t, l.Coarse > 1, l.Cut() == 1)
	}
	for _, bad := range []*feature.View{
		view("", "at", "", id, field("a", feature.Int64, "x"), field("b", feature.Int64, "x")),
		view("", "at", "", id, field("a", feature.Int64, "x"), field("b", feature.Int64, "x.y")),
		view("", "at", "", id, field("a", feature.Int64, "x.y"), field("b", feature.Int64, "x")),
		view("", "at", "", id, field("a", feature.Timestamp, "at")),
		view("", "at", "", id, field("a", feature.Int64, "id")),
	} {
		_, err := NewLines(bad)
		require.Equal(t, feature.Unsupported, feature.KindOf(err))
		require.ErrorContains(t, err, "no event can say both")
	}
}

// everything is a view of all types with rows in no order.
func everything(rng *rand.Rand, n int) (*feature.View, []Row) {
	var fs []feature.Field
	for ty := feature.Bool; ty <= feature.Timestamp; ty++ {
		fs = append(fs, field(ty.String(), ty, "in."+ty.String()))
	}
	for ty := feature.Bool; ty <= feature.Timestamp; ty++ {
		fs = append(fs, field(ty.String()+"s", feature.Array(ty), "in."+ty.String()+"s"))
	}
	v := view("", "at", "unix_us", []feature.Field{field("id", feature.Int64, ""), field("name", feature.String, ""), field("raw", feature.Bytes, ""), field("day", feature.Timestamp, "")}, fs...)
	rows := make([]Row, n)
	for i := range rows {
		all := []any{i%2 == 0, int32(rng.Uint32()), int64(rng.Uint64()), rng.Float32(), math.Ldexp(rng.NormFloat64(), rng.IntN(600)-300), fmt.Sprintf("größe %d", i), []byte{byte(i)}, rng.Int64N(1e15)}
		for _, x := range all[:8:8] {
			all = append(all, slices.Repeat([]any{x}, rng.IntN(3)))
		}
		absent := make([]bool, len(all))
		for k := range all {
			switch rng.IntN(6) {
			case 0:
				all[k] = nil
			case 1:
				all[k], absent[k] = nil, true
			}
		}
		all[2] = int64(i) // never null throughout
		absent[2] = false
		rows[i] = Row{rng.Int64N(1e15), []any{int64(i / 2), fmt.Sprint(i % 2), []byte{1, byte(i)}, int64(i)}, all, absent}
	}
	return v, rows
}

func collect(t *testing.T, v *feature.View, rows []Row) *Rows {
	r, err := NewRows(v, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	for _, x := range rows {
		require.NoError(t, r.Add(x))
	}
	return r
}

func text(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// TestSameRowsSameFile: the file depends on the rows alone, not on their order, nor on how often each came.
func TestSameRowsSameFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	v, rows := everything(rng, 1500)
	dir := t.TempDir()
	var first string
	for run := range 3 {
		some := slices.Clone(rows)
		rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		r := collect(t, v, append(some, some[:300*run]...))
		path := filepath.Join(dir, fmt.Sprint(run))
		n, err := r.WriteAll(path)
		require.NoError(t, err)
		require.EqualValues(t, len(rows), n)
		if run == 0 {
			first = text(t, path)
			lines := strings.Split(strings.TrimSpace(first), "\n")
			want := map[string]bool{}
			for i := range rows {
				want[string(r.Append(nil, &rows[i]))] = true
			}
			for _, l := range lines {
				require.True(t, want[l], l)
			}
			require.Len(t, lines, len(want))
		}
		require.Equal(t, first, text(t, path))
	}
}

// TestOnlyNewRows: rows for which the table has the same answer are left out; what the
// other store does not know does not count.
func TestOnlyNewRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	v, rows := everything(rng, 9000) // more than a batch of the spine
	rows = append(rows, Row{7, []any{int64(-1), "", []byte{}, int64(0)}, make([]any, len(v.Features)), make([]bool, len(v.Features))})
	byKey := map[string]Row{}
	for _, r := range rows {
		byKey[fmt.Sprint(r.Keys)] = r
	}
	r := collect(t, v, rows)
	schema := r.Schema()
	fields := schema.Fields()
	for _, f := range v.Features {
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Type.Exchange(), Nullable: true})
	}
	// The table's answer: as it was found, but for the keys that are to be new.
	changed := func(x Row) bool { return x.Values[2] != nil && x.Values[2].(int64)%3 == 0 }
	var answers []arrow.RecordBatch
	require.NoError(t, r.Spine(func(rec arrow.RecordBatch) error {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields[schema.NumFields():], nil))
		for i := range int(rec.NumRows()) {
			var keys []any
			for k := range v.Keys {
				keys = append(keys, cell(rec.Column(k), i))
			}
			x, ok := byKey[fmt.Sprint(keys)]
			require.True(t, ok)
			require.Equal(t, x.Time, cell(rec.Column(len(v.Keys)), i))
			for c := range v.Features {
				val := x.Values[c]
				if x.Absent[c] {
					val = []any{true, int32(9), int64(9), float32(9), 9.0, "9", []byte("9"), int64(9)}[c%8]
					if c >= 8 {
						val = []any{val}
					}
				}
				if c == 2 && changed(x) {
					val = int64(-5)
				}
				put(b.Field(c), val)
			}
		}
		more := b.NewRecordBatch()
		answers = append(answers, array.NewRecordBatch(arrow.NewSchema(fields, nil), append(slices.Clone(rec.Columns()), more.Columns()...), rec.NumRows()))
		for _, c := range rec.Columns() {
			c.Retain()
		}
		return nil
	}))
	require.Len(t, answers, 2)
	next := func(all []arrow.RecordBatch) func() (arrow.RecordBatch, error) {
		return func() (arrow.RecordBatch, error) {
			if len(all) == 0 {
				return nil, io.EOF
			}
			rec := all[0]
			all = all[1:]
			return rec, nil
		}
	}
	path := filepath.Join(t.TempDir(), "new")
	n, null, err := r.WriteNew(path, next(answers))
	require.NoError(t, err)
	want := int64(1)
	for _, x := range rows {
		if changed(x) {
			want++
		}
	}
	require.Equal(t, want, n)
	require.EqualValues(t, 1, null)
	require.EqualValues(t, want, strings.Count(text(t, path), "\n"))

	_, _, err = r.WriteNew(path, next(answers[1:]))
	require.ErrorContains(t, err, "fewer rows")
	_, _, err = r.WriteNew(path, next(append(answers, answers[0])))
	require.ErrorContains(t, err, "more rows")
}

func put(b array.Builder, v any) {
	switch x := v.(type) {
	case nil:
		b.AppendNull()
	case bool:
		b.(*array.BooleanBuilder).Append(x)
	case int32:
		b.(*array.Int32Builder).Append(x)
	case int64:
		if ts, ok := b.(*array.TimestampBuilder); ok {
			ts.Append(arrow.Timestamp(x))
			return
		}
		b.(*array.Int64Builder).Append(x)
	case float32:
		b.(*array.Float32Builder).Append(x)
	case float64:
		b.(*array.Float64Builder).Append(x)
	case string:
		b.(*array.StringBuilder).Append(x)
	case []byte:
		b.(*array.BinaryBuilder).Append(x)
	case []any:
		l := b.(*array.ListBuilder)
		l.Append(true)
		for _, e := range x {
			put(l.ValueBuilder(), e)
		}
	}
}

// TestSpoolIsRemoved: nothing is left behind, and a folder that is not there says so.
func TestSpoolIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s, err := NewSpool(dir)
	require.NoError(t, err)
	for i := range 30_000 {
		require.NoError(t, s.Add(fmt.Append(nil, i%1000), fmt.Append(nil, "record ", i%1000)))
	}
	n := 0
	for _, err := range s.All() {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 1000, n)
	require.NoError(t, s.Close())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = NewSpool(filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "--spool")
}
