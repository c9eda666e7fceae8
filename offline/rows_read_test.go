package offline_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
)

// TestRows: the newest rows of a version are those that sorting all of them gives,
// with the coordinates and values that they were written with.
func TestRows(t *testing.T) {
	seed := testseed.For(t)
	tb, all := filled(t, seed, 30, 8, 300)
	st, err := tb.Load(t.Context(), offline.Version{})
	require.NoError(t, err)
	type row struct {
		effective int64
		text      string
	}
	text := func(effective, event, known int64, partition int32, offset int64, id string, gone bool) row {
		return row{effective, fmt.Sprint(effective, event, known, partition, offset, id, gone)}
	}
	var want []row
	for _, b := range all {
		ids := b.Rows.Column(0).(*array.String)
		for i := range b.Len() {
			want = append(want, text(b.Stamp(i).Effective(), b.EventTime[i], b.KnownTime[i], b.Origin.Partition, b.Offsets[i], ids.Value(i), b.Deleted(i)))
		}
	}
	read := func(limit int64) (got []row) {
		n, err := offline.Rows(t.Context(), tb, st, limit, func(rec arrow.RecordBatch) error {
			require.True(t, rec.Schema().Equal(offline.RowsSchema(tb.View())))
			at := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
			micros := func(name string, i int) int64 { return int64(at(name).(*array.Timestamp).Value(i)) }
			for i := range int(rec.NumRows()) {
				require.Equal(t, "cafe0102030405060708090a0b0c0d0e", at(offline.ColTopicID).(*array.String).Value(i))
				got = append(got, text(micros(offline.ColEffective, i), micros(offline.ColEvent, i), micros(offline.ColKnown, i),
					at(offline.ColPartition).(*array.Int32).Value(i), at(offline.ColOffset).(*array.Int64).Value(i),
					at("customer_id").(*array.String).Value(i), at(offline.ColTombstone).(*array.Boolean).Value(i)))
			}
			return nil
		})
		require.NoError(t, err)
		require.EqualValues(t, len(got), n)
		return got
	}
	require.ElementsMatch(t, want, read(math.MaxInt64))

	slices.SortFunc(want, func(a, b row) int { return int(max(-1, min(1, b.effective-a.effective))) })
	for _, limit := range []int{1, 7, 1 + rand.New(rand.NewPCG(seed, 1)).IntN(len(want)-1), len(want) - 1} {
		got := read(int64(limit))
		require.Len(t, got, limit)
		for i, r := range got { // rows of one time may come in any order
			require.Equal(t, want[i].effective, r.effective, "row %d of %d", i, limit)
			require.Contains(t, want, r)
		}
	}
	require.Empty(t, read(0))
}
