package iceberg_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// benchView has 14 columns with the system columns.
func benchView() *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "bench", Name: "stats"}, Source: "events", Entities: []string{"customer"}, Version: 1}
	v.Keys = []feature.Field{{Name: "customer_id", Type: feature.String}}
	for i := range 4 {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("amount_%d", i), Type: feature.Float64})
	}
	v.Features = append(v.Features, feature.Field{Name: "count", Type: feature.Int64}, feature.Field{Name: "plan", Type: feature.String})
	return v
}

func benchBatch(r *rand.Rand, v *feature.View, first int64, n, entities int) *feature.Batch {
	b := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", TopicID: offlinetest.TopicID, First: first, Next: first + int64(n)}}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	defer rb.Release()
	plans := []string{"monthly", "one year", "two years"}
	for i := range n {
		b.Offsets = append(b.Offsets, first+int64(i))
		at := offlinetest.Base + (first+int64(i))*40_000
		b.EventTime, b.KnownTime = append(b.EventTime, at-r.Int64N(5_000_000)), append(b.KnownTime, at)
		rb.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("customer-%08d", r.IntN(entities)))
		for c := 1; c <= 4; c++ {
			if r.IntN(50) == 0 {
				rb.Field(c).AppendNull()
			} else {
				rb.Field(c).(*array.Float64Builder).Append(float64(r.IntN(10_000_000)) / 100)
			}
		}
		rb.Field(5).(*array.Int64Builder).Append(int64(r.IntN(1000)))
		rb.Field(6).(*array.StringBuilder).Append(plans[r.IntN(3)])
	}
	b.Rows = rb.NewRecordBatch()
	return b
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStage sorts and writes 2M rows x 14 columns, as one flush.
func BenchmarkStage(b *testing.B) {
	const n, per = 2_000_000, 8192
	v := benchView()
	r := rand.New(rand.NewPCG(1, 1))
	var batches []*feature.Batch
	for at := 0; at < n; at += per {
		batches = append(batches, benchBatch(r, v, int64(at), min(per, n-at), 100_000))
	}
	for _, compression := range []string{"zstd", "snappy"} {
		b.Run(compression, func(b *testing.B) {
			tb, _ := openTable(b, v)
			cfg := offline.DefaultConfig()
			cfg.Compression = compression
			w, err := offline.NewWriter(tb, cfg, slog.New(slog.DiscardHandler), nil)
			require.NoError(b, err)
			var spent time.Duration
			i := 0
			for b.Loop() {
				c := offlinetest.Move(v, fmt.Sprintf("c%d", i), feature.Position{}, offlinetest.At(0, n, ""))
				i++
				for _, x := range batches {
					require.NoError(b, w.Write(ctx, x))
				}
				w.Cut(c)
				before := cpu()
				require.NoError(b, w.Stage(ctx, c))
				spent += cpu() - before
				w.Discard(c)
			}
			b.ReportMetric(float64(n)*float64(i)/spent.Seconds()/1000, "krows/cpu-s")
		})
	}
}

// BenchmarkCommit shows what the 1st, 100th and 200th (and, with
// WEIR_BENCH_LONG, the 1000th) commit cost: the median of the ten around it.
func BenchmarkCommit(b *testing.B) {
	last := 200
	if os.Getenv("WEIR_BENCH_LONG") != "" {
		last = 1000
	}
	v := benchView()
	for b.Loop() {
		tb, _ := openTable(b, v)
		w := offlinetest.NewWriter(b, tb)
		r := rand.New(rand.NewPCG(1, 1))
		var took []time.Duration
		var at feature.Position
		for i := range last {
			c := offlinetest.Move(v, fmt.Sprintf("c%d", i), at, offlinetest.At(0, int64(10*i+10), ""))
			require.NoError(b, w.Write(ctx, benchBatch(r, v, int64(10*i), 10, 100)))
			w.Cut(c)
			require.NoError(b, w.Stage(ctx, c))
			began := time.Now()
			require.NoError(b, w.Commit(ctx, c))
			took = append(took, time.Since(began))
			require.NoError(b, w.Settle(ctx, c))
			at = c.Advances[0].To
		}
		for _, n := range []int{10, 100, 200, 1000} {
			if n <= last {
				around := slices.Clone(took[n-10 : n])
				slices.Sort(around)
				b.ReportMetric(float64(around[5].Microseconds())/1000, fmt.Sprintf("ms/commit-%d", n))
			}
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
	}
}

// BenchmarkNewest reads the newest rows of 100,000 entities out of 2M rows in 200 commits.
func BenchmarkNewest(b *testing.B) {
	const commits, per = 200, 10_000
	v := benchView()
	tb, open := openTable(b, v)
	w, err := offline.NewWriter(tb, offline.DefaultConfig(), slog.New(slog.DiscardHandler), nil)
	require.NoError(b, err)
	r := rand.New(rand.NewPCG(1, 1))
	var at feature.Position
	for i := range commits {
		c := offlinetest.Move(v, fmt.Sprintf("c%d", i), at, offlinetest.At(0, int64((i+1)*per), ""))
		require.NoError(b, offlinetest.Flush(ctx, w, c, benchBatch(r, v, int64(i*per), per, 100_000)))
		at = c.Advances[0].To
	}
	run := func(name string, read func(tb offline.Table, fn func(*feature.Batch) error) error) {
		b.Run(name, func(b *testing.B) {
			var spent time.Duration
			rows, i := 0, 0
			for b.Loop() {
				before := cpu()
				tb, err := open().Table(ctx, v) // cold: the state is loaded too
				require.NoError(b, err)
				rows = 0
				require.NoError(b, read(tb, func(x *feature.Batch) error { rows += x.Len(); return nil }))
				spent += cpu() - before
				i++
			}
			b.ReportMetric(float64(rows), "rows")
			b.ReportMetric(spent.Seconds()/float64(i), "cpu-s")
		})
	}
	run("newest", func(tb offline.Table, fn func(*feature.Batch) error) error {
		return offline.Newest(ctx, tb, offline.NewestOptions{}, fn)
	})
	run("scan", func(tb offline.Table, fn func(*feature.Batch) error) error {
		return offline.Scan(ctx, tb, offline.ScanOptions{}, fn)
	})
}
