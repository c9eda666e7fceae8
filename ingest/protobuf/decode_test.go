package protobuf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weir-ml/weir/internal/protoschema"
	"github.com/weir-ml/weir/internal/testseed"
)

const everything3 = `syntax = "proto3";
package t;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
enum E { ZERO = 0; ONE = 1; TWO = 2; }
message All {
  double d = 1; float f = 2; int32 i32 = 3; int64 i64 = 4; uint32 u32 = 5; uint64 u64 = 6; sint32 s32 = 7; sint64 s64 = 8;
  fixed32 f32 = 9; fixed64 f64 = 10; sfixed32 sf32 = 11; sfixed64 sf64 = 12; bool b = 13; string s = 14; bytes y = 15; E e = 16;
  optional int64 oi = 17; optional string os = 18; optional E oe = 19;
  repeated int32 ri = 20; repeated double rd = 21; repeated string rs = 22; repeated E re = 23; repeated sint64 unpacked = 24 [packed = false];
  map<string, int64> msi = 25; map<int32, All> mia = 26; map<bool, E> mbe = 27;
  All inside = 28; repeated All more = 29;
  oneof which { string ws = 30; int32 wi = 31; All wa = 32; }
  google.protobuf.Timestamp at = 33; google.protobuf.Int64Value wrapped = 34; google.protobuf.StringValue text = 35; google.protobuf.BytesValue raw = 36;
  google.protobuf.Struct any = 37; google.protobuf.Value v = 38; repeated google.protobuf.Timestamp times = 39; google.protobuf.DoubleValue dv = 40;
  message In { int32 camelCase = 1; int32 snake_case = 2; }
  In in = 41;
  fixed32 rest = 1000;
}`

const everything2 = `syntax = "proto2";
package t;
enum E { ONE = 1; TWO = 2; }
message All {
  optional int32 i = 1; optional E e = 2; repeated E re = 3; optional group G = 4 { optional int64 x = 1; repeated string s = 2; }
  repeated group H = 5 { optional All all = 1; }
  repeated int64 packed = 6 [packed = true]; repeated fixed64 not = 7; map<string, string> m = 8; optional double d = 9;
}`

func message(t testing.TB, text, name string) protoreflect.MessageDescriptor {
	t.Helper()
	f, err := protoschema.Parse(text, nil)
	require.NoError(t, err)
	m, err := protoschema.Message(f, name)
	require.NoError(t, err)
	return m
}

// fill puts random values into a message.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp":
		f := m.Descriptor().Fields()
		m.Set(f.ByNumber(1), protoreflect.ValueOfInt64(r.Int64N(300_000_000_000)-60_000_000_000))
		m.Set(f.ByNumber(2), protoreflect.ValueOfInt32(int32([]int{0, 5_000_000, 7_000, 9}[r.IntN(4)])))
		return
	case "google.protobuf.Value":
		f := m.Descriptor().Fields().Get(r.IntN(6))
		if f.Message() != nil {
			fill(r, m.Mutable(f).Message(), depth-1)
		} else {
			m.Set(f, scalar(r, f))
		}
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() != nil && depth <= 0 || r.IntN(3) == 0 {
			continue
		}
		switch {
		case f.IsMap():
			for range r.IntN(4) {
				k := scalar(r, f.MapKey()).MapKey()
				if f.MapValue().Message() != nil {
					fill(r, m.Mutable(f).Map().Mutable(k).Message(), depth-2)
				} else {
					m.Mutable(f).Map().Set(k, scalar(r, f.MapValue()))
				}
			}
		case f.IsList():
			for range r.IntN(4) {
				if f.Message() != nil {
					fill(r, m.Mutable(f).List().AppendMutable().Message(), depth-2)
				} else {
					m.Mutable(f).List().Append(scalar(r, f))
				}
			}
		case f.Message() != nil:
			if r.IntN(2) == 0 {
				fill(r, m.Mutable(f).Message(), depth-2)
			}
		default:
			m.Set(f, scalar(r, f))
		}
	}
}

