package offline

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// TestSorter: the rows of every day come in the order of their key's bytes and
// then of their stamps, whatever the keys are like; a sorter is as good after
// other rows as when it was new.
func TestSorter(t *testing.T) {
	seed := testseed.For(t)
	var s sorter
	for i := range Fewer(60) {
		t.Run(fmt.Sprintf("seed %d of %d", i, seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			v := &feature.View{Keys: []feature.Field{{Name: "a", Type: []feature.Type{feature.Int64, feature.Timestamp, feature.Int32, feature.String, feature.Bytes}[r.IntN(5)]}}}
			if r.IntN(3) == 0 {
				v.Keys = append(v.Keys, feature.Field{Name: "b", Type: feature.Int64})
			}
			spread := []int64{1, 5, 300, math.MaxInt32, math.MaxInt64}[r.IntN(5)]
			shared := strings.Repeat("x", r.IntN(12))
			rows := []int{1, 63, 64, 500, 6000}[r.IntN(5)]
			var batches []*feature.Batch
			for p := range int32(1 + r.IntN(4)) {
				rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
				b := &feature.Batch{View: v, Origin: feature.Origin{Partition: p}}
				for n := range rows {
					for ci := range v.Keys {
						k := r.Int64N(spread) - r.Int64N(spread)
						switch f := rb.Field(ci).(type) {
						case *array.Int64Builder:
							f.Append(k)
						case *array.TimestampBuilder:
							f.Append(arrow.Timestamp(k))
						case *array.Int32Builder:
							f.Append(int32(k))
						case *array.StringBuilder:
							f.Append(shared + fmt.Sprintf("%0*d", r.IntN(8), k))
						case *array.BinaryBuilder:
							f.Append(append([]byte(shared), make([]byte, max(k, -k)%11)...)) // zeros, more or fewer
						}
					}
					at := r.Int64N(3*Day) / []int64{1, Day / 4}[i%2] * []int64{1, Day / 4}[i%2]
					b.Offsets, b.EventTime, b.KnownTime = append(b.Offsets, int64(n)), append(b.EventTime, at), append(b.KnownTime, at+r.Int64N(3)-1)
				}
				b.Rows = rb.NewRecordBatch()
				batches = append(batches, b)
			}
			set := newRowSet(batches)
			seen := 0
			for k, d := range set.days {
				require.True(t, k == 0 || set.days[k-1].day < d.day)
				want := make([]rowRef, 0, len(d.ids))
				for _, id := range d.ids {
					want = append(want, set.refs[id])
				}
				key := func(x rowRef) []byte {
					return feature.AppendKey(nil, batches[x.batch].KeyColumns(), int(x.row))
				}
				stamp := func(x rowRef) feature.Stamp { return batches[x.batch].Stamp(int(x.row)) }
				slices.SortFunc(want, func(a, b rowRef) int {
					if c := bytes.Compare(key(a), key(b)); c != 0 {
						return c
					}
					return stamp(a).Compare(stamp(b))
				})
				require.Equal(t, want, s.sorted(set, d))
				for _, x := range want {
					require.Equal(t, d.day, DayOf(stamp(x).Effective()))
				}
				seen += len(want)
			}
			require.Equal(t, rows*len(batches), seen)
		})
	}
}
