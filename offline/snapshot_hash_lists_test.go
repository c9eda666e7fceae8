package offline

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// written is a hash that keeps what it is given.
type written struct{ b []byte }

func (w *written) Write(b []byte) (int, error) { w.b = append(w.b, b...); return len(b), nil }
func (w *written) Sum([]byte) []byte           { return w.b }
func (w *written) Reset()                      { w.b = nil }
func (w *written) Size() int                   { return 0 }
func (w *written) BlockSize() int              { return 1 }

func hashed(t *testing.T, typ feature.Type, columns ...arrow.Array) []byte {
	h := &written{}
	c := hashColumn{typ: typ, h: h, buf: make([]byte, 0, hashBuffer)}
	for _, a := range columns {
		require.NoError(t, c.write(a))
	}
	c.flush()
	return h.b
}

func jsonColumn(t *testing.T, typ arrow.DataType, js string) arrow.Array {
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(js))
	require.NoError(t, err)
	return a
}

// TestHashOfLists: an array is hashed as its count and its elements, however Arrow lays
// it out and wherever batches end; an empty one is none and not null.
func TestHashOfLists(t *testing.T) {
	long := `["` + strings.Repeat("long", hashBuffer) + `","b"]`
	for typ, js := range map[feature.Type][]string{
		feature.Bool: {`[true,false]`, `null`, `[]`, `[true]`}, feature.Int32: {`[1,-2,3]`, `[]`, `null`, `[7]`}, feature.Int64: {`[]`, `[9007199254740993]`, `null`, `[1,2]`},
		feature.Float32: {`[0.5]`, `null`, `[]`, `[-1,2]`}, feature.Float64: {`null`, `[]`, `[1e300]`, `[0,0.25]`}, feature.String: {`["é",""]`, `[]`, `null`, long},
		feature.Bytes: {`["AAE="]`, `[""]`, `[]`, `null`}, feature.Timestamp: {`["2026-01-02T03:04:05Z"]`, `null`, `[]`, `["1969-12-31T23:59:59Z"]`},
	} {
		var want []byte
		for _, row := range js {
			if row == "null" {
				want = append(want, 0)
				continue
			}
			elems := jsonColumn(t, typ.Arrow(), row)
			want = binary.LittleEndian.AppendUint64(append(want, 1), uint64(elems.Len()))
			want = append(want, hashed(t, typ, elems)...)
		}
		text := "[" + strings.Join(js, ",") + "]"
		for _, lists := range []arrow.DataType{feature.Array(typ).Exchange(), arrow.LargeListOf(typ.Arrow()), arrow.ListViewOf(typ.Arrow())} {
			a := jsonColumn(t, lists, text)
			require.Equal(t, want, hashed(t, feature.Array(typ), a), "%s", lists)
			for cut := range 5 {
				require.Equal(t, want, hashed(t, feature.Array(typ), array.NewSlice(a, 0, int64(cut)), array.NewSlice(a, int64(cut), 4)), "%s", lists)
			}
		}
	}
	require.Equal(t, []byte{0, 0}, hashed(t, feature.Array(feature.Int64), array.MakeArrayOfNull(memory.DefaultAllocator, feature.Array(feature.Int64).Exchange(), 2)))

	nan := func(bits uint64) arrow.Array {
		b := array.NewListBuilder(memory.DefaultAllocator, arrow.PrimitiveTypes.Float64)
		b.Append(true)
		b.ValueBuilder().(*array.Float64Builder).Append(math.Float64frombits(bits))
		return b.NewArray()
	}
	of := feature.Array(feature.Float64)
	require.Equal(t, hashed(t, of, nan(nan64)), hashed(t, of, nan(math.MaxUint64)), "there is one NaN")
}

// TestHashOfSpineLists: lists that the spine brings count as the text that they were in
// snapshots made when there were no arrays, whatever their elements; features as arrays.
func TestHashOfSpineLists(t *testing.T) {
	sums := func(spine int, a arrow.Array) string {
		h := newRowHash(spine)
		schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: a.DataType(), Nullable: true}}, nil)
		require.NoError(t, h.write(array.NewRecordBatch(schema, []arrow.Array{a}, int64(a.Len()))))
		_, content := h.sums()
		return content
	}
	js := `[[1,null],null,[],[2]]`
	text := sums(1, jsonColumn(t, arrow.BinaryTypes.String, `["[1,null]",null,"[]","[2]"]`))
	for _, typ := range []arrow.DataType{arrow.ListOf(arrow.PrimitiveTypes.Int32), arrow.LargeListOf(arrow.PrimitiveTypes.Float64), arrow.ListViewOf(arrow.PrimitiveTypes.Uint8)} {
		require.Equal(t, text, sums(1, jsonColumn(t, typ, js)), "%s", typ)
	}
	whole := jsonColumn(t, arrow.ListOf(arrow.PrimitiveTypes.Int32), `[[1],null,[],[2]]`)
	require.NotEqual(t, sums(1, whole), sums(0, whole))
}
