package feast

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

func frameOf(t *testing.T, text string) *frame {
	t.Helper()
	var o ordered
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	f, err := readFrame(o)
	require.NoError(t, err)
	return f
}

// TestTimes: a time of a frame in every format that a source may have.
func TestTimes(t *testing.T) {
	for _, c := range []struct{ in, format, want string }{
		{`"2026-01-31T12:00:00"`, "", `"2026-01-31T12:00:00Z"`},
		{`"2026-01-31T12:00:00.123456"`, "rfc3339", `"2026-01-31T12:00:00.123456Z"`},
		{`"2026-01-31T12:00:00.123456789+01:00"`, "", `"2026-01-31T11:00:00.123456Z"`},
		{`"2026-01-31 12:00:00"`, "naive", `"2026-01-31T12:00:00"`},
		{`"2026-01-31 12:00:00.5+00:00"`, "naive", `"2026-01-31T12:00:00.5"`},
		{`"2026-01-31"`, "unix_s", `1769817600`},
		{`"2026-01-31T00:00:00.25"`, "unix_s", `1769817600.250000`},
		{`"2026-01-31T00:00:00.25"`, "unix_ms", `1769817600250`},
		{`"2026-01-31T00:00:00.000001Z"`, "unix_ms", `1769817600000.001`},
		{`"1969-12-31T23:59:59.999999Z"`, "unix_us", `-1`},
		{`"2026-01-31T00:00:00Z"`, "unix_ns", `1769817600000000000`},
		{`1769817600.5`, "unix_s", `1769817600.5`},
	} {
		got, err := timeValue(json.RawMessage(c.in), c.format)
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, string(got), "%s as %s", c.in, c.format)
	}
	for _, bad := range []string{`null`, ``, `"soon"`, `""`, `17`, `true`} {
		_, err := timeValue(json.RawMessage(bad), "rfc3339")
		require.Error(t, err, bad)
	}
	for in, want := range map[string]string{`1.5`: `1500000`, `-1`: `-1000000`, `1e3`: `1000000000`, `null`: `null`, `"2026-01-31T12:00:00"`: `"2026-01-31T12:00:00Z"`, `true`: `true`} {
		got, err := featureValue(json.RawMessage(in), feature.Timestamp)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// TestEvents: rows become events of the source: nested paths, its times, nulls left out but where the schema wants the field.
func TestEvents(t *testing.T) {
	src := &feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "s", EventTime: feature.TimeField{Field: "meta.at", Format: "unix_ms"}, Created: &feature.TimeField{Field: "meta.written", Format: "naive"},
		Schema: json.RawMessage(`{"type":"object","required":["must"],"properties":{"extra":{}}}`)}
	one := &feature.View{Meta: feature.Meta{Name: "one"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64, Path: "who.id"}}, Features: []feature.Field{
		{Name: "x", Type: feature.Float64, Path: "data.x"}, {Name: "must", Type: feature.String}, {Name: "joined", Type: feature.Timestamp}}}
	two := &feature.View{Meta: feature.Meta{Name: "two"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64, Path: "who.id"}, {Name: "town", Type: feature.String}}, Features: []feature.Field{{Name: "y", Type: feature.Int64, Path: "data.y"}, {Name: "at", Type: feature.Int64, Path: "meta.at"}}}
	f := frameOf(t, `{"id":[1,2],"x":[3.0,null],"must":["a",null],"joined":[5,null],"town":["Lyon","Köln"],"data.y":[null,7],"extra":[{"deep":[1]},null],"dropped":[1,2],
		"event_timestamp":["2026-01-31T00:00:00","2026-01-31T00:00:01"],"created":["2026-01-31T00:00:02",null]}`)
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	s, err := shapeOf(f, src, []*feature.View{one, two}, now)
	require.NoError(t, err)
	a, err := s.event(0)
	require.NoError(t, err)
	require.Equal(t, `{"data":{"x":3.0},"extra":{"deep":[1]},"joined":5000000,"meta":{"at":1769817600000,"written":"2026-01-31T00:00:02"},"must":"a","town":"Lyon","who":{"id":1}}`, string(a.Payload))
	require.Equal(t, "1", string(a.Key))
	b, err := s.event(1)
	require.NoError(t, err)
	require.Equal(t, `{"data":{"y":7},"meta":{"at":1769817601000,"written":"2026-02-01T00:00:00"},"must":null,"town":"Köln","who":{"id":2}}`, string(b.Payload))

	s, err = shapeOf(f, src, []*feature.View{two, one}, now)
	require.NoError(t, err)
	b, err = s.event(1)
	require.NoError(t, err)
	require.Equal(t, `{"id":2,"town":"Köln"}`, string(b.Key))

	one.Features = append(one.Features, feature.Field{Name: "z", Type: feature.Int64})
	_, err = shapeOf(f, src, []*feature.View{two, one}, now)
	require.ErrorContains(t, err, "no column for z of view one")
	one.Features[3] = feature.Field{Name: "town", Type: feature.Int64, Path: "data.x.deeper"}
	_, err = shapeOf(f, src, []*feature.View{one, two}, now)
	require.ErrorContains(t, err, "both data.x and data.x.deeper")
}