func scalar(r *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	n := int64(r.Uint64()) >> r.IntN(64)
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n%2 == 0)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	case protoreflect.FloatKind:
		x := math.Float32frombits(r.Uint32())
		if x-x != 0 {
			x = 1.5
		}
		return protoreflect.ValueOfFloat32(x)
	case protoreflect.DoubleKind:
		x := math.Float64frombits(r.Uint64())
		if x-x != 0 {
			x = 0
		}
		return protoreflect.ValueOfFloat64(x)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString([]string{"", "a", "é\"\\\n", "日"}[r.IntN(4)])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0, 255, 3}[:r.IntN(4)])
	}
	vs := f.Enum().Values()
	if !f.Enum().IsClosed() && f.Enum().FullName() != "google.protobuf.NullValue" && r.IntN(5) == 0 {
		return protoreflect.ValueOfEnum(77)
	}
	return protoreflect.ValueOfEnum(vs.Get(r.IntN(vs.Len())).Number())
}

// same compares our JSON with that of protobuf's own, which writes numbers of 64 bits as texts.
func same(t testing.TB, theirs, ours any, at string) {
	switch x := ours.(type) {
	case map[string]any:
		y, ok := theirs.(map[string]any)
		require.True(t, ok && len(x) == len(y), "%s: %v, theirs %v", at, ours, theirs)
		for k := range x {
			other, ok := y[k]
			if !ok {
				other = y[strings.ToUpper(k)] // a group, which protobuf's JSON names by its message
			}
			same(t, other, x[k], at+"."+k)
		}
	case []any:
		y, ok := theirs.([]any)
		require.True(t, ok && len(x) == len(y), "%s: %v, theirs %v", at, ours, theirs)
		for i := range x {
			same(t, y[i], x[i], at+"[]")
		}
	case json.Number:
		if s, ok := theirs.(string); ok {
			require.Equal(t, s, string(x), at)
			return
		}
		a, err := strconv.ParseFloat(string(x), 64)
		require.NoError(t, err)
		b, err := strconv.ParseFloat(string(theirs.(json.Number)), 64)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(b), math.Float64bits(a), at)
	default:
		require.Equal(t, theirs, ours, at)
	}
}

func parsed(t testing.TB, text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), "%s", text)
	return v
}

// theirs reads a message as protobuf's own implementation does. It panics at keys of maps that were written as something else.
func theirs(wire []byte, m proto.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("protobuf: %v", p)
		}
	}()
	return proto.Unmarshal(wire, m)
}

// TestRandomEvents: what protobuf's own implementation writes of random messages, merged from
// parts, is read as it reads it itself.
func TestRandomEvents(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): one goroutine, which takes ten times as long under the race detector")
	}
	for name, text := range map[string]string{"proto3": everything3, "proto2": everything2} {
		t.Run(name, func(t *testing.T) {
			m := message(t, text, "t.All")
			d, err := New(m, 1<<22)
			require.NoError(t, err)
			read := 0
			for seed := range testseed.Each(t, 300) {
				r := rand.New(rand.NewPCG(seed, 1))
				var wire []byte
				for range r.IntN(3) {
					x := dynamicpb.NewMessage(m)
					fill(r, x, 3)
					b, err := proto.MarshalOptions{Deterministic: true}.Marshal(x) // the same cases each time
					require.NoError(t, err)
					wire = append(wire, b...)
				}
				if r.IntN(3) == 0 && len(wire) > 0 && name == "proto3" { // protobuf for Go takes closed enums for open ones
					wire[r.IntN(len(wire))] ^= 1 << r.IntN(8)
				}
				x := dynamicpb.NewMessage(m)
				perr := theirs(wire, x)
				got, err := d.AppendJSON(nil, wire)
				if perr != nil { // what a later occurrence replaces, only the other one looks into
					continue
				}
				want, perr := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(x)
				if perr != nil || bytes.Contains(want, []byte(`"NaN"`)) || bytes.Contains(want, []byte(`Infinity"`)) {
					require.Error(t, err, "%x %v", wire, perr)
					continue
				}
				require.NoError(t, err, "%x %s", wire, want)
				same(t, parsed(t, want), parsed(t, got), "")
				read++
			}
			require.Greater(t, read, 200)
		})
	}
}

