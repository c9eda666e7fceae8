package feastredis

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	feasttypes "github.com/weir-ml/weir/proto/feast/types"
	"github.com/weir-ml/weir/registry/feature"
)

// The bytes of values, by hand.

func varint(field protowire.Number, v uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v))
}

func text(field protowire.Number, v string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), v))
}

func double(v float64) string {
	return string(protowire.AppendFixed64(protowire.AppendTag(nil, 5, protowire.Fixed64Type), math.Float64bits(v)))
}

func float(v float32) string {
	return string(protowire.AppendFixed32(protowire.AppendTag(nil, 6, protowire.Fixed32Type), math.Float32bits(v)))
}

func stamp(seconds, nanos int64) string { return varint(1, uint64(seconds)) + varint(2, uint64(nanos)) }

func int64Key(n int64) keyValue {
	return keyValue{keyInt64, binary.LittleEndian.AppendUint64(nil, uint64(n))}
}

func driver(n int64, project string) []byte {
	return append(appendKey(3, []string{"driver"}, []keyValue{int64Key(n)}), project...)
}

var stats = View{Name: "stats", Keys: fields("driver", feature.Int64), Features: fields("trips", feature.Int64, "rating", feature.Float32)}

// TestUnreadable: each fault is named, counted and shown by example, and the row is left out whole.
func TestUnreadable(t *testing.T) {
	trips, rating := FeatureField("stats", "trips"), FeatureField("stats", "rating")
	tags, marks := FeatureField("stats", "tags"), FeatureField("stats", "marks")
	stats := stats
	stats.Features = append(fields("tags", feature.Array(feature.String), "marks", feature.Array(feature.Float32)), stats.Features...)
	for name, c := range map[string]struct {
		hash   map[string]string
		field  string
		reason string // empty: it can be read
	}{
		"whole":            {map[string]string{"_ts:stats": stamp(1, 0), trips: varint(4, 7), rating: float(0.1)}, "", ""},
		"epoch":            {map[string]string{"_ts:stats": "", trips: varint(4, 7)}, "", ""},
		"an older int":     {map[string]string{"_ts:stats": stamp(1, 0), trips: varint(3, 7)}, "", ""},
		"an unknown field": {map[string]string{"_ts:stats": stamp(1, 0) + text(9, "x"), trips: varint(4, 7)}, "", ""},
		"a short double":   {map[string]string{"_ts:stats": stamp(1, 0), rating: double(0.5)}, "", ""},
		"NaN":              {map[string]string{"_ts:stats": stamp(1, 0), rating: float(float32(math.NaN()))}, "", ""},
		"no time":          {map[string]string{trips: varint(4, 7)}, "", "there are values, but no event time"},
		"damaged time":     {map[string]string{"_ts:stats": "\x08", trips: varint(4, 7)}, "", "the event time cannot be read: unexpected EOF"},
		"time as text":     {map[string]string{"_ts:stats": text(1, "now"), trips: varint(4, 7)}, "", "the event time cannot be read: a number is written in another way"},
		"time of year 10k": {map[string]string{"_ts:stats": stamp(253402300800, 0), trips: varint(4, 7)}, "", "the event time cannot be read: out of range"},
		"negative nanos":   {map[string]string{"_ts:stats": stamp(1, -1), trips: varint(4, 7)}, "", "the event time cannot be read: out of range"},
		"other features":   {map[string]string{"_ts:stats": stamp(1, 0), FeatureField("stats", "tips"): varint(4, 7)}, "", "none of the view's features are there under the names that Weir has for them"},
		"damaged value":    {map[string]string{"_ts:stats": stamp(1, 0), trips: "\x20"}, "trips", "the value is damaged: unexpected EOF"},
		"not UTF-8":        {map[string]string{"_ts:stats": stamp(1, 0), trips: text(2, "\xff")}, "trips", "the value is damaged: the string is not UTF-8"},
		"wrong wire type":  {map[string]string{"_ts:stats": stamp(1, 0), trips: text(4, "7")}, "trips", "the value is damaged: its int64 is written in another way"},
		"another type":     {map[string]string{"_ts:stats": stamp(1, 0), trips: text(2, "7")}, "trips", "Feast has string, the view of Weir int64"},
		"a long double":    {map[string]string{"_ts:stats": stamp(1, 0), rating: double(0.1)}, "rating", "double that no float32 is equal to"},
		"infinity":         {map[string]string{"_ts:stats": stamp(1, 0), rating: float(float32(math.Inf(1)))}, "rating", "float that is infinite, which no event can have"},
		"a list":           {map[string]string{"_ts:stats": stamp(1, 0), rating: text(16, text(1, "\x00\x00\x00\x00"))}, "rating", "Feast has float_list, the view of Weir float32"},
		"a set":            {map[string]string{"_ts:stats": stamp(1, 0), rating: text(27, "")}, "rating", "Feast has float_set, and Weir takes no values of that kind"},
		"lists":            {map[string]string{"_ts:stats": stamp(1, 0), tags: text(12, text(1, "a")) + text(12, text(1, "")), marks: text(16, text(1, "\x00\x00\xc0\x3f")+"\x0d\x00\x00\x00\x00")}, "", ""},
		"a scalar":         {map[string]string{"_ts:stats": stamp(1, 0), tags: text(2, "a")}, "tags", "Feast has string, the view of Weir array<string>"},
		"a cut list":       {map[string]string{"_ts:stats": stamp(1, 0), tags: text(12, "\x0a\x02a")}, "tags", "the value is damaged: unexpected EOF"},
		"a cut element":    {map[string]string{"_ts:stats": stamp(1, 0), marks: text(16, text(1, "\x00\x00\xc0"))}, "marks", "the value is damaged: unexpected EOF"},
		"a wrong element":  {map[string]string{"_ts:stats": stamp(1, 0), marks: text(16, varint(1, 5))}, "marks", "the value is damaged: an element of its float_list is written in another way"},
		"a wrong list":     {map[string]string{"_ts:stats": stamp(1, 0), marks: varint(16, 5)}, "marks", "the value is damaged: its float_list is written in another way"},
		"no UTF-8 in it":   {map[string]string{"_ts:stats": stamp(1, 0), tags: text(12, text(1, "a")+text(1, "\xff"))}, "tags", "the value is damaged: string 1 of the list is not UTF-8"},
		"NaN in a list":    {map[string]string{"_ts:stats": stamp(1, 0), marks: text(16, text(1, "\x00\x00\xc0\x7f"))}, "marks", "float_list with a NaN, which no event can have, nor an array a null"},
		"infinity in it":   {map[string]string{"_ts:stats": stamp(1, 0), marks: text(16, text(1, "\x00\x00\x80\x7f"))}, "marks", "float_list with float that is infinite, which no event can have"},
		"a newer kind":     {map[string]string{"_ts:stats": stamp(1, 0), rating: text(99, "")}, "rating", "Feast has kind 99, and Weir takes no values of that kind"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader("p", []View{stats})
			key, n := driver(5, "p"), 0
			require.True(t, r.Wants(key))
			require.NoError(t, r.Read(key, c.hash, func(_ int, row Row) error {
				n++
				require.Equal(t, []any{int64(5)}, row.Keys)
				return nil
			}))
			v := r.Report().Views[0]
			require.EqualValues(t, 1, v.Entities)
			if c.reason == "" {
				require.Equal(t, 1, n)
				require.Empty(t, v.Reasons)
				return
			}
			require.Zero(t, n)
			require.EqualValues(t, 1, v.Skipped())
			require.Equal(t, []*Reason{{Field: c.field, Text: c.reason, Entities: 1, Examples: []string{"driver=5"}}}, v.Reasons)
		})
	}
}