// TestNestedRequired: what the schema wants is there, as null, wherever it wants it; what is optional and has nothing in it is left out.
func TestNestedRequired(t *testing.T) {
	src := &feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "s", EventTime: feature.TimeField{Field: "at", Format: "unix_ms"},
		Schema: json.RawMessage(`{"type":"object","required":["must","id"],"properties":{
			"must":{"type":"object","required":["a","deep"],"properties":{"a":{},"b":{},"deep":{"$ref":"#/$defs/deep"}}},
			"may":{"allOf":[{"required":["c"]},{"properties":{"inner":{"type":"object","required":["d"]}}}]}},
			"$defs":{"deep":{"required":["e"],"properties":{"again":{"$ref":"#/$defs/deep"}}}}}`)}
	view := &feature.View{Meta: feature.Meta{Name: "one"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64}}}
	for _, p := range []string{"must.a", "must.b", "must.deep.e", "may.c", "may.inner.d", "may.x"} {
		view.Features = append(view.Features, feature.Field{Name: strings.ReplaceAll(p, ".", "_"), Type: feature.Int64, Path: p})
	}
	f := frameOf(t, `{"id":[1,1,1,1],"must_a":[null,1,null,null],"must_b":[null,2,3,null],"must_deep_e":[null,4,null,null],"may_c":[null,5,null,null],"may_inner_d":[null,6,null,null],"may_x":[null,7,8,null],
		"event_timestamp":["2026-01-31T00:00:00","2026-01-31T00:00:00","2026-01-31T00:00:00","2026-01-31T00:00:00"]}`)
	s, err := shapeOf(f, src, []*feature.View{view}, time.Now())
	require.NoError(t, err)
	for row, want := range []string{
		`{"at":1769817600000,"id":1,"must":{"a":null,"deep":{"e":null}}}`,
		`{"at":1769817600000,"id":1,"may":{"c":5,"inner":{"d":6},"x":7},"must":{"a":1,"b":2,"deep":{"e":4}}}`,
		`{"at":1769817600000,"id":1,"may":{"c":null,"x":8},"must":{"a":null,"b":3,"deep":{"e":null}}}`,
		`{"at":1769817600000,"id":1,"must":{"a":null,"deep":{"e":null}}}`,
	} {
		e, err := s.event(row)
		require.NoError(t, err)
		require.Equal(t, want, string(e.Payload), "row %d", row)
	}
	// One that refers to itself everywhere is read no longer than makes sense.
	src.Schema = json.RawMessage(`{"allOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}],"required":["may"],"properties":{"must":{"$ref":"#"},"may":{"$ref":"#"}}}`)
	_, err = shapeOf(f, src, []*feature.View{view}, time.Now())
	require.NoError(t, err)
}

// TestFrames: what is no frame is refused with the column's name.
func TestFrames(t *testing.T) {
	f := frameOf(t, `{"a":{"7":1,"3":2},"b":{"3":4,"7":3}}`)
	require.Equal(t, "3", string(f.column("b")[0]), "by index, not by place")
	require.Equal(t, 0, frameOf(t, `{}`).rows)
	for text, says := range map[string]string{
		`{"a":[1],"b":[1,2]}`:         "column b has 2 values where a has 1",
		`{"a":1}`:                     "column a must be a list",
		`{"a":{"0":1},"b":{"1":1}}`:   "column b has an index 1",
		`{"a":[1],"a":[2]}`:           "column a is there twice",
		`{"a":{"0":1,"1":2},"b":[1]}`: "column b has 1 values",
	} {
		var o ordered
		require.NoError(t, json.Unmarshal([]byte(text), &o))
		_, err := readFrame(o)
		require.ErrorContains(t, err, says)
	}
	var o ordered
	require.Error(t, json.Unmarshal([]byte(`[1]`), &o))
	require.Error(t, json.NewDecoder(strings.NewReader(`{"a":`)).Decode(&o))
}

func TestConfig(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	require.ErrorContains(t, Config{}.Validate(), "feast.write_timeout:")
}

// TestWideFrame: the rows of pandas' to_dict are found by their index without a search through all of
// them, in whatever order: a body of 16 MiB has a million, and a search each would take an hour.
func TestWideFrame(t *testing.T) {
	const rows = 300_000
	member := func(i int) string { return fmt.Sprintf(`"%d":%d`, i, i) }
	var up, down []string
	for i := range rows {
		up, down = append(up, member(i)), append(down, member(rows-1-i))
	}
	f := frameOf(t, `{"a":{`+strings.Join(up, ",")+`},"b":{`+strings.Join(down, ",")+`}}`)
	require.Equal(t, rows, f.rows)
	for i := range rows {
		if a, b := f.columns[0][i], f.columns[1][i]; string(a) != strconv.Itoa(i) || string(b) != string(a) {
			t.Fatalf("row %d: %s and %s", i, a, b)
		}
	}
	_, err := readFrame(ordered{{"a", []byte(`{"0":1,"1":2}`)}, {"b", []byte(`{"0":1,"2":2}`)}})
	require.EqualError(t, err, "column b has an index 2, which a has not")
	_, err = readFrame(ordered{{"a", []byte(`{"0":1,"0":2}`)}})
	require.EqualError(t, err, "column a has the index 0 twice")
}

