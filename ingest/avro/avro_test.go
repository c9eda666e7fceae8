package avro

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/avroschema"
)

func schema(t testing.TB, text string) *avroschema.Schema {
	t.Helper()
	s, err := avroschema.Parse([]byte(text))
	require.NoError(t, err, text)
	return s
}

func long(v int64) []byte { return binary.AppendVarint(nil, v) }

func text(s string) []byte { return append(long(int64(len(s))), s...) }

func cat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// TestValues: each type by bytes that the specification's rules give.
func TestValues(t *testing.T) {
	f64 := func(f float64) []byte { return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)) }
	f32 := func(f float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)) }
	for _, c := range []struct {
		schema string
		wire   []byte
		want   string // JSON, or "!" and a part of the fault
	}{
		{`"null"`, nil, `null`},
		{`"boolean"`, []byte{1}, `true`},
		{`"boolean"`, []byte{2}, `!neither 0 nor 1`},
		{`"int"`, long(math.MinInt32), `-2147483648`},
		{`"int"`, long(math.MaxInt32 + 1), `!more than 32 bits`},
		{`"long"`, long(math.MaxInt64), `9223372036854775807`},
		{`"long"`, long(math.MinInt64), `-9223372036854775808`},
		{`"long"`, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, `!more than 64 bits`},
		{`"float"`, f32(0.1), `0.1`},
		{`"float"`, f32(math.MaxFloat32), `3.4028235e+38`},
		{`"double"`, f64(0.1), `0.1`},
		{`"double"`, f64(math.Copysign(0, -1)), `-0`},
		{`"double"`, f64(5e-324), `5e-324`},
		{`"double"`, f64(math.NaN()), `!NaN`},
		{`"double"`, f64(math.Inf(-1)), `!-Inf`},
		{`"string"`, text("a\"\\\n\x01é"), `"a\"\\\n\u0001é"`},
		{`"string"`, text("\xff"), `!not UTF-8`},
		{`"string"`, long(-1), `!negative`},
		{`"string"`, long(5), `!ends too early`},
		{`"bytes"`, text("\x00\xff"), `"AP8="`},
		{`{"type":"fixed","name":"f","size":3}`, []byte{1, 2, 3}, `"AQID"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, long(1), `"B"`},
		{`{"type":"enum","name":"e","symbols":["A","B"]}`, long(2), `!symbol number 2 of 2`},
		{`{"type":"array","items":"int"}`, cat(long(2), long(1), long(2), long(-1), long(1), long(3), long(0)), `[1,2,3]`},
		{`{"type":"map","values":"int"}`, cat(long(1), text("k"), long(7), long(0)), `{"k":7}`},
		{`["null","int","string"]`, cat(long(2), text("x")), `"x"`},
		{`["null","int"]`, cat(long(0)), `null`},
		{`["null","int"]`, cat(long(2)), `!branch number 2 of 2`},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":{"type":"record","name":"q","fields":[{"name":"c","type":"double"}]}}]}`,
			cat(long(1), f64(math.NaN())), `!b.c: it is NaN`},
		{`{"type":"int","logicalType":"date"}`, long(-719162), `"0001-01-01"`},
		{`{"type":"int","logicalType":"date"}`, long(-719163), `!years 1 to 9999|no time`},
		{`{"type":"int","logicalType":"date"}`, long(2932896), `"9999-12-31"`},
		{`{"type":"int","logicalType":"time-millis"}`, long(86399999), `"23:59:59.999"`},
		{`{"type":"int","logicalType":"time-millis"}`, long(86400000), `!time of day`},
		{`{"type":"long","logicalType":"time-micros"}`, long(1), `"00:00:00.000001"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, long(-1), `"1969-12-31T23:59:59.999Z"`},
		{`{"type":"long","logicalType":"timestamp-micros"}`, long(1359590400000001), `"2013-01-31T00:00:00.000001Z"`},
		{`{"type":"long","logicalType":"timestamp-nanos"}`, long(-1), `"1969-12-31T23:59:59.999999999Z"`},
		{`{"type":"long","logicalType":"timestamp-millis"}`, long(math.MaxInt64), `!no time`},
		{`{"type":"long","logicalType":"local-timestamp-millis"}`, long(0), `"1970-01-01T00:00:00.000"`},
		{`{"type":"long","logicalType":"local-timestamp-nanos"}`, long(1), `"1970-01-01T00:00:00.000000001"`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, text("\x04\xd2"), `12.34`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, text("\xff"), `-0.01`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, text(""), `0.00`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, text("\x27\x10"), `!4 digits`},
		{`{"type":"bytes","logicalType":"decimal","precision":30,"scale":0}`, text("\x80\x00\x00\x00\x00\x00\x00\x00\x00"), `-2361183241434822606848`},
		{`{"type":"bytes","logicalType":"decimal","precision":20}`, text("\x80\x00\x00\x00\x00\x00\x00\x00"), `-9223372036854775808`},
		{`{"type":"fixed","name":"f","size":2,"logicalType":"decimal","precision":4,"scale":4}`, []byte{0xff, 0xff}, `-0.0001`},
		{`{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}`, text("\x01"), `"AQ=="`},
		{`{"type":"long","logicalType":"nobody-knows"}`, long(1), `1`},
		{`{"type":"fixed","name":"f","size":16,"logicalType":"uuid"}`, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, `"00010203-0405-0607-0809-0a0b0c0d0e0f"`},
		{`{"type":"string","logicalType":"uuid"}`, text("u"), `"u"`},
		{`{"type":"fixed","name":"f","size":12,"logicalType":"duration"}`, []byte{1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255}, `{"months":1,"days":2,"millis":4294967295}`},
		{`"int"`, cat(long(1), long(2)), `!1 bytes follow`},
	} {
		s := schema(t, c.schema)
		d, err := New(s, s, 1<<20)
		require.NoError(t, err, c.schema)
		got, err := d.AppendJSON([]byte("x"), c.wire)
		if want, bad := strings.CutPrefix(c.want, "!"); bad {
			require.Error(t, err, "%s %x", c.schema, c.wire)
			require.Equal(t, "x", string(got))
			ok := false
			for part := range strings.SplitSeq(want, "|") {
				ok = ok || strings.Contains(err.Error(), part)
			}
			require.True(t, ok, "%s: %v", c.schema, err)
			continue
		}
		require.NoError(t, err, "%s %x", c.schema, c.wire)
		require.Equal(t, "x"+c.want, string(got), c.schema)
		require.True(t, json.Valid(got[1:]))
	}
}

func record(fields string) string {
	return `{"type":"record","name":"r","fields":[` + fields + `]}`
}

// TestResolution: what one schema wrote, as another reads it.
func TestResolution(t *testing.T) {
	for _, c := range []struct {
		name, writer, reader string
		wire                 []byte
		want                 string // "!" a fault of the event, "?" of the schemas
	}{
		{"int as long", `"int"`, `"long"`, long(3), `3`},
		{"int as double", `"int"`, `"double"`, long(3), `3`},
		{"long as float", `"long"`, `"float"`, long(16777217), `16777216`},
		{"long as double", `"long"`, `"double"`, long(1<<53 + 1), `9007199254740992`},
		{"string as bytes", `"string"`, `"bytes"`, text("a"), `"YQ=="`},
		{"bytes as string", `"bytes"`, `"string"`, text("a"), `"a"`},
		{"long as int", `"long"`, `"int"`, long(3), `?cannot be read as int`},
		{"string as int", `"string"`, `"int"`, text("3"), `?cannot be read as int`},
		{"int as union", `"int"`, `["null","string","double","long"]`, long(3), `3`},
		{"union as int", `["null","int"]`, `"int"`, cat(long(1), long(3)), `3`},
		{"null as int", `["null","int"]`, `"int"`, long(0), `!cannot be read as int`},
		{"raw as date", `"int"`, `{"type":"int","logicalType":"date"}`, long(0), `"1970-01-01"`},
		{"date as raw", `{"type":"int","logicalType":"date"}`, `"long"`, long(9), `9`},
		{"millis as micros", `{"type":"long","logicalType":"timestamp-millis"}`, `{"type":"long","logicalType":"timestamp-micros"}`, long(0), `?cannot be read as`},
		{"new field", record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":"int"},{"name":"b","type":["null","int"],"default":null}`), long(1), `{"a":1,"b":null}`},
		{"new field alone", record(``), record(`{"name":"b","type":{"type":"int","logicalType":"date"},"default":1},{"name":"y","type":"bytes","default":"\u00ff"}`), nil, `{"b":"1970-01-02","y":"/w=="}`},
		{"no default", record(``), record(`{"name":"b","type":"int"}`), nil, `?without the field b`},
		{"field gone", record(`{"name":"x","type":{"type":"array","items":"string"}},{"name":"a","type":"int"}`), record(`{"name":"a","type":"int"}`), cat(long(-1), long(3), text("zz"), long(1), text("q"), long(0), long(1)), `{"a":1}`},
		{"alias", record(`{"name":"old","type":"int"}`), record(`{"name":"new","type":"int","aliases":["old"]}`), long(1), `{"new":1}`},
		{"name before alias", record(`{"name":"new","type":"int"},{"name":"old","type":"int"}`), record(`{"name":"new","type":"int","aliases":["old"]}`), cat(long(1), long(2)), `{"new":1}`},
		{"record alias", `{"type":"record","name":"a.old","fields":[]}`, `{"type":"record","name":"a.new","aliases":["old"],"fields":[]}`, nil, `{}`},
		{"another record", `{"type":"record","name":"old","fields":[]}`, `{"type":"record","name":"new","fields":[]}`, nil, `?does not know`},
		{"another namespace", `{"type":"record","name":"a.x","fields":[]}`, `{"type":"record","name":"b.x","fields":[]}`, nil, `{}`},
		{"enum default", `{"type":"enum","name":"e","symbols":["A","B"]}`, `{"type":"enum","name":"e","symbols":["A","Z"],"default":"Z"}`, long(1), `"Z"`},
		{"enum without", `{"type":"enum","name":"e","symbols":["A","B"]}`, `{"type":"enum","name":"e","symbols":["A","Z"]}`, long(1), `!no symbol B`},
		{"fixed size", `{"type":"fixed","name":"e","size":1}`, `{"type":"fixed","name":"e","size":2}`, []byte{1}, `?1 bytes`},
		{"wrong default", record(``), record(`{"name":"b","type":"int","default":"x"}`), nil, `?"x" is no int`},
		{"record default", record(``), record(`{"name":"b","type":{"type":"record","name":"q","fields":[{"name":"c","type":"int","default":4},{"name":"d","type":{"type":"map","values":"string"}}]},"default":{"d":{"k":"v"}}}`), nil, `{"b":{"c":4,"d":{"k":"v"}}}`},
		{"union default", record(``), record(`{"name":"b","type":["string","null"],"default":"x"}`), nil, `{"b":"x"}`},
		{"list", `{"type":"record","name":"l","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","l"]}]}`,
			`["null",{"type":"record","name":"l","fields":[{"name":"next","type":["null","l"],"default":null},{"name":"w","type":"int","default":9}]}]`,
			cat(long(1), long(1), long(2), long(0)), `{"next":{"next":null,"w":9},"w":9}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := New(schema(t, c.writer), schema(t, c.reader), 1<<20)
			if want, bad := strings.CutPrefix(c.want, "?"); bad {
				require.ErrorContains(t, err, want)
				return
			}
			require.NoError(t, err)
			got, err := d.AppendJSON(nil, c.wire)
			if want, bad := strings.CutPrefix(c.want, "!"); bad {
				require.ErrorContains(t, err, want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
		})
	}
}

// TestHostile: few bytes that stand for very much cost no more than their limit.
func TestHostile(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	many := long(math.MaxInt64)
	for name, c := range map[string]struct {
		writer, reader string
		wire           []byte
	}{
		"nulls":         {`{"type":"array","items":"null"}`, "", many},
		"skipped nulls": {record(`{"name":"x","type":{"type":"array","items":"null"}}`), record(``), many},
		"empty records": {`{"type":"array","items":{"type":"record","name":"e","fields":[]}}`, "", many},
		"least":         {`{"type":"array","items":"null"}`, "", cat(long(math.MinInt64), long(0))},
		"endless":       {`{"type":"record","name":"e","fields":[{"name":"e","type":"e"}]}`, "", nil},
		"endless skip":  {record(`{"name":"e","type":{"type":"record","name":"e","fields":[{"name":"e","type":"e"}]}}`), record(``), nil},
		"deep":          {`{"type":"record","name":"e","fields":[{"name":"e","type":["null","e"]}]}`, "", []byte(strings.Repeat("\x02", 1<<20))},
		"doubling":      {doubling(), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := schema(t, c.writer)
			r := w
			if c.reader != "" {
				r = schema(t, c.reader)
			}
			d, err := New(w, r, 1<<20)
			require.NoError(t, err)
			_, err = d.AppendJSON(nil, c.wire)
			require.Error(t, err)
		})
	}
	_, err := New(schema(t, record(``)), schema(t, record(`{"name":"x","type":`+doubling()+`,"default":{}}`)), 1<<20)
	require.ErrorContains(t, err, "too large")
	require.ErrorContains(t, Check(schema(t, record(`{"name":"x","type":"int","default":1.5}`))), "1.5 is no int")
	require.NoError(t, Check(schema(t, record(`{"name":"x","type":["null","r"],"default":null}`))))
}

// doubling is a record of two records of two records..., all empty but of default values.
func doubling() string {
	s := `{"type":"record","name":"r40","fields":[]}`
	for i := 39; i >= 0; i-- {
		s = fmt.Sprintf(`{"type":"record","name":"r%d","fields":[{"name":"a","type":%s,"default":{}},{"name":"b","type":"r%d","default":{}}]}`, i, s, i+1)
	}
	return s
}
