package feastredis

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// golden is what Feast's own SDK, 0.67, wrote: see testdata.
type golden struct {
	Murmur3 map[string]string
	Hashes  []struct {
		Version int
		Project string
		Key     string
		Fields  map[string]string
	}
}

func unhex(t testing.TB, s string) string {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return string(b)
}

func load(t testing.TB, file ...string) (g golden) {
	b, err := os.ReadFile("testdata/" + append(file, "feast-0.67.json")[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &g))
	return g
}

// TestMurmur3: the vectors that are published for seed 0, then Feast's own.
func TestMurmur3(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0, "test": 0xba6bd213, "Hello, world!": 0xc0363e43, "The quick brown fox jumps over the lazy dog": 0x2e4ff723,
		"hello": 0x248bfa47, "hello, world": 0x149bbb7f,
	} {
		require.Equal(t, want, murmur3(text), text)
	}
	for text, want := range load(t).Murmur3 {
		h := murmur3(text)
		require.Equal(t, unhex(t, want), string([]byte{byte(h), byte(h >> 8), byte(h >> 16), byte(h >> 24)}), text)
	}
}

func fields(types ...any) (out []feature.Field) {
	for i := 0; i < len(types); i += 2 {
		out = append(out, feature.Field{Name: types[i].(string), Type: types[i+1].(feature.Type)})
	}
	return out
}

// found is a row with the name of its view.
type found struct {
	view string
	row  Row
}

// readAll hands all hashes of a golden file to a reader.
func (g golden) readAll(t testing.TB, r *Reader) (out []found) {
	for _, h := range g.Hashes {
		key := []byte(unhex(t, h.Key))
		if !r.Wants(key) {
			continue
		}
		hash := map[string]string{}
		for f, v := range h.Fields {
			hash[unhex(t, f)] = unhex(t, v)
		}
		require.NoError(t, r.Read(key, hash, func(view int, row Row) error {
			out = append(out, found{r.views[view].view.Name, row})
			return nil
		}))
	}
	return out
}

// TestGolden: what the SDK wrote with entity keys of versions 2 and 3 is read as it was meant.
func TestGolden(t *testing.T) {
	r := NewReader("rides", []View{
		{Name: "everything", Keys: fields("driver_id", feature.Int64), Features: fields("b", feature.Bool, "i", feature.Int32, "l", feature.Int64,
			"f", feature.Float32, "d", feature.Float64, "s", feature.String, "y", feature.Bytes, "t", feature.Timestamp)},
		// In another order than Feast's, which sorts.
		{Name: "pairs", Keys: fields("region", feature.String, "driver_id", feature.Int64), Features: fields("n", feature.Int64, "none", feature.String, "null", feature.Float64, "gone", feature.Bool)},
		{Name: "times", Keys: fields("at", feature.Timestamp), Features: fields("n", feature.Float64)},
		{Name: "raws", Keys: fields("raw", feature.Bytes), Features: fields("n", feature.Int32)},
		{Name: "lists", Keys: fields("driver_id", feature.Int64), Features: fields("e", feature.String, "n", feature.Int64)},
	})
	const at = 1767323045_000000 // 2026-01-02T03:04:05Z
	var want []found
	for version := range int64(2) {
		version += 2
		none := func(n int) []bool { return make([]bool, n) }
		want = append(want,
			found{"everything", Row{at + 123456, []any{1000 + version}, []any{true, int32(-7), int64(9007199254740993), float32(0.1), 0.1, "grüße", []byte{0, 0xff}, int64(1700000000_000000)}, none(8)}},
			found{"pairs", Row{at, []any{"eu,w", version}, []any{int64(5), nil, nil, nil}, []bool{false, false, false, true}}},
			found{"times", Row{-500000, []any{int64(1700000000_000000)}, []any{float64(version)}, none(1)}},
			found{"raws", Row{at, []any{[]byte{1, 2}}, []any{int32(version)}, none(1)}})
	}
	require.Equal(t, want, load(t).readAll(t, r))
	rep := r.Report()
	require.EqualValues(t, 10, rep.Keys)
	require.Equal(t, map[string]int64{"other": 1}, rep.OtherProjects)
	require.Empty(t, rep.UnreadViews)
	require.Empty(t, rep.Unnamed)
	lists := rep.Views[4]
	require.EqualValues(t, 1, lists.Entities)
	require.EqualValues(t, 1, lists.Skipped())
	require.Equal(t, []*Reason{{Field: "e", Text: "Feast has double_list, the view of Weir string", Entities: 1, Examples: []string{"driver_id=9"}}}, lists.Reasons)
}