// TestHugeTime: a number of ten characters does not become an event of a million.
func TestHugeTime(t *testing.T) {
	for _, in := range []string{`1e999999`, `-1e999999`, `1e-999999`, `1e30`} {
		got, err := featureValue(json.RawMessage(in), feature.Timestamp)
		require.NoError(t, err)
		require.LessOrEqual(t, len(got), 64, in)
	}
}

// TestWholeFloats: pandas makes floats of whole numbers with a gap among them. They are the
// same keys as without one, and their records belong into the same partition.
func TestWholeFloats(t *testing.T) {
	src := &feature.Source{Meta: feature.Meta{Name: "s"}, Topic: "s", EventTime: feature.TimeField{Field: "at"}}
	v := &feature.View{Meta: feature.Meta{Name: "v"}, Keys: []feature.Field{{Name: "id", Type: feature.Int64}}, Features: []feature.Field{{Name: "n", Type: feature.Int32}, {Name: "x", Type: feature.Float64}}}
	f := frameOf(t, `{"id":[7,7.0,7e0,9007199254740993],"n":[1,1.0,null,1.5],"x":[1.0,1.0,1.0,1.0],"at":["2026-01-01","2026-01-01","2026-01-01","2026-01-01"]}`)
	s, err := shapeOf(f, src, []*feature.View{v}, time.Now())
	require.NoError(t, err)
	for row, want := range []struct{ key, payload string }{
		{`7`, `{"at":"2026-01-01T00:00:00Z","id":7,"n":1,"x":1.0}`},
		{`7`, `{"at":"2026-01-01T00:00:00Z","id":7,"n":1,"x":1.0}`},
		{`7`, `{"at":"2026-01-01T00:00:00Z","id":7,"x":1.0}`},
		{`9007199254740993`, `{"at":"2026-01-01T00:00:00Z","id":9007199254740993,"n":1.5,"x":1.0}`}, // what is no whole number is for the checks
	} {
		e, err := s.event(row)
		require.NoError(t, err)
		require.Equal(t, want.key, string(e.Key))
		require.Equal(t, want.payload, string(e.Payload))
	}
}

// TestUnreadableBodies: what is wrong with a body is said in the caller's words.
func TestUnreadableBodies(t *testing.T) {
	for body, want := range map[string]string{
		`[]`: "an object is wanted", `5`: "an object is wanted", `{"push_source_name":5}`: "push_source_name", `{"df":5}`: "an object of columns is wanted",
		``: "unexpected end", `{"df":{"x":[NaN]}}`: "send null",
	} {
		err := read("push", []byte(body), &pushBody{})
		require.ErrorContains(t, err, want, body)
		require.NotContains(t, err.Error(), "Go ", body)
		require.Equal(t, strings.Contains(body, "NaN"), strings.Contains(err.Error(), "NaN and Infinity"), body)
	}
}

// TestListValues: a list in a frame is one in the event, its elements as scalars are: times in
// seconds or texts, whole numbers as floats. What is no list, or has a null in it, the checks refuse.
func TestListValues(t *testing.T) {
	for _, c := range []struct {
		of       feature.Type
		in, want string
	}{
		{feature.Int64, `[1, 2.0, 7e0, 1.5, null]`, `[1,2,7,1.5,null]`},
		{feature.Int32, `[]`, `[]`},
		{feature.Int32, `null`, `null`},
		{feature.Int64, `7.0`, `7.0`},
		{feature.Timestamp, `[1700000000, "2026-01-02T03:04:05", 0, null, 0.5]`, `[1700000000000000,"2026-01-02T03:04:05Z",0,null,500000]`},
		{feature.Float64, `[1.0, 2]`, `[1.0, 2]`},
		{feature.Float32, `[null]`, `[null]`},
		{feature.String, `["a", "1"]`, `["a", "1"]`},
		{feature.Bool, `[true]`, `[true]`},
		{feature.Bytes, `["AP8="]`, `["AP8="]`},
		{feature.Int64, `[[1]]`, `[[1]]`},
	} {
		got, err := featureValue(json.RawMessage(c.in), feature.Array(c.of))
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, string(got))
	}
	_, err := featureValue(json.RawMessage(`[1, "tomorrow"]`), feature.Array(feature.Timestamp))
	require.ErrorContains(t, err, "element 1")
	require.ErrorContains(t, err, "tomorrow")
}
