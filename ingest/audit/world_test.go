package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	offmemory "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
)

// world is a broker, a catalog, a source of people with the view person, and a
// store of real tables, with ingestion as it runs in production.
type world struct {
	t       testing.TB
	cluster *kfake.Cluster
	opts    []kgo.Opt
	cl      *kgo.Client
	reg     *registry.Registry
	store   offline.Store
	dir     string // of Iceberg's files; "" in memory
	cfg     ingest.Config
	met     *ingest.Metrics
	log     *slog.Logger
	next    int // event time of the next event, in seconds
	rng     *rand.Rand
	name    string // of the view

	protocol string // of consumer groups
}

const topic = "people"

var base = time.Date(2026, 1, 5, 23, 50, 0, 0, time.UTC) // ten minutes before another day

func newWorld(t testing.TB, seed uint64, partitions int32) *world {
	w := bareWorld(t, seed, partitions)
	w.dir = t.TempDir()
	w.openStore()
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

func bareWorld(t testing.TB, seed uint64, partitions int32) *world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	w := worldOn(t, seed, c.ListenAddrs())
	w.cluster = c
	return w
}

// worldOn is a world on a broker that has the topic already; its tables are still to be opened.
func worldOn(t testing.TB, seed uint64, brokers []string) *world {
	t.Helper()
	w := &world{t: t, cfg: ingest.DefaultConfig(), met: ingest.NewMetrics(prometheus.NewRegistry()),
		log: slog.New(slog.NewTextHandler(io.Discard, nil)), rng: rand.New(rand.NewPCG(seed, 3)), name: "person"}
	if os.Getenv("WEIR_TEST_LOG") != "" {
		w.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w.cfg.FlushInterval, w.cfg.BatchRows = 20*time.Millisecond, 50
	w.opts = []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.FetchMaxWait(50 * time.Millisecond)}
	w.cl = w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var err error
	w.reg, err = registry.Open(t.Context(), memory.New(), registry.DefaultConfig(), registry.Checks{}, nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.reg.Close() })
	w.apply(&feature.Entity{Meta: meta("person"), JoinKeys: []feature.Field{{Name: "id", Type: feature.String}}}, source(), view())
	return w
}

func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, w.opts...), append(opts, kgo.ProducerBatchMaxBytes(16<<20))...)...)
	require.NoError(w.t, err)
	w.t.Cleanup(cl.Close)
	return cl
}

func (w *world) openStore() {
	w.t.Helper()
	var err error
	w.store, err = iceberg.Open(w.t.Context(), "sqlite:"+filepath.Join(w.dir, "tables.db"), filepath.Join(w.dir, "warehouse"), w.log)
	require.NoError(w.t, err)
}

func (w *world) inMemory() { w.store, w.dir = offmemory.Open(), "" }

func meta(name string) feature.Meta { return feature.Meta{Project: "p", Name: name} }

func source() *feature.Source {
	return &feature.Source{Meta: meta("people"), Topic: topic, EventTime: feature.TimeField{Field: "at", Format: "unix_us"},
		Schema: []byte(`{"type":"object","required":["id"],"properties":{"age":{"type":["integer","null"],"maximum":1000}}}`)}
}

func view() *feature.View {
	off := false
	return &feature.View{Meta: meta("person"), Source: "people", Entities: []string{"person"}, Online: &off,
		Features: []feature.Field{{Name: "age", Type: feature.Int64}, {Name: "name", Type: feature.String}, {Name: "score", Type: feature.Float64},
			{Name: "tags", Type: feature.Array(feature.String)}}}
}

func suite(high int) *feature.Suite {
	return &feature.Suite{Meta: meta("ages"), Expectations: []feature.Expectation{{Type: "expect_column_values_to_be_between",
		Kwargs: map[string]json.RawMessage{"column": json.RawMessage(`"age"`), "max_value": fmt.Append(nil, high)}}}}
}

func (w *world) apply(defs ...feature.Definition) {
	w.t.Helper()
	plan, err := w.reg.Apply(w.t.Context(), registry.Request{Definitions: defs, AllowBreaking: true})
	require.NoError(w.t, err)
	require.Empty(w.t, plan.Faults)
}

func (w *world) view() *feature.View {
	w.t.Helper()
	cat, err := w.reg.Current(w.t.Context())
	require.NoError(w.t, err)
	v, err := cat.View("p", w.name)
	require.NoError(w.t, err)
	return v
}

// event makes one, bad ones and tombstones among them.
func (w *world) event(partition int32) *kgo.Record {
	w.next++
	at := base.Add(time.Duration(w.next) * time.Second)
	rec := &kgo.Record{Topic: topic, Partition: partition, Timestamp: at, Key: fmt.Append(nil, "key", w.next),
		Value: fmt.Appendf(nil, `{"id":"k%d","at":%d,"age":%d,"name":"n%d","score":%g,"tags":["a","t%d"],"extra":%d}`,
			w.rng.IntN(50), at.UnixMicro(), w.rng.IntN(100), w.rng.IntN(9), w.rng.Float64(), w.rng.IntN(9), w.next)}
	switch w.rng.IntN(20) {
	case 6:
		rec.Value = fmt.Appendf(nil, `{"id":"k2","at":%d,"score":1.5,"tags":[],"extra":%d}`, at.UnixMicro(), w.next)
	case 0:
		rec.Value = []byte(`{"id":"k1","at":`)
	case 1:
		rec.Value = fmt.Appendf(nil, `{"id":null,"at":%d}`, at.UnixMicro())
	case 2:
		rec.Value = fmt.Appendf(nil, `{"id":"k2","at":%d,"age":5000}`, at.UnixMicro())
	case 3:
		rec.Value, rec.Key = nil, []byte("k3")
	case 4:
		rec.Value, rec.Key = nil, nil // a tombstone of nobody
	case 5:
		rec.Value = fmt.Appendf(nil, `{"id":"k3","at":%d}`, at.UnixMicro())
	}
	return rec
}