// TestCounts: reasons are added up, with a few examples each; what is not Feast's is passed over.
func TestCounts(t *testing.T) {
	r := NewReader("p", []View{stats})
	trips := FeatureField("stats", "trips")
	for n := range int64(10) {
		require.NoError(t, r.Read(driver(n, "p"), map[string]string{"_ts:stats": stamp(1, 0), trips: text(2, "x"), FeatureField("stats", "more"): text(12, "")}, nil))
	}
	require.NoError(t, r.Read(driver(10, "p"), map[string]string{"_ts:stats": stamp(1, 0), FeatureField("stats", "rating"): float(float32(math.NaN()))}, func(int, Row) error { return nil }))
	require.NoError(t, r.Read(driver(11, "p"), nil, nil), "it expired meanwhile")
	v := r.Report().Views[0]
	require.Equal(t, []*Reason{{Field: "trips", Text: "Feast has string, the view of Weir int64", Entities: 10, Examples: []string{"driver=0", "driver=1", "driver=2"}}}, v.Reasons)
	require.Equal(t, []int64{1, 10}, v.Absent)
	require.Equal(t, []int64{0, 1}, v.NotNumbers)
	require.Equal(t, map[string]int64{"string_list": 10}, r.Report().Unnamed)

	for _, key := range [][]byte{driver(1, "q"), driver(1, "pp"), []byte("session:p"), []byte("p"), nil, []byte("\x01\x00\x00\x00p"), driver(1, "")} {
		require.False(t, r.Wants(key), "%q", key)
	}
	require.Equal(t, map[string]int64{"q": 1, "pp": 1, "": 1}, r.Report().OtherProjects)
}

