package decode_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// fate is what became of the rows of a file, each as a text.
type fate struct {
	rows, rejected, payloads []string
}

func (f *fate) add(res decode.Result, payload func(offset int64) []byte) {
	b := res.Batch
	for i := range b.Len() {
		var s strings.Builder
		fmt.Fprintf(&s, "%d %d %d", b.Offsets[i], b.EventTime[i], b.KnownTime[i])
		for _, c := range b.Rows.Columns() {
			if c.IsNull(i) {
				s.WriteString(" null")
				continue
			}
			switch c := c.(type) {
			case *array.Float64:
				fmt.Fprintf(&s, " %x", math.Float64bits(c.Value(i)))
			case *array.Float32:
				fmt.Fprintf(&s, " %x", math.Float32bits(c.Value(i)))
			case *array.Timestamp:
				fmt.Fprintf(&s, " %d", c.Value(i))
			default:
				fmt.Fprintf(&s, " %q", c.ValueStr(i))
			}
		}
		f.rows = append(f.rows, s.String())
		f.payloads = append(f.payloads, string(payload(b.Offsets[i])))
	}
	for _, r := range res.Rejected {
		text, _ := json.Marshal(r.Reasons)
		f.rejected = append(f.rejected, fmt.Sprintf("%d %s", r.Offset, text))
		f.payloads = append(f.payloads, string(payload(r.Offset)))
	}
}

const importStart = 1_800_000_000_000_000

// asEvents takes a file the long way.
func asEvents(t *testing.T, path string, v *feature.View, o decode.Options, ro tabular.RowOptions) (f fate, err error) {
	t.Helper()
	rows, err := tabular.OpenRows(t.Context(), path, ro)
	if err != nil {
		return f, err
	}
	defer rows.Close()
	d, err := decode.New(v.SourceOf, []*feature.View{v}, o)
	require.NoError(t, err)
	for {
		var payloads [][]byte
		first := int64(-1)
		for len(payloads) < 100 {
			r, err := rows.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return f, err
			}
			if first < 0 {
				first = r.Number
			}
			payloads = append(payloads, append([]byte{}, r.Payload...))
			d.Decode(decode.Record{Value: payloads[len(payloads)-1], Offset: r.Number, Timestamp: importStart})
		}
		if len(payloads) == 0 {
			return f, nil
		}
		f.add(d.Cut(feature.Origin{})[0], func(offset int64) []byte { return payloads[offset-first] })
	}
}

// asColumns takes it the short way; certain is how many rows never were JSON.
func asColumns(t *testing.T, path string, v *feature.View, o decode.Options, ro tabular.RowOptions, skip int64) (f fate, certain int, covered bool, err error) {
	t.Helper()
	file, ok, err := tabular.OpenColumns(t.Context(), path, ro)
	if err != nil || !ok {
		return f, 0, false, err
	}
	defer file.Close()
	cols, ok, err := decode.NewColumns(v.SourceOf, v, o, file.Names, file.Types)
	require.NoError(t, err)
	if !ok {
		return f, 0, false, nil
	}
	for {
		c, err := file.Next()
		if errors.Is(err, io.EOF) {
			return f, certain, true, nil
		}
		if err != nil {
			return f, certain, true, err
		}
		if c.First+int64(c.Len()) <= skip {
			continue
		}
		c.Skip(int(max(0, skip-c.First)))
		res := cols.Decode(&decode.Table{First: c.First, Timestamp: importStart, Values: c.Values, Long: c.Long, Doubt: c.Doubt, JSON: c.JSON}, feature.Origin{})
		for _, d := range c.Doubt {
			if !d {
				certain++
			}
		}
		f.add(res, func(offset int64) []byte { return c.JSON(int(offset - c.First)) })
	}
}

