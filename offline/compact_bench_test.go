package offline_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkCompact: files of 10,000 rows of a key, eight numbers, a text and a
// flag, with nulls, all of one day, merged.
func BenchmarkCompact(b *testing.B) {
	for _, key := range []feature.Type{feature.Int64, feature.String} {
		for _, files := range []int{100, 300} {
			b.Run(fmt.Sprintf("%s/%d", key, files), func(b *testing.B) {
				var cpu float64
				for b.Loop() {
					b.StopTimer()
					table := smallFiles(b, key, files, 10_000)
					b.StartTimer()
					from := usedCPU()
					done, err := offline.Compact(context.Background(), table, offline.CompactOptions{Config: offline.DefaultConfig()})
					cpu += usedCPU() - from
					require.NoError(b, err)
					require.EqualValues(b, files*10_000, done.Rows)
				}
				b.ReportMetric(float64(b.N*files*10_000)/1e6/cpu, "Mrows/CPU-s")
			})
		}
	}
}

func usedCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// smallFiles is a table of one day, as ingestion would have left it.
func smallFiles(b testing.TB, key feature.Type, files, rows int) offline.Table {
	v := makeView("v", 0, []feature.Field{field("id", key)})
	for i := range 8 {
		v.Features = append(v.Features, field(fmt.Sprintf("f%d", i), feature.Float64))
	}
	v.Features = append(v.Features, field("plan", feature.String), field("active", feature.Bool))
	table := openTable(b, v)
	w, err := offline.NewWriter(table, offline.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(b, err)
	defer w.Close()
	r := rand.New(rand.NewPCG(1, 1))
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	last := feature.Position{}
	for n := range files {
		first := int64(n * rows)
		batch := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", TopicID: offlinetest.TopicID, First: first, Next: first + int64(rows)}}
		for i := range rows {
			benchKey(rb.Field(0), r.Int64N(1_000_000))
			for k := range 8 {
				if f := rb.Field(1 + k).(*array.Float64Builder); r.IntN(20) == 0 {
					f.AppendNull()
				} else if k < 4 {
					f.Append(math.Round(10000*r.Float64()) / 100)
				} else {
					f.Append(r.NormFloat64())
				}
			}
			rb.Field(9).(*array.StringBuilder).Append([...]string{"monthly", "one year", "two years"}[r.IntN(3)])
			rb.Field(10).(*array.BooleanBuilder).Append(r.IntN(2) == 0)
			at := benchBase - benchBase%offline.Day + int64(offline.Day)*(first+int64(i))/int64(files*rows)
			batch.Offsets = append(batch.Offsets, first+int64(i))
			batch.EventTime = append(batch.EventTime, at)
			batch.KnownTime = append(batch.KnownTime, at+r.Int64N(60_000_000))
		}
		batch.Rows = rb.NewRecordBatch()
		require.NoError(b, w.Write(context.Background(), batch))
		require.NoError(b, offlinetest.Flush(context.Background(), w, offlinetest.Move(v, fmt.Sprint("c", first), last, offlinetest.At(0, first+int64(rows), ""))))
		at, err := w.Positions(context.Background())
		require.NoError(b, err)
		last = at[0]
	}
	return table
}
