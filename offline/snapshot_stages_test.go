package offline

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
)

func oneRow(mem memory.Allocator, v int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil))
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(v)
	return b.NewRecordBatch()
}

// Every taker gets every batch in order, though one lags, and all batches are released.
func TestStages(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	var got [3][]int64
	lag := make(chan struct{})
	var takers []func(arrow.RecordBatch) error
	for i := range got {
		takers = append(takers, func(rec arrow.RecordBatch) error {
			if i == 1 {
				<-lag
			}
			got[i] = append(got[i], rec.Column(0).(*array.Int64).Value(0))
			return nil
		})
	}
	s := inStages(context.Background(), takers...)
	var want []int64
	for v := range int64(100) {
		if v == stageDepth { // it is two behind, and one is with it
			close(lag)
		}
		rec := oneRow(mem, v)
		require.NoError(t, s.write(rec))
		rec.Release()
		want = append(want, v)
	}
	require.NoError(t, s.finish(nil))
	for i := range got {
		require.Equal(t, want, got[i])
	}
}

// A taker's error comes back from write or, at the latest, from finish; the
// others get no more, and whoever waits for one that hangs is let go.
func TestStagesEnd(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	broken := errors.New("broken")
	for _, last := range []bool{false, true} {
		var taken []int64
		failing := func(rec arrow.RecordBatch) error {
			if rec.Column(0).(*array.Int64).Value(0) == 3 {
				return broken
			}
			return nil
		}
		s := inStages(context.Background(), func(rec arrow.RecordBatch) error {
			taken = append(taken, rec.Column(0).(*array.Int64).Value(0))
			return nil
		}, failing)
		rows := int64(1000)
		if last {
			rows = 4
		}
		var err error
		for v := int64(0); v < rows && err == nil; v++ {
			rec := oneRow(mem, v)
			err = s.write(rec)
			rec.Release()
		}
		if !last {
			require.ErrorIs(t, err, broken)
		}
		require.ErrorIs(t, s.finish(nil), broken)
		require.True(t, slices.IsSorted(taken))
		require.Less(t, len(taken), 1000)
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	hangs := make(chan struct{})
	s := inStages(ctx, func(arrow.RecordBatch) error {
		close(hangs)
		<-ctx.Done()
		return nil
	})
	go func() {
		<-hangs
		cancel(broken)
	}()
	var err error
	for v := int64(0); err == nil; v++ {
		rec := oneRow(mem, v)
		err = s.write(rec)
		rec.Release()
	}
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, s.finish(err), broken)

	// What else went wrong ends the takers too.
	s = inStages(context.Background(), func(arrow.RecordBatch) error { return nil })
	require.ErrorIs(t, s.finish(broken), broken)
}

// Takers may ask for null counts, also of parts of columns and of what stands inside of
// them, for which nobody has counted yet.
func TestStagesNulls(t *testing.T) {
	mem := memory.DefaultAllocator
	b := array.NewRecordBuilder(mem, arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}, {Name: "d", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true}}, nil))
	defer b.Release()
	for i := range 6 {
		b.Field(0).AppendNull()
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		list := b.Field(1).(*array.ListBuilder)
		list.Append(true)
		list.ValueBuilder().AppendNull()
		list.AppendNull()
		b.Field(2).AppendNull()
		require.NoError(t, b.Field(2).AppendValueFromString("a"))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	count := func(rec arrow.RecordBatch) error {
		for _, c := range rec.Columns() {
			if c.NullN() != 2 {
				return errors.New("miscounted")
			}
			if l, ok := c.(*array.List); ok && l.ListValues().NullN() == 0 {
				return errors.New("miscounted elements")
			}
		}
		return nil
	}
	s := inStages(context.Background(), count, count, count)
	for i := range int64(3) {
		part := rec.NewSlice(i*4, i*4+4)
		require.NoError(t, s.write(part))
		part.Release()
	}
	require.NoError(t, s.finish(nil))
}
