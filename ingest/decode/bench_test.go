package decode_test

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/weir-ml/weir/ingest/decode"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/registry/feature"
)

func benchEvents(n int, event func(int, *rand.Rand) []byte) ([][]byte, int) {
	rng := rand.New(rand.NewPCG(1, 2))
	events, size := make([][]byte, n), 0
	for i := range events {
		events[i] = event(i, rng)
		size += len(events[i])
	}
	return events, size / n
}

// BenchmarkDecodeSchema is decode and schema alone, batches of 8192 rows cut and dropped.
func BenchmarkDecodeSchema(b *testing.B) { benchDecode(b, decodetest.View(), decodetest.Event) }

// BenchmarkDecodeArrays is the same of events with arrays, an embedding among them.
func BenchmarkDecodeArrays(b *testing.B) {
	benchDecode(b, decodetest.ArraysView(), decodetest.ArraysEvent)
}

func benchDecode(b *testing.B, v *feature.View, event func(int, *rand.Rand) []byte) {
	events, size := benchEvents(8192, event)
	d, err := decode.New(v.SourceOf, []*feature.View{v}, decode.Options{})
	if err != nil {
		b.Fatal(err)
	}
	now := decodetest.Start.Add(1e12).UnixMicro()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	held, cpu := 0, cpuSeconds()
	for i := 0; b.Loop(); i++ {
		d.Decode(decode.Record{Value: events[i%len(events)], Offset: int64(i), Timestamp: now})
		if i%len(events) == len(events)-1 {
			for _, r := range d.Cut(feature.Origin{}) {
				held += len(r.Rejected)
				r.Batch.Rows.Release()
			}
		}
	}
	if held > 0 {
		b.Fatal(held, " events were held back")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/(cpuSeconds()-cpu), "events/cpu-s")
	b.ReportMetric(float64(size), "bytes/event")
}

// cpuSeconds is the CPU time this process has used, the collector's share
// included: the figure that another process on the machine does not change.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
