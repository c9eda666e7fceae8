package ingest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// fixture is a broker, a source with one view, and a table that outlives pipelines.
type fixture struct {
	t      *testing.T
	opts   []kgo.Opt
	source *feature.Source
	view   *feature.View
	table  *sinktest.Table
	cl     *kgo.Client
	met    *ingest.Metrics
	reg    *prometheus.Registry
	log    *slog.Logger
	done   chan error // what the pipeline that was started last has said at its end
}

func setup(t *testing.T, partitions int32) *fixture {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "people"), kfake.SleepOutOfOrder())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return setupOn(t, c.ListenAddrs()[0], "people")
}

// setupOn is setup with a topic that is there already.
func setupOn(t *testing.T, addr, topic string) *fixture {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(addr), kgo.FetchMaxWait(50 * time.Millisecond)}
	cl := producer(t, opts)
	src := &feature.Source{Meta: feature.Meta{Project: "p", Name: "people"}, Topic: topic,
		EventTime: feature.TimeField{Field: "at", Format: "unix_us"},
		Schema:    []byte(`{"type":"object","required":["id"],"properties":{"age":{"type":["integer","null"],"maximum":1000}}}`)}
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: "person"}, Source: "people", Entities: []string{"person"},
		Keys:     []feature.Field{{Name: "id", Type: feature.String}},
		Features: []feature.Field{{Name: "age", Type: feature.Int64}}, SourceOf: src, Version: 1}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if os.Getenv("WEIR_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	reg := prometheus.NewRegistry()
	return &fixture{t: t, opts: opts, source: src, view: v, table: &sinktest.Table{}, cl: cl,
		met: ingest.NewMetrics(reg), reg: reg, log: log}
}

// producer is a client that sends each record once: where a broker was killed since, make a new one. Kafka reckons a producer's
// age by its records, and these are old: when it starts it has forgotten who made them. What a client sends again because its connection
// turned out to be gone may then be taken twice.
func producer(t *testing.T, opts []kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(16<<20),
		// Were a second batch under way when the connection turns out to be gone, it would be taken before the first, and then both again.
		kgo.MaxProduceRequestsInflightPerBroker(1))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

// event is one record, and whether it must end in quarantine.
type event struct {
	rec *kgo.Record
	bad bool
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 99)) }

var base = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func (f *fixture) event(rng *rand.Rand, partition int32, i int) event {
	at := base.Add(time.Duration(i) * time.Second)
	e := event{rec: &kgo.Record{Topic: f.source.Topic, Partition: partition, Timestamp: at,
		Value: fmt.Appendf(nil, `{"id":"k%d","at":%d,"age":%d}`, rng.IntN(50), at.UnixMicro(), rng.IntN(100))}}
	switch rng.IntN(20) {
	case 0:
		e.rec.Value, e.bad = []byte(`{"id":"k1","at":`), true
	case 1:
		e.rec.Value, e.bad = fmt.Appendf(nil, `{"id":null,"at":%d}`, at.UnixMicro()), true
	case 2:
		e.rec.Value, e.bad = fmt.Appendf(nil, `{"id":"k2","at":%d,"age":5000}`, at.UnixMicro()), true
	case 3:
		e.rec.Value, e.rec.Key = nil, []byte("k3")
	}
	return e
}

func (f *fixture) produce(events ...event) {
	f.t.Helper()
	var recs []*kgo.Record
	for _, e := range events {
		recs = append(recs, e.rec)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Minute) // else a broker that is gone is waited for until the whole package times out
	defer cancel()
	require.NoError(f.t, f.cl.ProduceSync(ctx, recs...).FirstErr())
}

// run starts a pipeline on writer w; stop ends it and returns what Run said.
func (f *fixture) run(w interface {
	ingest.Sink
	ingest.Committer
}, c ingest.Config, change ...func(*ingest.PipelineConfig)) (stop func() error) {
	f.t.Helper()
	stop, _ = f.start(w, c, change...)
	return stop
}

// start is run; ended gives what Run said when it ends by itself.
func (f *fixture) start(w interface {
	ingest.Sink
	ingest.Committer
}, c ingest.Config, change ...func(*ingest.PipelineConfig)) (stop func() error, ended chan error) {
	f.t.Helper()
	qcl, err := kgo.NewClient(append(f.opts, kgo.ProducerBatchMaxBytes(16<<20))...)
	require.NoError(f.t, err)
	pc := ingest.PipelineConfig{Config: c, Source: f.source, Revision: 1, Kafka: f.opts, Group: "g." + f.source.Topic,
		Outlets:    []*ingest.Outlets{{View: f.view, Sinks: []ingest.Sink{w}, Table: w}},
		Quarantine: quarantine.NewWriter(qcl), Replicas: 1, Log: f.log, Metrics: f.met}
	for _, ch := range change {
		ch(&pc)
	}
	p := ingest.NewPipeline(pc)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	f.done = done
	go func() { done <- p.Run(ctx, nil) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-done
		done <- err
		qcl.Close()
		return err
	}
	f.t.Cleanup(func() { _ = stop() })
	return stop, done
}

// ended waits until a pipeline has ended by itself.
func (f *fixture) ended(done chan error) error {
	f.t.Helper()
	select {
	case err := <-done:
		done <- err
		return err
	case <-time.After(60 * time.Second):
		f.t.Fatal("the pipeline goes on")
		return nil
	}
}

func (f *fixture) config() ingest.Config {
	c := ingest.DefaultConfig()
	c.FlushInterval = 20 * time.Millisecond
	c.BatchRows = 37
	return c
}

// committed waits until the table stands at the given offsets.
func (f *fixture) committed(ends map[int32]int64) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return f.reached(ends) }, 3*time.Minute, 5*time.Millisecond,
		"the table stands at %v, wants %v", f.table.Positions(), ends)
}

func (f *fixture) reached(ends map[int32]int64) bool {
	n := 0
	for _, p := range f.table.Positions() {
		if p.Next == ends[p.Partition] {
			n++
		}
	}
	return n == len(ends)
}

// verify compares table and quarantine with what was produced.
func (f *fixture) verify(events []event) {
	f.t.Helper()
	type at struct {
		part int32
		off  int64
	}
	rows := map[at]int{}
	for _, r := range f.table.Rows() {
		rows[at{r.Partition, r.Offset}]++
	}
	held := map[at]int{}
	res, err := quarantine.NewReader(f.opts...).Read(f.t.Context(), quarantine.Query{Project: "p", View: f.view.Meta.Name})
	require.NoError(f.t, err)
	for _, e := range res.Entries {
		held[at{e.Partition, e.Offset}]++
		require.NotEmpty(f.t, e.Reasons)
	}
	for _, e := range events {
		k := at{e.rec.Partition, e.rec.Offset}
		if e.bad {
			require.Equal(f.t, 0, rows[k], "bad event %v is in the table", k)
			require.Equal(f.t, 1, held[k], "bad event %v in quarantine", k)
		} else {
			require.Equal(f.t, 1, rows[k], "good event %v in the table", k)
			require.Equal(f.t, 0, held[k], "good event %v is in quarantine", k)
		}
	}
	require.Len(f.t, f.table.Rows(), len(rows), "rows in the table more than once")
	require.Len(f.t, events, len(rows)+len(held))
}

func (f *fixture) record(value string) *kgo.Record {
	return &kgo.Record{Topic: f.source.Topic, Timestamp: base.Add(time.Hour), Value: []byte(value)}
}