func TestValues(t *testing.T) {
	m := message(t, `syntax = "proto2"; message R { required int32 a = 1; optional string s = 2 [default = "x"]; optional sint64 z = 3 [default = -7]; optional R r = 4; }`, "")
	d, err := New(m, 1<<16)
	require.NoError(t, err)
	got, err := d.AppendJSON([]byte("x"), []byte{8, 1})
	require.NoError(t, err)
	require.Equal(t, `x{"a":1,"s":"x","z":-7}`, string(got))
	_, err = d.AppendJSON(nil, []byte{8, 1, 34, 0})
	require.EqualError(t, err, "r.a: it is required and was not written")
	_, err = d.AppendJSON(nil, []byte{8})
	require.ErrorContains(t, err, "cut off")
	_, err = d.AppendJSON(nil, []byte{8, 1, 18, 1, 255})
	require.EqualError(t, err, "s: a text is not UTF-8")
}

// TestEmptyValue: a google.protobuf.Value that is neither null nor anything else is an error, as its own description
// says, wherever it stands.
func TestEmptyValue(t *testing.T) {
	d, err := New(message(t, everything3, "t.All"), 1<<16)
	require.NoError(t, err)
	for name, wire := range map[string][]byte{
		"a field":                {0xb2, 2, 0},
		"of a Struct":            {0xaa, 2, 5, 10, 3, 10, 1, 'k'},
		"of a Struct, empty":     {0xaa, 2, 7, 10, 5, 10, 1, 'k', 18, 0},
		"with something else":    {0xb2, 2, 3, 0xc0, 62, 1},
		"of a list in the Value": {0xb2, 2, 4, 50, 2, 10, 0},
	} {
		_, err := d.AppendJSON(nil, wire)
		require.ErrorContains(t, err, "this one is empty", name)
	}
	got, err := d.AppendJSON(nil, []byte{0xb2, 2, 2, 8, 0})
	require.NoError(t, err)
	require.Contains(t, string(got), `"v":null`)
}

// TestHostile: few bytes that stand for very much cost no more than their limit.
func TestHostile(t *testing.T) {
	m := message(t, everything3, "t.All")
	d, err := New(m, 1<<20)
	require.NoError(t, err)
	_, err = d.AppendJSON(nil, bytes.Repeat([]byte{0xea, 1, 0}, 300_000)) // more: {}
	require.ErrorContains(t, err, "too large")
	deep := []byte{}
	for range 400 {
		deep = append([]byte{0xe2, 1, byte(len(deep)&127 | 128), byte(len(deep) >> 7)}, deep...)
	}
	_, err = d.AppendJSON(nil, deep)
	require.ErrorContains(t, err, "nests more than")
	for _, text := range []string{"", "x", `syntax = "proto3";`, `syntax = "proto3"; import "nowhere.proto"; message M {}`, `syntax = "proto3"; message M { N n = 1; }`, strings.Repeat("message A {", 5000)} {
		f, err := protoschema.Parse(text, nil)
		if err == nil {
			_, err = protoschema.Message(f, "")
		}
		require.Error(t, err, "%.20s", text)
	}
}

// FuzzDecode: no payload makes the decoder panic, run long, or give anything but JSON; what both
// read, protobuf's own implementation reads alike.
func FuzzDecode(f *testing.F) {
	m := message(f, everything3, "t.All")
	d, err := New(m, 1<<16)
	require.NoError(f, err)
	f.Add([]byte{8, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		out, err := d.AppendJSON(nil, payload)
		if err == nil && !json.Valid(out) {
			t.Fatalf("%s", out)
		}
		x := dynamicpb.NewMessage(m)
		if err != nil || proto.Unmarshal(payload, x) != nil {
			return
		}
		if want, err := (protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}).Marshal(x); err == nil {
			same(t, parsed(t, want), parsed(t, out), "")
		}
	})
}
