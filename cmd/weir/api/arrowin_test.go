package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"runtime"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
)

// TestArrowRows: what a client sends as Arrow costs what it is, whatever it says that it is, and is refused where a join would panic of it.
func TestArrowRows(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "age", Type: arrow.PrimitiveTypes.Int64}, {Name: "none", Type: arrow.Null}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"a", "bcd", "ef"}, nil)
	b.Field(1).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, []bool{true, false, true})
	b.Field(2).(*array.NullBuilder).AppendNulls(3)
	var whole bytes.Buffer
	w := ipc.NewWriter(&whole, ipc.WithSchema(schema))
	require.NoError(t, w.Write(b.NewRecordBatch()))
	require.NoError(t, w.Close())

	read := func(stream []byte, end error) (rows int64, err error) {
		parts := [][]byte{stream[:len(stream)/2], stream[len(stream)/2:]}
		r, err := newArrowRows("snapshot.create", "spine", func() ([]byte, error) {
			if len(parts) == 0 {
				return nil, end
			}
			p := parts[0]
			parts = parts[1:]
			return p, nil
		})
		if err != nil {
			return 0, err
		}
		defer r.Release()
		for {
			rec, err := r.Read()
			if err == io.EOF {
				return rows, nil
			}
			if err != nil {
				return rows, err
			}
			rows += rec.NumRows()
			rec.Release()
		}
	}
	rows, err := read(whole.Bytes(), io.EOF)
	require.NoError(t, err)
	require.EqualValues(t, 3, rows)
	rows, err = read(whole.Bytes()[:whole.Len()-8], io.EOF) // without the mark of its end, as some end it
	require.NoError(t, err)
	require.EqualValues(t, 3, rows)
	_, err = read(whole.Bytes()[:whole.Len()-8], context.Canceled)
	require.ErrorIs(t, err, context.Canceled, "what ended the call is no fault of the bytes")

	offsets := bytes.Index(whole.Bytes(), []byte{0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0})
	require.Positive(t, offsets)
	change := func(at int, to uint32) []byte {
		out := bytes.Clone(whole.Bytes())
		binary.LittleEndian.PutUint32(out[at:], to)
		return out
	}
	second := 8 + int(binary.LittleEndian.Uint32(whole.Bytes()[4:]))
	for name, stream := range map[string][]byte{
		"nothing":               {},
		"a text":                []byte("id,age\na,1\n"),
		"a schema of gigabytes": change(4, math.MaxInt32-7),
		"a batch of gigabytes":  change(second+4, math.MaxInt32-7),
		"texts elsewhere":       change(offsets+4, 1<<30),
		"texts backwards":       change(offsets+8, 0),
		"cut off":               whole.Bytes()[:whole.Len()-40],
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := read(stream, io.EOF)
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
			require.ErrorContains(t, err, "not an Arrow IPC stream")
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
		})
	}
}
