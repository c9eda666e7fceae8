package offline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestHashFormat: columns are hashed by the very bytes that rowHash promises, whatever
// their slices, nulls and lengths: recorded snapshots are compared with them.
func TestHashFormat(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, typ := range sheetTypes {
		for range 6 {
			got := hashColumn{typ: typ, h: sha256.New(), buf: make([]byte, 0, hashBuffer)}
			var want []byte
			for range 1 + r.IntN(4) {
				nulls := []float64{0, 0.3, 1}[r.IntN(3)]
				b := array.NewBuilder(memory.DefaultAllocator, typ.Arrow())
				n := 1 + r.IntN(6000)
				var rows [][]byte
				for range n {
					if r.Float64() < nulls {
						b.AppendNull()
						rows = append(rows, []byte{0})
						continue
					}
					row := []byte{1}
					switch b := b.(type) {
					case *array.BooleanBuilder:
						v := r.IntN(2)
						b.Append(v == 1)
						row = append(row, byte(v))
					case *array.Int32Builder:
						v := int32(r.Uint32())
						b.Append(v)
						row = binary.LittleEndian.AppendUint32(row, uint32(v))
					case *array.Int64Builder:
						v := int64(r.Uint64())
						b.Append(v)
						row = binary.LittleEndian.AppendUint64(row, uint64(v))
					case *array.TimestampBuilder:
						v := int64(r.Uint64())
						b.Append(arrow.Timestamp(v))
						row = binary.LittleEndian.AppendUint64(row, uint64(v))
					case *array.Float32Builder:
						bits := []uint32{math.Float32bits(r.Float32()), 0x7f800000, 0xff800000, 0x80000000, 0x7fc00000}[r.IntN(5)]
						row = binary.LittleEndian.AppendUint32(row, bits)
						if bits == 0x7fc00000 { // whichever NaN it was
							bits = []uint32{0x7f800001, 0xffffffff, bits}[r.IntN(3)]
						}
						b.Append(math.Float32frombits(bits))
					case *array.Float64Builder:
						bits := []uint64{math.Float64bits(r.NormFloat64()), 0x7ff0 << 48, 0xfff0 << 48, 1 << 63, 0x7ff8000000000001}[r.IntN(5)]
						row = binary.LittleEndian.AppendUint64(row, bits)
						if bits == 0x7ff8000000000001 {
							bits = []uint64{0x7ff0000000000001, math.MaxUint64, bits}[r.IntN(3)]
						}
						b.Append(math.Float64frombits(bits))
					default:
						v := bytes.Repeat([]byte("text"), r.IntN(8))
						if r.IntN(1000) == 0 {
							v = bytes.Repeat([]byte("long"), r.IntN(hashBuffer))
						}
						if s, ok := b.(*array.StringBuilder); ok {
							s.Append(string(v))
						} else {
							b.(*array.BinaryBuilder).Append(v)
						}
						row = append(binary.LittleEndian.AppendUint64(row, uint64(len(v))), v...)
					}
					rows = append(rows, row)
				}
				a := b.NewArray()
				from := r.IntN(n)
				to := from + r.IntN(n-from+1)
				got.add(array.NewSlice(a, int64(from), int64(to)))
				want = append(want, bytes.Join(rows[from:to], nil)...)
			}
			got.flush()
			sum := sha256.Sum256(want)
			require.Equal(t, sum[:], got.h.Sum(nil), "%s", typ)
		}
	}
}

// What is hashed of a set of columns, put down by hand.
func TestHashOfRows(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: feature.Int64.Arrow()}, {Name: "x", Type: feature.Float64.Arrow(), Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{7, -1}, nil)
	b.Field(1).(*array.Float64Builder).AppendValues([]float64{1.5, 0}, []bool{true, false})
	h := newRowHash(1)
	require.NoError(t, h.write(b.NewRecordBatch()))
	spine, content := h.sums()
	require.Equal(t, "sha256:"+handHash("id", feature.Int64, []byte{1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255}), spine)
	require.Equal(t, "sha256:"+handHash("id", feature.Int64, []byte{1, 7, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255},
		"x", feature.Float64, []byte{1, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0}), content)
}

// handHash is the sum of columns (name, type, bytes) of two rows.
func handHash(columns ...any) string {
	b := []byte("weir rows 1\n")
	for i := 0; i < len(columns); i += 3 {
		name, sum := columns[i].(string), sha256.Sum256(columns[i+2].([]byte))
		b = append(binary.LittleEndian.AppendUint64(b, uint64(len(name))), name...)
		b = append(append(b, byte(columns[i+1].(feature.Type))), sum[:]...)
	}
	return fmt.Sprintf("%x", sha256.Sum256(binary.LittleEndian.AppendUint64(b, 2)))
}