// TestColumnsAgree: a row of a file becomes the same values with the same times,
// or is refused for the same reasons with the same payload, whether it comes as
// columns or as an event.
func TestColumnsAgree(t *testing.T) {
	if decode.RaceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	seed := testseed.For(t)
	dir := t.TempDir()
	files, certain, rejected, accepted := 0, 0, 0, 0
	count := 300
	if n, err := strconv.Atoi(os.Getenv("WEIR_COLUMNS_FILES")); err == nil {
		count = n
	}
	for n := range count {
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		g := &fileMaker{rng: rng}
		path := g.file(t, dir, n)
		v := g.view()
		ro := tabular.RowOptions{Types: g.types(v), Times: g.times(v.SourceOf), Nulls: []string{"NA"}}
		o := decode.Options{Import: true}
		if rng.IntN(10) == 0 {
			o.MaxEventBytes = 120 + rng.IntN(200)
		}
		want, wantErr := asEvents(t, path, v, o, ro)
		got, sure, covered, gotErr := asColumns(t, path, v, o, ro, 0)
		if !covered && gotErr == nil {
			continue
		}
		files++
		about := fmt.Sprintf("file %d of seed %d: schema %s, source %+v, view %+v, columns %v", n, seed, v.SourceOf.Schema, v.SourceOf.EventTime, v.Columns(), g.names)
		if wantErr != nil {
			require.Error(t, gotErr, about)
			require.Equal(t, wantErr.Error(), gotErr.Error(), about)
			continue
		}
		require.NoError(t, gotErr, about)
		require.Equal(t, want.rows, got.rows, about)
		require.Equal(t, want.rejected, got.rejected, about)
		require.ElementsMatch(t, want.payloads, got.payloads, about)
		certain, rejected, accepted = certain+sure, rejected+len(want.rejected), accepted+len(want.rows)
		if all := len(want.rows) + len(want.rejected); all > 1 && wantErr == nil { // resumed anywhere
			skip := 1 + rng.IntN(all-1)
			got, _, _, err := asColumns(t, path, v, o, ro, int64(skip))
			require.NoError(t, err)
			require.Equal(t, all-skip, len(got.rows)+len(got.rejected), about)
			require.Equal(t, strings.Join(want.rows[len(want.rows)-len(got.rows):], "\n"), strings.Join(got.rows, "\n"), about)
		}
	}
	t.Logf("%d files as columns: %d rows accepted, %d of them without becoming JSON, %d refused", files, accepted, certain, rejected)
	require.Greater(t, files, count/2)
	require.Greater(t, certain, 2000)
	require.Greater(t, rejected, 2000)
	require.Greater(t, accepted-certain, 5, "no row was asked for as JSON and then accepted")
}

// fileMaker makes files, and views of them.
type fileMaker struct {
	rng    *rand.Rand
	names  []string
	kinds  []string
	format string // of the event time
}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

var fileKinds = []string{"bool", "int8", "int16", "int32", "int64", "uint32", "float32", "float64", "text", "time_us", "time_s", "time_ns", "date", "bytes"}

func (g *fileMaker) file(t *testing.T, dir string, n int) string {
	rng := g.rng
	g.format = pick(rng, feature.TimeFormats...)
	g.names, g.kinds = []string{"id", "at"}, []string{pick(rng, "text", "int64", "int32", "text"), "when"}
	for i := range 1 + rng.IntN(6) {
		g.names, g.kinds = append(g.names, fmt.Sprintf("c%d", i)), append(g.kinds, pick(rng, fileKinds...))
	}
	rows := pick(rng, 1, 7, 40, 60)
	if rng.IntN(40) == 0 {
		rows = 9000 // more than one chunk
	}
	if rng.IntN(2) == 0 {
		path := filepath.Join(dir, fmt.Sprintf("%d.csv", n))
		require.NoError(t, os.WriteFile(path, g.csv(rows), 0o600))
		return path
	}
	return g.typed(t, dir, n, rows)
}

// wild is how often a value is unusual.
const wild = 14