// TestGoldenLists: lists of every type, full, empty and null, as the SDK wrote them.
func TestGoldenLists(t *testing.T) {
	lists := View{Name: "lists", Keys: fields("driver_id", feature.Int64), Features: fields("b", feature.Array(feature.Bool), "i", feature.Array(feature.Int32), "l", feature.Array(feature.Int64),
		"f", feature.Array(feature.Float32), "d", feature.Array(feature.Float64), "s", feature.Array(feature.String), "y", feature.Array(feature.Bytes), "t", feature.Array(feature.Timestamp))}
	r := NewReader("rides", []View{lists})
	const at = 1767323045_123456
	var none []any
	for range 8 {
		none = append(none, []any{})
	}
	require.Equal(t, []found{
		{"lists", Row{at, []any{int64(1)}, []any{[]any{true, false}, []any{int32(-7), int32(2147483647)}, []any{int64(9007199254740993), int64(-1)}, []any{float32(0.1), float32(1.5)}, []any{0.1, -2.0},
			[]any{"grüße", ""}, []any{[]byte{0, 0xff}, []byte{}}, []any{int64(1700000000_000000), int64(-1_000000)}}, make([]bool, 8)}},
		{"lists", Row{at, []any{int64(2)}, none, make([]bool, 8)}},
		{"lists", Row{at, []any{int64(3)}, make([]any, 8), make([]bool, 8)}},
	}, load(t, "feast-0.67-lists.json").readAll(t, r))
	require.Empty(t, r.Report().Views[0].Reasons)

	// What fits is taken as other types, and the rest names both.
	lists.Features = fields("b", feature.Bool, "i", feature.Array(feature.Int64), "l", feature.Array(feature.Int32), "f", feature.Array(feature.Float64), "d", feature.Array(feature.Float32), "s", feature.Array(feature.Bytes), "t", feature.Array(feature.Int64))
	r = NewReader("rides", []View{lists})
	require.Len(t, load(t, "feast-0.67-lists.json").readAll(t, r), 1)
	why := map[string]string{}
	for _, x := range r.Report().Views[0].Reasons {
		why[x.Field] = x.Text
	}
	require.Equal(t, map[string]string{"b": "Feast has bool_list, the view of Weir bool", "l": "int64_list with int64 that is no int32", "d": "double_list with double that no float32 is equal to",
		"s": "Feast has string_list, the view of Weir array<bytes>", "t": "Feast has unix_timestamp_list, the view of Weir array<int64>"}, why)
}

// TestGoldenUnread: what nobody asked for is counted by name, or by kind where there is none.
func TestGoldenUnread(t *testing.T) {
	r := NewReader("rides", []View{
		{Name: "pairs", Keys: fields("driver_id", feature.Int64, "region", feature.String), Features: fields("n", feature.Int64)},
		{Name: "times", Keys: fields("somebody", feature.String), Features: fields("n", feature.Int64)},
	})
	require.Len(t, load(t).readAll(t, r), 2)
	rep := r.Report()
	require.Equal(t, map[string]int64{"everything": 2, "lists": 1, "raws": 2}, rep.UnreadViews)
	require.Equal(t, map[string]int64{"null": 4}, rep.Unnamed)
	require.EqualValues(t, 2, rep.Views[1].Skipped())
	require.Equal(t, "the join keys are at in Feast, somebody in Weir", rep.Views[1].Reasons[0].Text)
}

// TestKeysAreFeasts: keys made here are byte for byte the SDK's.
func TestKeysAreFeasts(t *testing.T) {
	for _, h := range load(t).Hashes {
		key := []byte(unhex(t, h.Key))
		var names []string
		for _, all := range [][]string{{"driver_id"}, {"driver_id", "region"}, {"at"}, {"raw"}} {
			if values, project, ok := entityOf(key, [][]byte{keyPrefix(h.Version, all)}, len(all)); ok {
				require.Equal(t, h.Project, string(project))
				require.Equal(t, string(key), string(appendKey(h.Version, all, values))+h.Project)
				names = all
			}
		}
		require.NotEmpty(t, names)
	}
}
