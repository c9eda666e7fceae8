package serving

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

func TestEntities(t *testing.T) {
	int32s := func(v ...int32) *weirv1.Values {
		return &weirv1.Values{Kind: &weirv1.Values_Int32S{Int32S: &weirv1.Int32S{Values: v}}}
	}
	times := func(v ...int64) *weirv1.Values {
		return &weirv1.Values{Kind: &weirv1.Values_Timestamps{Timestamps: &weirv1.Timestamps{Micros: v}}}
	}
	bools := &weirv1.Values{Kind: &weirv1.Values_Bools{Bools: &weirv1.Bools{Values: []bool{true, false}}}}
	raw := &weirv1.Values{Kind: &weirv1.Values_Bytes{Bytes: &weirv1.BytesList{Values: [][]byte{{1}, {}}}}}
	text := func(v ...string) *weirv1.Values { return textColumn("", v...).Values }
	for _, c := range []struct {
		name string
		typ  feature.Type
		in   *weirv1.Values
		want any // nil: refused
	}{
		{"int64 as it is", feature.Int64, ints("", 1, math.MinInt64).Values, []int64{1, math.MinInt64}},
		{"int64 from int32", feature.Int64, int32s(1, -2), []int64{1, -2}},
		{"int32 from int64", feature.Int32, ints("", 1, -2).Values, []int32{1, -2}},
		{"int32 too large", feature.Int32, ints("", 1, 1<<31).Values, nil},
		{"int64 from text", feature.Int64, text("1", "-2"), []int64{1, -2}},
		{"int32 from text", feature.Int32, text("1", "2147483648"), nil},
		{"text", feature.String, text("a", ""), [][]byte{[]byte("a"), {}}},
		{"text from a number", feature.String, ints("", 1, 2).Values, nil},
		{"bytes", feature.Bytes, raw, [][]byte{{1}, {}}},
		{"bytes from base64", feature.Bytes, text("AQ==", ""), [][]byte{{1}, {}}},
		{"bytes from other text", feature.Bytes, text("AQ", "?"), nil},
		{"bool", feature.Bool, bools, []bool{true, false}},
		{"bool from text", feature.Bool, text("true", "0"), []bool{true, false}},
		{"bool from a number", feature.Bool, ints("", 1, 0).Values, nil},
		{"timestamp", feature.Timestamp, times(5, 6), []int64{5, 6}},
		{"timestamp from text", feature.Timestamp, text("1970-01-01T00:00:01Z", "1970-01-01T01:00:00.000001+01:00"), []int64{1_000_000, 1}},
		{"timestamp from rubbish", feature.Timestamp, text("yesterday", "x"), nil},
		{"a float", feature.Int64, &weirv1.Values{Kind: &weirv1.Values_Doubles{Doubles: &weirv1.Doubles{Values: []float64{1, 2}}}}, nil},
	} {
		v, n, err := entities([]feature.Field{{Name: "k", Type: c.typ}}, []*weirv1.EntityColumn{{Name: "k", Values: c.in}})
		if c.want == nil {
			require.Equal(t, feature.Invalid, feature.KindOf(err), c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.Equal(t, 2, n)
		require.Equal(t, []bool{true, true}, v[0].Valid)
		require.Contains(t, []any{v[0].Int64s, v[0].Int32s, v[0].Bools, v[0].Bytes}, c.want, c.name)
	}
	// Columns come in any order, all of one length.
	keys := []feature.Field{{Name: "a", Type: feature.Int64}, {Name: "b", Type: feature.Int64}}
	v, n, err := entities(keys, []*weirv1.EntityColumn{ints("b", 3, 4), ints("a", 1, 2)})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, [][]int64{{1, 2}, {3, 4}}, [][]int64{v[0].Int64s, v[1].Int64s})
	_, _, err = entities(keys, []*weirv1.EntityColumn{ints("b", 3), ints("a", 1, 2)})
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	// No rows at all are an answer without rows.
	_, n, err = entities(keys[:1], []*weirv1.EntityColumn{ints("a")})
	require.NoError(t, err)
	require.Zero(t, n)
}
