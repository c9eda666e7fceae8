package feature_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// Keys of all types come out of their bytes as they went in.
func TestCutKey(t *testing.T) {
	types := []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Timestamp, feature.String, feature.Bytes}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var cols []arrow.Array
		var of []feature.Type
		for range 1 + r.IntN(4) {
			k := types[r.IntN(len(types))]
			b := array.NewBuilder(memory.DefaultAllocator, k.Arrow())
			text := make([]byte, r.IntN(6))
			for i := range text {
				text[i] = []byte{0, 0, 1, 'a', 0xff}[r.IntN(5)]
			}
			switch b := b.(type) {
			case *array.BooleanBuilder:
				b.Append(r.IntN(2) == 0)
			case *array.Int32Builder:
				b.Append(int32(r.Uint64()))
			case *array.Int64Builder:
				b.Append(int64(r.Uint64()))
			case *array.TimestampBuilder:
				b.Append(arrow.Timestamp(r.Uint64()))
			case *array.StringBuilder:
				b.Append(string(text))
			case *array.BinaryBuilder:
				b.Append(text)
			default:
				t.Fatalf("%T", b)
			}
			cols, of = append(cols, b.NewArray()), append(of, k)
		}
		key := feature.AppendKey(nil, cols, 0)
		rest := key
		var again []byte
		for _, k := range of {
			var v feature.Vector
			v.Reset(k, 1)
			rest = feature.CutKey(rest, k, &v, 0)
			require.True(t, v.Valid[0])
			switch k {
			case feature.Bool:
				again = feature.AppendKeyBool(again, v.Bools[0])
			case feature.Int32:
				again = feature.AppendKeyInt32(again, v.Int32s[0])
			case feature.Int64, feature.Timestamp:
				again = feature.AppendKeyInt64(again, v.Int64s[0])
			default:
				again = feature.AppendKeyText(again, v.Bytes[0])
			}
		}
		require.Empty(t, rest)
		require.True(t, bytes.Equal(key, again), "%x %x", key, again)
	}
}
