package ingest

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// brittle is a suite that rejects some values and panics at others.
type brittle struct{ rejects, panics map[int64]bool }

func (s brittle) Check(b *feature.Batch, v *validate.Verdict) error {
	v.Reset(b.Len(), []validate.Rule{{Type: "rule", Severity: feature.Critical, Rejects: true}})
	col := b.Rows.Column(0).(*array.Int64)
	for i := range b.Len() {
		if s.panics[col.Value(i)] {
			panic("brittle")
		}
		if s.rejects[col.Value(i)] {
			v.Failures(0).Set(i)
		}
	}
	v.Close(func(int, int) feature.Reason { return feature.Reason{Rule: "rule"} })
	return nil
}

func numbers(t *testing.T, mem memory.Allocator, n int) *feature.Batch {
	t.Helper()
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}}
	bld := array.NewInt64Builder(mem)
	defer bld.Release()
	b := &feature.Batch{View: v, Origin: feature.Origin{Topic: "t"}}
	for i := range n {
		bld.Append(int64(i))
		b.Offsets, b.EventTime, b.KnownTime = append(b.Offsets, int64(100+i)), append(b.EventTime, 1), append(b.KnownTime, 1)
	}
	col := bld.NewInt64Array()
	defer col.Release()
	b.Rows = array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{col}, int64(n))
	return b
}

// TestSuiteThatPanics: an event that makes the suite panic is held back with
// the rule "internal"; the others are judged as if it were not there.
func TestSuiteThatPanics(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	p := &Pipeline{PipelineConfig: PipelineConfig{Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())}}
	for _, tc := range []struct{ rejects, panics []int64 }{
		{nil, nil}, {[]int64{3}, nil}, {nil, []int64{0}}, {nil, []int64{99}}, {[]int64{3, 4, 50}, []int64{5, 49, 51, 98}}, {[]int64{0}, []int64{99}},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			s := brittle{map[int64]bool{}, map[int64]bool{}}
			want := map[int64]string{}
			for _, n := range tc.rejects {
				s.rejects[n], want[100+n] = true, "rule"
			}
			for _, n := range tc.panics {
				s.panics[n], want[100+n] = true, feature.RuleInternal
			}
			b := numbers(t, mem, 100)
			defer b.Rows.Release()
			got := map[int64]string{}
			var verdict validate.Verdict
			good, err := check(s, b, &verdict, p, true, func(offset int64, reasons []feature.Reason) error {
				got[offset] += reasons[0].Rule
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, 100-len(want), good.Len())
			require.EqualValues(t, good.Len(), good.Rows.NumRows())
			for i, off := range good.Offsets {
				require.Empty(t, want[off])
				require.Equal(t, off-100, good.Rows.Column(0).(*array.Int64).Value(i))
			}
			var held []int64
			for off, rule := range want {
				if rule == "rule" {
					held = append(held, off)
				}
			}
			require.Equal(t, len(held), good.Held.Len())
			for i := range good.Held.Len() {
				require.Contains(t, held, good.Held.Offsets[i])
				require.Equal(t, good.Held.Offsets[i]-100, good.Held.Rows.Column(0).(*array.Int64).Value(i))
				require.Equal(t, i, good.Held.From(good.Held.Offsets[i]))
			}
			if good != b {
				releaseBatch(good)
			}
		})
	}
	// A suite that panics whatever the rows are is a fault of ours and said so.
	b := numbers(t, mem, 10)
	defer b.Rows.Release()
	_, err := check(always{}, b, &validate.Verdict{}, p, false, func(int64, []feature.Reason) error { return nil })
	require.Equal(t, feature.Internal, feature.KindOf(err), "%v", err)
}

// always panics, with no rows too.
type always struct{}

func (always) Check(*feature.Batch, *validate.Verdict) error { panic("always") }

// TestFetchSizes: what the brokers may send always fits into its share of the
// limit, down to the smallest fetch that is worth it.
func TestFetchSizes(t *testing.T) {
	for _, limit := range []int64{1 << 20, 16 << 20, 128 << 20, 4 << 30} {
		for _, cost := range []int64{100, 250, 2000, mostCost} {
			for _, brokers := range []int{1, 3, 30} {
				for _, parts := range []int{0, 1, 12, 200, 5000} {
					var b budget
					b.cost.Store(cost)
					fetch, one, coming := b.sizes(limit, brokers, parts)
					require.LessOrEqual(t, one, fetch)
					require.GreaterOrEqual(t, fetch, int32(leastFetch))
					require.LessOrEqual(t, fetch, int32(mostFetch))
					if fetch > leastFetch {
						require.LessOrEqual(t, coming, limit/fetchShare)
					}
					if one > leastOfOne {
						require.LessOrEqual(t, int64(one)*cost/100, share(limit, parts))
					}
				}
			}
		}
	}
}