func (g *fileMaker) csv(rows int) []byte {
	rng := g.rng
	var b strings.Builder
	b.WriteString(strings.Join(g.names, ",") + "\n")
	odd := []string{"", "NA", "0", "-0", "-0.0", "007", "+5", ".5", "5.", "1e5", "1E-3", "nan", "inf", "1e999", "3.0", "12345678901234567890", "0.1234567890123456789", "0.30000000000000001",
		"true", "TRUE", "1", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"two\nlines\"", "x\"y", "\xff\xfe", "ä\u2028", "\"\"", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05", "1234-56-789", " 7 ", "a\rb",
		"YWJj", "YWJ", strings.Repeat("9", 40), "99999999999999999", "16777217", "0.1", "-1e-320", "9007199254740993"}
	for range rows {
		for i := range g.names {
			if i > 0 {
				b.WriteByte(',')
			}
			if rng.IntN(wild*2) == 0 {
				b.WriteString(pick(rng, odd...))
				continue
			}
			switch k := g.kinds[i]; k {
			case "when":
				at := int64(importStart) - rng.Int64N(1e15)
				switch g.format {
				case "rfc3339":
					b.WriteString(feature.Time(at).Format("2006-01-02T15:04:05.999999Z07:00"))
				case "naive":
					b.WriteString(feature.Time(at).Format("2006-01-02 15:04:05.999999"))
				case "unix_s":
					fmt.Fprint(&b, at/1e6)
				case "unix_ms":
					fmt.Fprint(&b, at/1e3)
				case "unix_us":
					fmt.Fprint(&b, at)
				default:
					fmt.Fprint(&b, at*1000)
				}
			case "bool":
				b.WriteString(pick(rng, "true", "false"))
			case "float32", "float64":
				b.WriteString(pick(rng, fmt.Sprint(rng.NormFloat64()*10), fmt.Sprintf("%.2f", rng.Float64()*20), fmt.Sprint(rng.IntN(20)), "10", "0.3"))
			case "text", "bytes":
				b.WriteString(pick(rng, "a", "bb", "ccc", "Straße", "YWJj", "red", "green"))
			case "time_us", "time_s", "time_ns", "date":
				b.WriteString(feature.Time(rng.Int64N(1e15)).Format("2006-01-02T15:04:05Z"))
			default:
				fmt.Fprint(&b, rng.IntN(40)-10)
			}
		}
		if rng.IntN(wild*10) == 0 {
			b.WriteString(pick(rng, ",more", "\"", "\"x\" y"))
		}
		b.WriteString(pick(rng, "\n", "\n", "\n", "\r\n", "\n\n"))
	}
	return []byte(b.String())
}

