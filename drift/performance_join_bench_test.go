package drift

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// flood is a history of predictions and outcomes that nobody keeps: rows are made while they are read.
type flood struct {
	rows  int
	key   func(i int) int
	event func(i int) int64
	scans map[string]int
	peak  uint64 // of the heap with what the collector has not taken back yet, once a batch
}

func (f *flood) Scan(ctx context.Context, v *feature.View, from, to int64, _ []string, fn func(*feature.Batch) error) error {
	if f.scans == nil {
		f.scans = map[string]int{}
	}
	f.scans[v.Meta.Name]++
	const most = 4096
	after := int64(0)
	if v.Meta.Name == "outcomes" {
		after = anHour / 2
	}
	for first := 0; first < f.rows; first += most {
		b := &feature.Batch{View: v}
		rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
		for i := first; i < min(f.rows, first+most); i++ {
			at := f.event(i) + after
			if at < from || at >= to {
				continue
			}
			b.Offsets, b.EventTime, b.KnownTime = append(b.Offsets, int64(i)), append(b.EventTime, at), append(b.KnownTime, at)
			rb.Field(0).(*array.StringBuilder).Append(fmt.Sprintf("prediction-%025d", f.key(i)))
			for k := 1; k <= len(v.Features); k++ {
				if x, ok := rb.Field(k).(*array.Float64Builder); ok {
					x.Append(float64(i))
				} else {
					rb.Field(k).AppendNull()
				}
			}
		}
		if b.Rows = rb.NewRecordBatch(); b.Len() == 0 {
			continue
		}
		if err := fn(b); err != nil {
			return err
		}
		b.Rows.Release()
		f.look()
	}
	return nil
}

func (f *flood) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.peak = max(f.peak, m.HeapInuse)
}

// BenchmarkJoinOneKey joins predictions of one key in 20,000 windows with as many outcomes, each of which may be of any of them.
func BenchmarkJoinOneKey(b *testing.B) {
	const n = 20_000
	m := predicting(feature.Number, feature.Float64, feature.Float64).WithDefaults()
	for _, within := range []int64{2, n} {
		b.Run(fmt.Sprintf("within=%dh", within), func(b *testing.B) {
			m.Performance.Outcomes.Within = feature.Duration(within * anHour * 1000)
			for b.Loop() {
				j, err := newJoiner(m, &flood{rows: n, key: func(int) int { return 0 }, event: func(i int) int64 { return int64(i) * anHour }}, b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				judged := 0
				if err := j.run(context.Background(), 0, n*anHour, func(*prediction) { judged++ }); err != nil || judged != n {
					b.Fatal(err, judged)
				}
			}
		})
	}
}

// BenchmarkJoinMany joins three million predictions of a window: far more than are held at once.
func BenchmarkJoinMany(b *testing.B) {
	n := 3_000_000
	if x, err := strconv.Atoi(os.Getenv("WEIR_BENCH_PREDICTIONS")); err == nil {
		n = x
	}
	m := predicting(feature.Number, feature.Float64, feature.Float64).WithDefaults()
	for b.Loop() {
		f := &flood{rows: n, key: func(i int) int { return i }, event: func(i int) int64 { return int64(i) }}
		j, err := newJoiner(m, f, b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		judged := 0
		each := func(*prediction) {
			if judged++; judged%10_000 == 0 {
				f.look()
			}
		}
		if err := j.run(context.Background(), 0, anHour, each); err != nil || judged != n {
			b.Fatal(err, judged)
		}
		b.ReportMetric(float64(f.peak)/(1<<20), "peak-MiB")
		b.ReportMetric(float64(f.scans["predictions"]+f.scans["outcomes"]), "scans")
	}
}
