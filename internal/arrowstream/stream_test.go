package arrowstream

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
)

var schema = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "text", Type: arrow.BinaryTypes.String}}, nil)

func batch(r *rand.Rand, rows int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for range rows {
		b.Field(0).(*array.Int64Builder).Append(r.Int64())
		if r.IntN(3) == 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Float64Builder).Append(r.NormFloat64())
		}
		b.Field(2).(*array.StringBuilder).Append(strings.Repeat("x", r.IntN(20)))
	}
	return b.NewRecordBatch()
}

// What is written comes out, batch by batch, from batches without rows up to columns
// of more than a message; each is sent before Write returns, and in few messages.
func TestRoundTrip(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 5 {
		var sent [][]byte
		w := NewWriter(schema, func(b []byte) error {
			require.NotEmpty(t, b)
			require.LessOrEqual(t, len(b), message)
			sent = append(sent, append([]byte{}, b...))
			return nil
		})
		var want []arrow.RecordBatch
		for range r.IntN(6) {
			rec := batch(r, []int{0, 1, 1000, 20000, 40000, 300000}[r.IntN(6)])
			if rec.NumRows() > 100 && r.IntN(2) == 0 {
				rec = rec.NewSlice(r.Int64N(50), rec.NumRows()-r.Int64N(50))
			}
			had, size := len(sent), 0
			require.NoError(t, w.Write(rec))
			for _, b := range sent[had:] {
				size += len(b)
			}
			require.Greater(t, size, int(rec.NumRows())*17)
			require.LessOrEqual(t, len(sent)-had, 8+size/direct)
			want = append(want, rec)
		}
		require.NoError(t, w.Close())
		next := 0
		in, err := ipc.NewReader(&Bytes{Recv: func() ([]byte, error) {
			if next == len(sent) {
				return nil, io.EOF
			}
			next++
			return sent[next-1], nil
		}})
		require.NoError(t, err)
		require.True(t, schema.Equal(in.Schema()))
		for _, rec := range want {
			require.True(t, in.Next())
			require.True(t, array.RecordEqual(rec, in.RecordBatch()))
		}
		require.False(t, in.Next())
		require.NoError(t, in.Err())
		require.Equal(t, len(sent), next)
	}
}

func TestErrorsComeThrough(t *testing.T) {
	broken := errors.New("broken")
	r := rand.New(rand.NewPCG(1, 2))
	for after := range 3 {
		w := NewWriter(schema, func([]byte) error {
			if after--; after < 0 {
				return broken
			}
			return nil
		})
		require.ErrorIs(t, errors.Join(w.Write(batch(r, 100_000)), w.Close()), broken)
	}
	_, err := ipc.NewReader(&Bytes{Recv: func() ([]byte, error) { return nil, broken }})
	require.ErrorIs(t, err, broken)
}
