package ingest_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/decode/decodetest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	"github.com/weir-ml/weir/registry/feature"
)

// tenExpectations are expectations on the payments of decodetest, one of each
// kind that suites have most; none fails on those events.
func tenExpectations(t *testing.T) *feature.Suite {
	s := &feature.Suite{Meta: feature.Meta{Project: "default", Name: "payment"}, Version: 1}
	for _, r := range [][2]string{
		{"expect_column_values_to_not_be_null", `{"column": "amount"}`},
		{"expect_column_values_to_be_between", `{"column": "amount", "min_value": 0, "max_value": 100000}`},
		{"expect_column_values_to_be_between", `{"column": "risk", "min_value": 0, "max_value": 1}`},
		{"expect_column_values_to_be_in_set", `{"column": "currency", "value_set": ["EUR", "USD", "GBP", "CHF"]}`},
		{"expect_column_values_to_be_in_set", `{"column": "channel", "value_set": ["web", "app", "store"]}`},
		{"expect_column_values_to_not_be_in_set", `{"column": "items", "value_set": [-1, 0, 9999]}`},
		{"expect_column_values_to_match_regex", `{"column": "customer_id", "regex": "^c[0-9]{6}$"}`},
		{"expect_column_value_lengths_to_be_between", `{"column": "device", "min_value": 1, "max_value": 32}`},
		{"expect_column_values_to_be_of_type", `{"column": "returning", "type_": "bool"}`},
		{"expect_column_pair_values_a_to_be_greater_than_b", `{"column_A": "event_id", "column_B": "items"}`},
	} {
		e := feature.Expectation{Type: r[0]}
		require.NoError(t, json.Unmarshal([]byte(r[1]), &e.Kwargs))
		s.Expectations = append(s.Expectations, e)
	}
	return s
}

// publishPayments fills a topic with n events, spread over its partitions.
func publishPayments(t *testing.T, addr, topic string, partitions int32, n int, codec kgo.CompressionCodec) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(20*time.Millisecond), kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytes(900<<10), kgo.MaxBufferedRecords(100_000), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic) // the events are old
	require.NoError(t, err)
	var failed atomic.Int64
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range n {
		// Known when it happened: the broker's clock would say that they come from the past or the future.
		cl.Produce(t.Context(), &kgo.Record{Value: decodetest.Event(i, rng), Timestamp: decodetest.Start.Add(time.Duration(i) * 10 * time.Millisecond)},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Add(1)
				}
			})
	}
	require.NoError(t, cl.Flush(t.Context()))
	require.Zero(t, failed.Load())
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakRSS is the most memory that this process has had since resetRSS, in bytes;
// 0 where the system does not tell.
func peakRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	m := highWater.FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// usedCPU is the CPU time of this process, in seconds.
func usedCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func resetRSS() {
	runtime.GC()
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// TestTwoHundredPartitions: a worker with 200 partitions and default settings,
// reading a backlog as fast as it can, stays under 512 MiB. The worker shares the
// process with the test; Kafka does not. The race detector takes several times
// the memory of what it watches: under it the heap is what counts. WEIR_TEST_MEMORY_EVENTS sets
// how long the backlog is, 3000000 for a measurement; WEIR_TEST_MEMORY_PROFILE names a file for the heap at its largest.
func TestTwoHundredPartitions(t *testing.T) {
	events := 400_000
	if raceEnabled {
		events = 60_000
	}
	if s := os.Getenv("WEIR_TEST_MEMORY_EVENTS"); s != "" {
		events, _ = strconv.Atoi(s)
	}
	const partitions, most = 200, 512 << 20
	k := testserver.OwnKafka(t)
	for name, codec := range map[string]kgo.CompressionCodec{"plain": kgo.NoCompression(), "lz4": kgo.Lz4Compression()} {
		if raceEnabled && name != "plain" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			publishPayments(t, k.Addr, name, partitions, events, codec)
			dir := t.TempDir()
			log := slog.New(slog.NewTextHandler(io.Discard, nil))
			store, err := iceberg.Open(t.Context(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "tables"), log)
			require.NoError(t, err)
			defer store.Close()
			view := decodetest.View()
			view.SourceOf.Topic, view.SuiteOf = name, tenExpectations(t)
			table, err := store.Table(t.Context(), view)
			require.NoError(t, err)
			w, err := offline.NewWriter(table, offline.DefaultConfig(), log, nil)
			require.NoError(t, err)
			defer w.Close()
			opts := []kgo.Opt{kgo.SeedBrokers(k.Addr), kgo.FetchMaxWait(500 * time.Millisecond), kgo.BrokerMaxReadBytes(128 << 20)}
			qcl, err := kgo.NewClient(append(opts, kgo.ProducerBatchMaxBytes(64<<20))...)
			require.NoError(t, err)
			defer qcl.Close()
			reg := prometheus.NewRegistry()
			c := ingest.DefaultConfig()
			p := ingest.NewPipeline(ingest.PipelineConfig{Config: c, Source: view.SourceOf, Revision: 1, Kafka: opts, Group: name,
				Outlets:    []*ingest.Outlets{{View: view, Sinks: []ingest.Sink{w}, Table: w}},
				Quarantine: quarantine.NewWriter(qcl), Replicas: 1, Log: log, Metrics: ingest.NewMetrics(reg)})
			resetRSS()
			before, cpu := peakRSS(), usedCPU()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			began := time.Now()
			go func() { done <- p.Run(ctx, nil) }()
			var heap, held uint64
			for {
				var st runtime.MemStats
				runtime.ReadMemStats(&st)
				if st.HeapInuse > heap+20<<20 {
					if f := os.Getenv("WEIR_TEST_MEMORY_PROFILE"); f != "" {
						o, err := os.Create(f + "." + name)
						require.NoError(t, err)
						require.NoError(t, pprof.WriteHeapProfile(o))
						require.NoError(t, o.Close())
					}
				}
				heap = max(heap, st.HeapInuse)
				held = max(held, uint64(gauge(t, reg, "weir_ingest_buffered_bytes")))
				at, err := w.Positions(t.Context())
				require.NoError(t, err)
				var n int64
				for _, p := range at {
					n += p.Next
				}
				if n == int64(events) {
					break
				}
				select {
				case err := <-done:
					t.Fatal("ended: ", err)
				case <-time.After(20 * time.Millisecond):
				}
				require.Less(t, time.Since(began), 3*time.Minute, "%d of %d events", n, events)
			}
			took := time.Since(began)
			rss := peakRSS()
			t.Logf("%d events of 205 bytes over %d partitions in %v, %.0f events/CPU-s: peak RSS %d MiB (%d before), heap in use %d MiB, held %.1f MiB of a budget of %d MiB",
				events, partitions, took.Round(time.Millisecond), float64(events)/(usedCPU()-cpu), rss>>20, before>>20, heap>>20, float64(held)/(1<<20), c.MemoryLimit>>20)
			cancel()
			require.NoError(t, <-done)
			require.Zero(t, gauge(t, reg, "weir_quarantined_total"))
			st, err := table.Load(t.Context(), offline.Version{})
			require.NoError(t, err)
			require.EqualValues(t, events, st.Rows)
			if raceEnabled {
				rss = int64(heap)
			}
			require.Less(t, rss, int64(most))
			require.LessOrEqual(t, int64(held), c.MemoryLimit)
		})
	}
}

// gauge is the sum of a metric over its labels.
func gauge(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, m := range all {
		if m.GetName() == name {
			for _, x := range m.GetMetric() {
				sum += x.GetGauge().GetValue() + x.GetCounter().GetValue()
			}
		}
	}
	return sum
}