// produce writes n events to each partition.
func (w *world) produce(n int) {
	w.t.Helper()
	var recs []*kgo.Record
	partitions := w.partitions()
	for range n {
		for p := range partitions {
			recs = append(recs, w.event(p))
		}
	}
	require.NoError(w.t, w.cl.ProduceSync(w.t.Context(), recs...).FirstErr())
}

// described is the topic as the broker describes it, asked by a client that knows nothing yet.
func (w *world) described() kadm.TopicDetail {
	w.t.Helper()
	ts, err := kadm.NewClient(w.client()).ListTopics(w.t.Context(), topic)
	require.NoError(w.t, err)
	require.NoError(w.t, ts[topic].Err)
	return ts[topic]
}

func (w *world) partitions() int32 { w.t.Helper(); return int32(len(w.described().Partitions)) }

func (w *world) outlets(ctx context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
	t, err := w.store.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	s, err := offline.NewWriter(t, offline.DefaultConfig(), w.log, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	return &ingest.Outlets{View: v, Sinks: []ingest.Sink{s}, Table: s, Close: func() error { _ = s.Close(); return t.Close() }}, nil
}

// worker starts ingestion.
func (w *world) worker() (stop func()) { return w.workerOn(w.reg) }

// workerOn starts ingestion by somebody who has the catalog from elsewhere.
func (w *world) workerOn(c ingest.Catalogs) (stop func()) {
	w.t.Helper()
	qcl := w.client()
	s := ingest.NewSupervisor(ingest.SupervisorConfig{Config: w.cfg, Catalogs: c, Kafka: w.opts, Quarantine: quarantine.NewWriter(qcl),
		Replicas: 1, Open: w.outlets, Log: w.log, Metrics: w.met, Protocol: w.protocol})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(w.t, <-done)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

// drained waits until the table stands at the end of the log.
func (w *world) drained() {
	w.t.Helper()
	t, err := w.store.Table(w.t.Context(), w.view())
	require.NoError(w.t, err)
	ends, err := kadm.NewClient(w.cl).ListCommittedOffsets(w.t.Context(), topic)
	require.NoError(w.t, err)
	id, partitions := w.topicID(), int(w.partitions())
	require.Eventually(w.t, func() bool {
		at, err := t.Positions(w.t.Context())
		require.NoError(w.t, err)
		n := 0
		for _, p := range at {
			if o, ok := ends.Lookup(topic, p.Partition); ok && p.Next >= o.Offset && p.TopicID == id {
				n++
			}
		}
		return n == partitions
	}, 60*time.Second, 2*time.Millisecond)
}

// ingested produces n events a partition, and waits until they are ingested and
// the worker has stopped.
func (w *world) ingested(n int) {
	w.t.Helper()
	stop := w.worker()
	w.produce(n)
	w.drained()
	stop()
}

// imported brings a file in.
func (w *world) imported(rows int) {
	w.t.Helper()
	var text []byte
	for i := range rows {
		age := i % 90
		if i%10 == 3 {
			age = 5000
		}
		text = fmt.Appendf(text, "{\"id\":\"k%d\",\"at\":%d,\"age\":%d}\n", i%20, base.Add(-time.Duration(i)*time.Hour).UnixMicro(), age)
	}
	path := filepath.Join(w.t.TempDir(), "rows.jsonl")
	require.NoError(w.t, os.WriteFile(path, text, 0o600))
	im := ingest.NewImporter(ingest.ImportConfig{Config: w.cfg, Catalogs: w.reg, Quarantine: quarantine.NewWriter(w.client()), Replicas: 1,
		Open: w.outlets, Log: w.log, Metrics: w.met})
	_, err := im.Import(w.t.Context(), ingest.ImportRequest{Project: "p", View: "person", Path: path, Name: "rows.jsonl"}, nil)
	require.NoError(w.t, err)
}

func (w *world) auditor() *audit.Auditor {
	return audit.New(audit.Config{Kafka: w.opts, Catalogs: w.reg, Tables: w.store, Log: w.log})
}

func (w *world) audit(o audit.Options) *audit.Report {
	w.t.Helper()
	r, err := w.auditor().Run(w.t.Context(), w.view(), o, nil)
	require.NoError(w.t, err)
	return r
}

// clean audits and checks that nothing differs, that the lines add up, and that
// both sides have what was counted.
func (w *world) clean() *audit.Report {
	w.t.Helper()
	r := w.audit(audit.Options{})
	require.Zero(w.t, r.Found, "%+v", r.Differences)
	require.Empty(w.t, r.Differences)
	require.True(w.t, r.Clean())
	for _, l := range r.Lines {
		if l.Partition < 0 {
			require.False(w.t, l.Compared)
			continue
		}
		if l.Compared {
			require.Equal(w.t, l.Table+l.Quarantine, l.Log, "%+v", l)
			require.Equal(w.t, l.TableHash, l.LogHash, "%+v", l)
			require.Equal(w.t, l.Table > 0, l.TableHash != 0)
			require.Equal(w.t, l.Quarantine > 0, l.QuarantineHash != 0)
		}
	}
	return r
}

// counts adds up the lines of Kafka's partitions, or of imports.
func counts(r *audit.Report, imports bool) (log, table, held int64) {
	for _, l := range r.Lines {
		if l.Partition < 0 == imports {
			log, table, held = log+l.Log, table+l.Table, held+l.Quarantine
		}
	}
	return log, table, held
}
