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

func load(t testing.TB) (g golden) {
	b, err := os.ReadFile("testdata/feast-0.67.json")
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
	require.Equal(t, []*Reason{{Field: "e", Text: "Feast has double_list, and Weir takes no values of that kind", Entities: 1, Examples: []string{"driver_id=9"}}}, lists.Reasons)
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
