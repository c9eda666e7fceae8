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
			var all []texts
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
				arrays, all, starts = append(arrays, a), append(all, textsOf(a)), append(starts, rows)
				rows += a.Len()
			}
			c := newTextCodes(arrays, all, starts, rows, 1, 7)
			if distinct > maxCodes {
				require.Nil(t, c)
				return
			}
			require.Len(t, c.values, distinct+1)
			require.Len(t, c.codes, rows)
			for bi, a := range arrays {
				for i := range a.Len() {
					v := c.values[c.codes[c.starts[bi]+i]]
					if a.IsNull(i) != v.IsNull() || !v.IsNull() && string(v.ByteArray()) != a.(*array.String).Value(i) {
						t.Fatalf("batch %d row %d: %q became %q", bi, i, a.ValueStr(i), v)
					}
					if v.Column() != 7 || !v.IsNull() && v.DefinitionLevel() != 1 || v.IsNull() && v.DefinitionLevel() != 0 {
						t.Fatalf("levels of %v", v)
					}
				}
			}
		})
	}
}
