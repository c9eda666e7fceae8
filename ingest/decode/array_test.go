package decode

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

func TestArrayValues(t *testing.T) {
	v := view("v", 1, "id:string", "b:array<bool>", "i:array<int32>", "l:array<int64>", "f:array<float32>", "d:array<float64>",
		"s:array<string>", "y:array<bytes>", "t:array<timestamp>", "n:array<int64>:a.n")
	d := decoder(t, source("", "ts", ""), Options{}, v)
	at := feature.Time(noon).Format(time.RFC3339)
	long := strings.Repeat("long", 100)
	none := make([]any, 9)
	for i, c := range []struct {
		event string // without id and ts
		want  []any
		// of a rejected event, per reason
		paths, value, says string
	}{
		{event: `"a":{}`, want: none},
		{event: `"b":null,"i":null,"l":null,"f":null,"d":null,"s":null,"y":null,"t":null,"a":{"n":null}`, want: none},
		{event: `"b":[],"i":[],"l":[],"f":[],"d":[],"s":[],"y":[],"t":[],"a":{"n":[]}`, want: []any{[]any{}, []any{}, []any{}, []any{}, []any{}, []any{}, []any{}, []any{}, []any{}}},
		{event: `"b":[true,false],"i":[-2147483648, 3.0],"l":[9223372036854775807,1e3],"f":[1.5,3.4028235e38,16777217],"d":[-0.0,0.1000000000000000055511151231257827,1e-400],` +
			`"s":["","é\n\u00e9","` + long + `"],"y":["aGk=",""],"t":["2026-03-01T12:00:00+02:00","2026-03-01 12:00:00.123456789",-1],"a":{"n":[5]}`,
			want: []any{[]any{true, false}, []any{int32(math.MinInt32), int32(3)}, []any{int64(math.MaxInt64), int64(1000)},
				[]any{float32(1.5), float32(math.MaxFloat32), float32(16777216)}, []any{math.Copysign(0, -1), 0.1, 0.0},
				[]any{"", "é\né", long}, []any{"hi", ""}, []any{noon - 2*3600_000_000, noon + 123456, int64(-1)}, []any{int64(5)}}},
		{event: `"i":5`, paths: "i", value: "5", says: "array<int32>: a list, each of its elements a number without fraction"},
		{event: `"s":"x"`, paths: "s", value: "x", says: "array<string>: a list, each of its elements text"},
		{event: `"s":{"0":"x"}`, paths: "s", value: `{"0":"x"}`, says: "a list"},
		{event: `"s":["a","b","c",null,null]`, paths: "s[3]", value: "null", says: "an element may not be null"},
		{event: `"d":[null]`, paths: "d[0]", value: "null", says: "an element of array<float64>: a number within the range of 64-bit floats; an element may not be null"},
		{event: `"d":[1,[2,3],4,"x"]`, paths: "d[1]", value: "[2,3]", says: "an element of array<float64>"},
		{event: `"d":[1,{"x":2}]`, paths: "d[1]", value: `{"x":2}`},
		{event: `"d":[1,1e400]`, paths: "d[1]", value: "1e400"},
		{event: `"d":[1,"2"]`, paths: "d[1]", value: "2"},
		{event: `"f":[1e39]`, paths: "f[0]", value: "1e39"},
		{event: `"f":[true]`, paths: "f[0]", value: "true"},
		{event: `"i":[1,2,2147483648]`, paths: "i[2]", value: "2147483648"},
		{event: `"i":[1.5]`, paths: "i[0]", value: "1.5"},
		{event: `"l":[9223372036854775808]`, paths: "l[0]", value: "9223372036854775808"},
		{event: `"b":[true,0]`, paths: "b[1]", value: "0"},
		{event: `"y":["aGk=","aGl="]`, paths: "y[1]", value: "aGl="},
		{event: `"y":["aG\nk="]`, paths: "y[0]", value: "aG\nk="},
		{event: `"y":[1]`, paths: "y[0]", value: "1"},
		{event: `"t":["2026-02-29T00:00:00Z"]`, paths: "t[0]", value: "2026-02-29T00:00:00Z"},
		{event: `"t":[0,999999999999999999]`, paths: "t[1]", value: "999999999999999999"},
		{event: `"s":[1],"a":{"n":[1,2,"x"]},"b":true`, paths: "b s[0] a.n[2]", value: "true"},
	} {
		d.Decode(Record{Value: fmt.Appendf(nil, `{"id":"k","ts":%q,%s}`, at, c.event), Offset: int64(2 * i), Timestamp: noon})
		d.Decode(Record{Key: []byte("k"), Offset: int64(2*i + 1), Timestamp: noon})
		res := d.Cut(feature.Origin{Topic: "s"})[0]
		sound(t, res)
		last := res.Batch.Len() - 1
		if got := cells(res.Batch, last); !res.Batch.Deleted(last) || !reflect.DeepEqual(got[1:], none) {
			t.Errorf("%s: the tombstone after it is %v", c.event, got)
		}
		if c.want != nil {
			if last != 1 {
				t.Errorf("%s: %+v", c.event, res.Rejected)
			} else if got := cells(res.Batch, 0)[1:]; !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s:\n got %v\nwant %v", c.event, got, c.want)
			}
			continue
		}
		if last != 0 || len(res.Rejected) != 1 {
			t.Errorf("%s: %d rows, %+v", c.event, last, res.Rejected)
			continue
		}
		var paths []string
		for _, r := range res.Rejected[0].Reasons {
			if r.Rule != feature.RuleDecode {
				t.Errorf("%s: %+v", c.event, r)
			}
			paths = append(paths, r.Path)
		}
		if r := res.Rejected[0].Reasons[0]; strings.Join(paths, " ") != c.paths || r.Value != c.value || !strings.Contains(r.Expected, c.says) {
			t.Errorf("%s: %+v", c.event, res.Rejected[0].Reasons)
		}
	}
}

