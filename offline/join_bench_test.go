package offline_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkJoin: 1M rows of five float64 over 90 days and 100k keys, as the Writer
// lays them out, joined to 100k spine rows (ttl 30 days).
func BenchmarkJoin(b *testing.B) {
	for _, c := range []struct {
		name  string
		key   feature.Type
		spine int
		clock feature.Clock
	}{
		{"int64/known/100k", feature.Int64, 100_000, feature.KnownClock},
		{"int64/event/100k", feature.Int64, 100_000, feature.EventClock},
		{"string/known/100k", feature.String, 100_000, feature.KnownClock},
		{"int64/known/100", feature.Int64, 100, feature.KnownClock},
	} {
		b.Run(c.name, func(b *testing.B) {
			svc, tables := benchTable(b, c.key, 1_000_000, 100_000, 90)
			spine := benchSpine(c.key, c.spine, 100_000, 90)
			b.ResetTimer()
			for b.Loop() {
				spine.next = 0
				_, err := offline.Join(context.Background(), offline.JoinRequest{Service: svc, Tables: tables, Clock: c.clock,
					Spine: offline.Spine{Rows: spine, Time: "at"}}, func(arrow.RecordBatch) error { return nil })
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)*1_000_000/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func benchKey(b array.Builder, k int64) {
	if s, ok := b.(*array.StringBuilder); ok {
		s.Append(fmt.Sprintf("customer_%08d", k))
	} else {
		b.(*array.Int64Builder).Append(k)
	}
}

const benchBase = int64(1_750_000_000_000_000)

func benchTable(b *testing.B, key feature.Type, rows, keys, days int) (*feature.Service, []offline.TableAt) {
	var fs []feature.Field
	for i := range 5 {
		fs = append(fs, field(fmt.Sprintf("f%d", i), feature.Float64))
	}
	v := makeView("v", feature.Duration(30*24*3600e9), []feature.Field{field("id", key)}, fs...)
	table := openTable(b, v)
	w, err := offline.NewWriter(table, offline.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(b, err)
	defer w.Close()
	r := rand.New(rand.NewPCG(1, 1))
	rb := array.NewRecordBuilder(memory.DefaultAllocator, v.Schema())
	last := feature.Position{}
	const flush = 100_000 // so many rows a commit: the days are spread over ten files each
	for from := 0; from < rows; from += flush {
		batch := &feature.Batch{View: v, Origin: feature.Origin{Topic: "events", TopicID: offlinetest.TopicID, First: int64(from), Next: int64(from + flush)}}
		for i := range flush {
			benchKey(rb.Field(0), r.Int64N(int64(keys)))
			for k := range 5 {
				rb.Field(1 + k).(*array.Float64Builder).Append(r.NormFloat64())
			}
			at := benchBase + r.Int64N(int64(days)*offline.Day)
			batch.Offsets = append(batch.Offsets, int64(from+i))
			batch.EventTime = append(batch.EventTime, at)
			batch.KnownTime = append(batch.KnownTime, at+r.Int64N(60_000_000))
		}
		batch.Rows = rb.NewRecordBatch()
		require.NoError(b, w.Write(context.Background(), batch))
		require.NoError(b, offlinetest.Flush(context.Background(), w, offlinetest.Move(v, fmt.Sprint("c", from), last, offlinetest.At(0, int64(from+flush), ""))))
		at, err := w.Positions(context.Background())
		require.NoError(b, err)
		last = at[0]
	}
	return makeService(b, v), []offline.TableAt{{Table: table}}
}

func benchSpine(key feature.Type, rows, keys, days int) *batches {
	r := rand.New(rand.NewPCG(2, 2))
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: key.Arrow()}, {Name: "at", Type: feature.Timestamp.Arrow()}, {Name: "label", Type: arrow.PrimitiveTypes.Int64}}, nil)
	s := &batches{schema: schema}
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range rows {
		benchKey(rb.Field(0), r.Int64N(int64(keys)))
		rb.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(benchBase + r.Int64N(int64(days)*offline.Day)))
		rb.Field(2).(*array.Int64Builder).Append(int64(i & 1))
		if i%65536 == 65535 || i == rows-1 {
			s.recs = append(s.recs, rb.NewRecordBatch())
		}
	}
	return s
}
