package drift

import (
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
)

// Several sinks may look at a batch at once, whose slices have not counted their nulls
// yet: with the race detector this shows that looking changes nothing.
func TestSinksShareColumns(t *testing.T) {
	whole := floats([]float64{1, 2, 3, 4}, []bool{true, false, true, true})
	texts := texts1([]string{"a", "b", "a", "c"}, []bool{true, true, false, true})
	none := array.NewNull(4)
	bools := array.NewBooleanBuilder(memory.DefaultAllocator)
	bools.AppendValues([]bool{true, true, false, false}, []bool{true, false, true, true})
	columns := []arrow.Array{array.NewSlice(whole, 1, 4), array.NewSlice(texts, 1, 4), array.NewSlice(none, 1, 4), array.NewSlice(bools.NewArray(), 1, 4)}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var f folder
			for i, shape := range []Shape{Numbers, Categories, NullsOnly, Categories} {
				s := NewSketch(shape)
				f.update(s, columns[i], 0, 3)
				want := int64(1)
				if i == 2 {
					want = 3
				}
				if s.Nulls != want || s.Rows() != 3 {
					t.Errorf("column %d: %d nulls of %d", i, s.Nulls, s.Rows())
				}
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
}