func (g *fileMaker) typed(t *testing.T, dir string, n, rows int) string {
	rng := g.rng
	types := map[string]arrow.DataType{"bool": arrow.FixedWidthTypes.Boolean, "int8": arrow.PrimitiveTypes.Int8, "int16": arrow.PrimitiveTypes.Int16,
		"int32": arrow.PrimitiveTypes.Int32, "int64": arrow.PrimitiveTypes.Int64, "uint32": arrow.PrimitiveTypes.Uint32, "float32": arrow.PrimitiveTypes.Float32,
		"float64": arrow.PrimitiveTypes.Float64, "text": arrow.BinaryTypes.String, "bytes": arrow.BinaryTypes.Binary, "time_us": arrow.FixedWidthTypes.Timestamp_us,
		"time_s": arrow.FixedWidthTypes.Timestamp_ms, "time_ns": &arrow.TimestampType{Unit: arrow.Nanosecond}, "date": arrow.FixedWidthTypes.Date32}
	for i, k := range g.kinds {
		if k == "when" {
			switch {
			case rng.IntN(3) > 0:
				g.kinds[i] = pick(rng, "time_us", "time_s", "time_ns")
			case strings.HasPrefix(g.format, "unix"):
				g.kinds[i] = "int64"
			default:
				g.kinds[i] = "text"
			}
		}
	}
	fields := make([]arrow.Field, len(g.names))
	for i, k := range g.kinds {
		fields[i] = arrow.Field{Name: g.names[i], Type: types[k], Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for range rows {
		for i := range g.names {
			g.value(b.Field(i), g.names[i] == "at", rng.IntN(wild) == 0)
		}
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	path := filepath.Join(dir, fmt.Sprintf("%d.arrow", n))
	if rng.IntN(4) == 0 {
		path = filepath.Join(dir, fmt.Sprintf("%d.parquet", n))
		f, err := os.Create(path)
		require.NoError(t, err)
		w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
		require.NoError(t, err)
		require.NoError(t, w.Write(rec))
		require.NoError(t, w.Close())
		return path
	}
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(schema))
	require.NoError(t, err)
	require.NoError(t, w.Write(rec))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return path
}

func (g *fileMaker) value(b array.Builder, time, odd bool) {
	rng := g.rng
	if odd && rng.IntN(3) == 0 {
		b.AppendNull()
		return
	}
	at := int64(importStart) - rng.Int64N(1e15)
	if odd {
		at = pick[int64](rng, 0, at, importStart+rng.Int64N(1e9), feature.MaxTime, -1)
	}
	small := rng.Int64N(40) - 10
	if odd {
		small = pick[int64](rng, 0, 100, -100, 127, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, 1<<53+1, 1<<24+1)
	}
	real := pick(rng, rng.NormFloat64()*10, math.Round(rng.Float64()*2000)/100, float64(rng.IntN(20)), 10, 0.3)
	if odd {
		real = pick(rng, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e300, 1e-310, 5e-324, 1e39, math.MaxFloat64, 1<<53+2, 16777217, 0.1, 1e21, 3e-7,
			math.Float64frombits(uint64(rng.Int64N(1<<40))<<29|1<<28|uint64(rng.IntN(3)-1)&1), rng.Float64()*1e-40)
	}
	text := pick(rng, "a", "bb", "ccc", "Straße", "YWJj", "red", "green")
	if time {
		text = pick(rng, feature.Time(at).Format("2006-01-02T15:04:05.999999Z07:00"), feature.Time(at).Format("2006-01-02T15:04:05.999"))
	}
	if odd {
		text = pick(rng, "", "\xff", "a\"b\\c\n\x01", "2026-01-02T03:04:05Z", "YWJ", strings.Repeat("long ", 30), "\u2028")
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(rng.IntN(2) == 0)
	case *array.Int8Builder:
		b.Append(int8(small))
	case *array.Int16Builder:
		b.Append(int16(small))
	case *array.Int32Builder:
		b.Append(int32(small))
	case *array.Int64Builder:
		if time {
			unit := map[string]int64{"unix_s": 1e6, "unix_ms": 1e3, "unix_us": 1}[g.format]
			if unit == 0 {
				b.Append(at * 1000)
			} else {
				b.Append(at / unit)
			}
			return
		}
		b.Append(small)
	case *array.Uint32Builder:
		b.Append(uint32(small))
	case *array.Float32Builder:
		b.Append(float32(real))
	case *array.Float64Builder:
		b.Append(real)
	case *array.StringBuilder:
		b.Append(text)
	case *array.BinaryBuilder:
		b.Append([]byte(text))
	case *array.Date32Builder:
		b.Append(arrow.Date32(at / 86400e6))
	case *array.TimestampBuilder:
		switch b.Type().(*arrow.TimestampType).Unit {
		case arrow.Millisecond:
			at /= 1000
		case arrow.Nanosecond:
			at = min(at, math.MaxInt64/1000) * 1000
		}
		b.Append(arrow.Timestamp(at))
	}
}

// view makes a view that suits the file mostly.
func (g *fileMaker) view() *feature.View {
	rng := g.rng
	s := &feature.Source{Meta: feature.Meta{Name: "s"}, EventTime: feature.TimeField{Field: "at", Format: g.format}}
	key := map[string]feature.Type{"text": feature.String, "int32": feature.Int64, "int64": feature.Int64}[g.kinds[0]]
	v := &feature.View{Meta: feature.Meta{Name: "v"}, SourceOf: s, Keys: []feature.Field{{Name: "id", Type: key}}}
	fits := func(kind string) feature.Type {
		switch {
		case kind == "bool":
			return feature.Bool
		case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
			return pick(rng, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.Timestamp)
		case strings.HasPrefix(kind, "float"):
			return pick(rng, feature.Int32, feature.Int64, feature.Float32, feature.Float64)
		case kind == "text":
			return pick(rng, feature.String, feature.String, feature.Bytes)
		case kind == "bytes":
			return feature.Bytes
		}
		return feature.Timestamp
	}
	for i := 2; i < len(g.names); i++ {
		if rng.IntN(4) == 0 {
			continue
		}
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%d", i), Path: g.names[i], Type: fits(g.kinds[i])})
	}
	v.Features = append(v.Features, feature.Field{Name: "absent", Type: feature.Type(rng.IntN(int(feature.Timestamp))) + 1})
	if rng.IntN(3) == 0 {
		v.Features = append(v.Features, feature.Field{Name: "absent_list", Type: feature.Array(pick(rng, feature.Int64, feature.String, feature.Bytes))})
	}
	if rng.IntN(6) == 0 {
		v.Features = append(v.Features, feature.Field{Name: "seen", Path: "at", Type: pick(rng, feature.Int64, feature.Timestamp, feature.String)})
	}
	if rng.IntN(8) == 0 {
		s.Created = &feature.TimeField{Field: pick(rng, g.names...), Format: pick(rng, feature.TimeFormats...)}
		if s.Created.Field == s.EventTime.Field { // a source with two formats for one field is refused
			s.Created.Format = s.EventTime.Format
		}
	}
	if rng.IntN(3) > 0 {
		s.Schema = g.schema()
	}
	return v
}

func (g *fileMaker) schema() []byte {
	rng := g.rng
	props := map[string]any{}
	for i, name := range g.names {
		if name == "at" || rng.IntN(3) == 0 {
			continue
		}
		p := map[string]any{}
		null := rng.IntN(2) == 0
		named := func(t string) any {
			if null {
				return []string{t, "null"}
			}
			return t
		}
		switch k := g.kinds[i]; {
		case k == "bool":
			p["type"] = named("boolean")
			if rng.IntN(5) == 0 {
				p["const"] = true
			}
		case strings.HasPrefix(k, "int"), strings.HasPrefix(k, "uint"), strings.HasPrefix(k, "float"):
			p["type"] = named(pick(rng, "number", "number", "integer"))
			for _, rule := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
				if rng.IntN(4) == 0 {
					p[rule] = pick[any](rng, -9, 0, 10, 10.5, 0.3, 29, -0.5, 1e20, 16777216)
				}
			}
			switch rng.IntN(10) {
			case 0:
				p["multipleOf"] = pick[any](rng, 2, 5, 0.5)
			case 1:
				p["enum"] = []any{1, 2, 10, 0.3, 5, nil}
			}
		case k == "text":
			p["type"] = named("string")
			switch rng.IntN(5) {
			case 0:
				p["enum"] = []any{"a", "bb", "red", "green", "YWJj"}
			case 1:
				p["minLength"], p["maxLength"] = 1, pick(rng, 4, 6)
			case 2:
				p["pattern"] = pick(rng, "^[a-z]+$", "e", "^S.*e$")
			}
		case k == "time_us":
			p["type"] = named("string")
			if rng.IntN(4) == 0 {
				p["minLength"], p["maxLength"] = pick(rng, 19, 20, 21), pick(rng, 26, 27, 40)
			}
		}
		if null && rng.IntN(4) == 0 {
			inner := p
			if _, ok := inner["enum"]; !ok && inner["type"] != nil {
				inner["type"] = inner["type"].([]string)[0]
				p = map[string]any{pick(rng, "anyOf", "oneOf"): []any{inner, map[string]any{"type": "null"}}}
			}
		}
		props[name] = p
	}
	s := map[string]any{"type": "object", "properties": props}
	switch rng.IntN(8) {
	case 0:
		s["required"] = []string{"id", "at"}
	case 1:
		s["additionalProperties"] = false
		props["at"] = map[string]any{}
		for _, n := range g.names {
			if props[n] == nil {
				props[n] = true
			}
		}
	case 2:
		s["additionalProperties"] = map[string]any{"type": []string{"number", "string", "boolean"}}
	case 3:
		s["$schema"] = "http://json-schema.org/draft-04/schema#"
		delete(s, "properties")
		s["properties"] = map[string]any{"c0": map[string]any{"type": []string{"integer", "string", "boolean", "null"}}}
	case 4:
		s["allOf"] = []any{map[string]any{"properties": map[string]any{"c0": map[string]any{"not": map[string]any{"type": "array"}}}}}
	case 5:
		s["allOf"] = []any{map[string]any{"required": []string{"id"}}, map[string]any{"$ref": "#/$defs/x"}}
		s["$defs"] = map[string]any{"x": map[string]any{"maxProperties": 8}}
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return text
}

// types is what an import tells the file's reader.
func (g *fileMaker) types(v *feature.View) map[string]feature.Type {
	types := tabular.SchemaTypes(v.SourceOf.Schema)
	for path := range g.times(v.SourceOf) {
		if strings.HasPrefix(g.times(v.SourceOf)[path], "unix_") {
			types[path] = feature.Int64
		}
	}
	for _, c := range v.Columns() {
		if _, ok := types[c.EventPath()]; !ok {
			types[c.EventPath()] = c.Type
		}
	}
	return types
}

func (g *fileMaker) times(s *feature.Source) map[string]string {
	out := map[string]string{s.EventTime.Field: s.EventTime.Format}
	if s.Created != nil {
		out[s.Created.Field] = s.Created.Format
	}
	return out
}