// list is an array's elements.
func list(t feature.Type, packed []byte) []any {
	var v feature.Vector
	if err := v.Unpack(t, packed); err != nil {
		panic(err)
	}
	out := []any{}
	for i := range v.Valid {
		switch v.Type {
		case feature.Bool:
			out = append(out, v.Bools[i])
		case feature.Int32:
			out = append(out, v.Int32s[i])
		case feature.Int64, feature.Timestamp:
			out = append(out, v.Int64s[i])
		case feature.Float32:
			out = append(out, v.Float32[i])
		case feature.Float64:
			out = append(out, v.Float64[i])
		default:
			out = append(out, string(v.Bytes[i]))
		}
	}
	return out
}

// The event's schema judges lists as ever, before a column does.
func TestArraysUnderSchema(t *testing.T) {
	d := decoder(t, source(`{"properties":{"s":{"type":"array","items":{"type":"string"},"maxItems":2,"uniqueItems":true}}}`, "ts", ""), Options{},
		view("v", 1, "id:string", "s:array<string>"), view("w", 1, "id:string", "n:array<int64>"))
	for _, c := range []struct{ event, first, second string }{
		{`"s":["a","b"],"n":[1]`, "", ""},
		{`"s":["a","b"],"n":["x"]`, "", "decode(n[0])"},
		{`"s":["a","a"]`, "schema.uniqueItems(s)", "schema.uniqueItems(s)"},
		{`"s":["a","b","c"]`, "schema.maxItems(s)", "schema.maxItems(s)"},
	} {
		d.Decode(Record{Value: fmt.Appendf(nil, `{"id":"k","ts":"2026-03-01T12:00:00Z",%s}`, c.event), Timestamp: noon})
		for i, res := range d.Cut(feature.Origin{}) {
			sound(t, res)
			got := ""
			if len(res.Rejected) > 0 {
				got = rules(res.Rejected[0].Reasons)
			}
			if want := []string{c.first, c.second}[i]; got != want || (got == "") != (res.Batch.Len() == 1) {
				t.Errorf("%s in view %d: %s, want %s", c.event, i, got, want)
			}
		}
	}
}

// What is no scalar in a file has its rows judged as events; binary is text there,
// never taken for the packed form.
func TestColumnsLeaveArraysToEvents(t *testing.T) {
	v := view("v", 1, "id:string", "a:array<int64>", "x:int64")
	v.SourceOf = source("", "ts", "")
	names := []string{"id", "ts", "a"}
	text, stamp := arrow.BinaryTypes.String, feature.Timestamp.Arrow()
	for _, c := range []struct {
		names   []string
		types   []arrow.DataType
		covered bool
	}{
		{names[:2], []arrow.DataType{text, stamp}, true},
		{names, []arrow.DataType{text, stamp, arrow.BinaryTypes.Binary}, false},
		{names, []arrow.DataType{text, stamp, text}, false},
		{names, []arrow.DataType{text, stamp, arrow.ListOf(arrow.PrimitiveTypes.Int64)}, false},
		{[]string{"id", "ts", "other"}, []arrow.DataType{text, stamp, arrow.ListOf(arrow.PrimitiveTypes.Int64)}, false},
	} {
		if _, ok, err := NewColumns(v.SourceOf, v, Options{Import: true}, c.names, c.types); ok != c.covered || err != nil {
			t.Errorf("%v of types %v: %v, %v", c.names, c.types, ok, err)
		}
	}
}
