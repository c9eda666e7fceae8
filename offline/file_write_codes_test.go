package offline

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"
)

// Numbers stand for the very texts, nulls included, whatever their lengths, and
// a column of too many texts is not numbered.
func TestTextsAsNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, distinct := range []int{1, 5, 300, maxCodes, 3 * maxCodes} {
		t.Run(fmt.Sprint(distinct), func(t *testing.T) {
			pool := make([]string, distinct)
			seen := map[string]bool{}
			for i := range pool {
				for pool[i] == "" && i > 0 || seen[pool[i]] { // "" is the first of them
					b := make([]byte, 1+r.IntN(12))
					for k := range b {
						b[k] = "ab\x00"[r.IntN(3)] // many that differ in one byte only, or in length
					}
					pool[i] = string(b)
				}
				seen[pool[i]] = true
			}
			var arrays []arrow.Array
			var column batchColumn
			var starts []int
			rows := 0
			for range 4 {
				b := array.NewStringBuilder(memory.DefaultAllocator)
				for i := range 4 * maxCodes {
					if r.IntN(20) == 0 {
						b.AppendNull()
					} else {
						b.Append(pool[(i+r.IntN(3))%distinct])
					}
				}
				a := array.NewSlice(b.NewArray(), int64(r.IntN(10)), 4*maxCodes)
				arrays, starts = append(arrays, a), append(starts, rows)
				column.texts, column.valid = append(column.texts, textsOf(a)), append(column.valid, arrowBits{a.NullBitmapBytes(), a.Data().Offset()})
				rows += a.Len()
			}
			c := newTextCodes(&column, starts, rows)
			if distinct > maxCodes {
				require.Nil(t, c)
				return
			}
			require.Len(t, c.texts, distinct+1)
			require.Len(t, c.codes, rows)
			for bi, a := range arrays {
				for i := range a.Len() {
					k := c.codes[c.starts[bi]+i]
					if a.IsNull(i) != (k == 0) || k > 0 && string(c.texts[k]) != a.(*array.String).Value(i) {
						t.Fatalf("batch %d row %d: %q became %q", bi, i, a.ValueStr(i), c.texts[k])
					}
				}
			}
		})
	}
}
