package audit_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// payments has events of a shop ingested, as measurements are taken on; the first
// of them, if any, when the view had only its first five features.
func (w *world) payments(events, partitions, first int) {
	w.t.Helper()
	src, v := decodetest.Source(), decodetest.View()
	off := false
	src.Meta.Project, v.Meta.Project, v.Online, v.Entities, w.name = "p", "p", &off, []string{"customer"}, v.Meta.Name
	w.t1(w.cluster.CreateTopic(src.Topic, int32(partitions), nil))
	w.apply(&feature.Entity{Meta: meta("customer"), JoinKeys: []feature.Field{{Name: "customer_id", Type: feature.String}}}, src)
	w.cfg.BatchRows, w.cfg.FlushInterval = 8192, 200*time.Millisecond
	rng, n := rand.New(rand.NewPCG(1, 1)), 0
	send := func(upto int) {
		for n < upto {
			var recs []*kgo.Record
			for range min(4000, upto-n) {
				recs = append(recs, &kgo.Record{Topic: src.Topic, Partition: int32(n % partitions), Value: decodetest.Event(n, rng),
					Timestamp: decodetest.Start.Add(time.Duration(n) * 10 * time.Millisecond)})
				n++
			}
			w.t1(w.cl.ProduceSync(w.t.Context(), recs...).FirstErr())
		}
		require.Eventually(w.t, func() bool {
			at, err := w.table().Positions(w.t.Context())
			w.t1(err)
			sum := int64(0)
			for _, p := range at {
				sum += p.Next
			}
			return sum == int64(n)
		}, 120*time.Second, 20*time.Millisecond)
	}
	if first > 0 {
		old := *v
		old.Features = v.Features[:5]
		w.apply(&old)
		stop := w.worker()
		send(first)
		stop()
	}
	w.apply(v)
	stop := w.worker()
	send(events)
	stop()
}

// TestLarge: more than one bucket, a definition that changed in the middle of
// one, and faults on both sides, looked into one bucket at a time.
func TestLarge(t *testing.T) {
	if raceOn {
		t.Skip("SKIP(race): seventy thousand events; the other tests have it watch the same steps")
	}
	t.Parallel()
	w := newWorld(t, testseed.For(t), 1)
	const events = offsets.Bucket + 10_000
	w.payments(events, 1, 8_000)
	r := w.clean()
	log, table, _ := counts(r, false)
	require.EqualValues(t, events, log)
	require.EqualValues(t, events, table)
	rows := w.rows()
	slices.SortFunc(rows, func(a, b row) int { return int(a.offset() - b.offset()) })
	require.True(t, rows[10].b.Rows.Column(9).IsNull(rows[10].i))
	require.False(t, rows[events-10].b.Rows.Column(9).IsNull(rows[events-10].i))
	victims := []row{rows[w.rng.IntN(8000)], rows[8000+w.rng.IntN(8000)], rows[events-1-w.rng.IntN(8000)]}
	var want []audit.Difference
	for _, v := range victims {
		// A null where there is a value, and a value where there was none, are faults as well.
		value := "chrome"
		if !v.b.Rows.Column(9).IsNull(v.i) {
			value = "null"
		}
		w.add(copyOf(w.view(), []row{v}, map[string]string{"device": value}))
		want = append(want, audit.Difference{Kind: audit.Doubled, First: v.offset()}, audit.Difference{Kind: audit.Changed, First: v.offset()})
	}
	r, err := w.auditor().PerDrill(1).Run(t.Context(), w.view(), audit.Options{}, nil)
	require.NoError(t, err)
	require.EqualValues(t, len(want), r.Found, "%+v", r.Differences)
	for i, d := range r.Differences {
		require.Equal(t, want[i].Kind, d.Kind)
		require.Equal(t, want[i].First, d.First)
		if d.Kind == audit.Changed {
			require.Contains(t, d.Detail, "device is ")
		}
	}
}

// BenchmarkAudit measures audits of a stream in which nothing differs, in events
// per second of CPU; the broker runs in the same process and is counted in.
func BenchmarkAudit(b *testing.B) {
	const events = 300_000
	w := newWorld(b, 1, 4)
	w.payments(events, 4, 0)
	runtime.GC()
	began, cpu := time.Now(), cpuTime(b)
	b.ResetTimer()
	for b.Loop() {
		r := w.audit(audit.Options{})
		require.Zero(b, r.Found)
	}
	used, took := (cpuTime(b) - cpu).Seconds(), time.Since(began).Seconds()
	b.ReportMetric(float64(events*b.N)/used, "events/cpu-s")
	b.ReportMetric(float64(events*b.N)/took, "events/s")
}

func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