// TestIntegers: what fits is taken, and nothing is rounded.
func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		n    int64
		to   feature.Type
		want any
	}{
		{math.MaxInt32, feature.Int32, int32(math.MaxInt32)}, {math.MaxInt32 + 1, feature.Int32, nil}, {math.MinInt64, feature.Int64, int64(math.MinInt64)},
		{1 << 53, feature.Float64, float64(1 << 53)}, {1<<53 + 1, feature.Float64, nil}, {math.MinInt64, feature.Float64, nil},
		{-1 << 24, feature.Float32, float32(-1 << 24)}, {1<<24 + 1, feature.Float32, nil}, {1, feature.Bool, nil}, {1, feature.Timestamp, nil}, {1, feature.String, nil},
	} {
		got, _, err := value{kind: kindInt64, n: c.n}.convert(c.to)
		require.Equal(t, c.want, got)
		require.Equal(t, c.want == nil, err != nil)
	}
	_, _, err := value{kind: kindTime, n: 253402300800}.convert(feature.Timestamp)
	require.Error(t, err)
	_, err = keyValue{keyInt64, []byte{1}}.convert(feature.Int64)
	require.Error(t, err)
	old, err := keyValue{keyInt64, []byte{0xfe, 0xff, 0xff, 0xff}}.convert(feature.Int64)
	require.NoError(t, err)
	require.Equal(t, int64(-2), old, "version 1 kept four bytes")
}

// FuzzKey: whatever is a key is byte for byte what it was read as, and nothing panics.
func FuzzKey(f *testing.F) {
	for _, h := range load(f).Hashes {
		f.Add([]byte(unhex(f, h.Key)))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		if names, values, project, ok := entityNames(key); ok {
			require.Equal(t, string(key), string(appendKey(3, names, values))+string(project))
			_ = showEntity(names, values)
			for _, v := range values {
				for to := feature.Bool; to <= feature.Timestamp; to++ {
					_, _ = v.convert(to)
				}
			}
		}
		names := []string{"driver_id", "region"}
		for n := 1; n <= 2; n++ {
			for _, version := range []int{2, 3} {
				if values, project, ok := entityOf(key, [][]byte{keyPrefix(version, names[:n])}, n); ok {
					require.Equal(t, string(key), string(appendKey(version, names[:n], values))+string(project))
				}
			}
		}
		olderName(key)
	})
}

// FuzzValue: no bytes make the reader of values panic, a float that is taken is the same float, and a list is what
// the generated type reads.
func FuzzValue(f *testing.F) {
	for _, h := range append(load(f).Hashes, load(f, "feast-0.67-lists.json").Hashes...) {
		for _, v := range h.Fields {
			f.Add(unhex(f, v))
		}
	}
	f.Add(text(16, text(1, "\x00\x00\xc0\x3f")+"\x0d\x00\x00\x00\x00") + text(16, ""))
	f.Add(text(13, varint(1, 5)) + text(12, text(1, "x")))
	f.Fuzz(func(t *testing.T, raw string) {
		_, _ = readTime(raw)
		v, err := readValue(raw)
		if err != nil {
			return
		}
		for to := feature.Bool; to <= feature.Timestamp; to++ {
			x, _, err := v.convert(to)
			switch x := x.(type) {
			case float32:
				require.True(t, float64(x) == v.f || int64(x) == v.n && v.f == 0)
			case float64:
				require.True(t, x == v.f || int64(x) == v.n && v.f == 0)
			case nil:
				require.True(t, err != nil || v.kind == kindNull || v.f != v.f)
			}
			x, _, err = v.convert(feature.Array(to))
			switch x := x.(type) {
			case []any:
				require.Len(t, x, len(v.list))
			case nil:
				require.True(t, err != nil || v.kind == kindNull)
			default:
				t.Fatalf("%T", x)
			}
		}
		var m feasttypes.Value
		if !v.kind.isList() || proto.Unmarshal([]byte(raw), &m) != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
			return
		}
		field := m.ProtoReflect().Descriptor().Fields().ByNumber(protowire.Number(v.kind))
		require.True(t, m.ProtoReflect().Has(field))
		message := m.ProtoReflect().Get(field).Message()
		list := message.Get(message.Descriptor().Fields().ByNumber(1)).List()
		require.Equal(t, list.Len(), len(v.list))
		for i, e := range v.list {
			x := list.Get(i)
			switch y := x.Interface().(type) {
			case string:
				require.Equal(t, y, e.s)
			case []byte:
				require.Equal(t, string(y), e.s)
			case bool:
				require.Equal(t, y, e.n == 1)
			case float32, float64:
				require.Equal(t, math.Float64bits(x.Float()), math.Float64bits(e.f))
			default:
				require.Equal(t, x.Int(), e.n)
			}
		}
	})
}
