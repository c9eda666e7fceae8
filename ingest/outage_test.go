package ingest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// TestKafkaOutage: Kafka is killed and started again under a worker that reads,
// and it is killed for good while entries for quarantine are on their way and the worker
// is to stop. The stop ends in time, nothing is committed whose entries were not
// acknowledged, and every event is in one place once in the end.
func TestKafkaOutage(t *testing.T) {
	t.Parallel()
	k := testserver.OwnKafka(t, quick...)
	f := setupOn(t, k.Addr, "people")
	f.opts = append(f.opts, kgo.RetryTimeout(3*time.Second))
	_, err := kadm.NewClient(f.cl).CreateTopic(t.Context(), 3, 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, "people")
	require.NoError(t, err)
	events, ends := f.spread(41, 6000, 3)
	w := worksOn(t, f)
	v := personView(f.view.Meta.Name)
	w.apply(v)
	good := func(events []event) (n int) {
		for _, e := range events {
			if !e.bad {
				n++
			}
		}
		return n
	}
	c := w.config()
	c.SessionTimeout = 2 * time.Second
	_, stop := w.worker(c)
	w.produce(events[:1500]...)
	w.holds(v.Meta.Name, good(events[:1500]))
	w.produce(events[1500:3000]...)
	k.Kill(t) // while they are read
	k.Start(t)
	w.holds(v.Meta.Name, good(events[:3000]))

	// Entries that the broker does not acknowledge, as it is killed between the fetch and them.
	stop()
	f.cl = producer(t, []kgo.Opt{kgo.SeedBrokers(k.Addr)})
	w.produce(events[3000:]...)
	g := &gated{opened: make(chan struct{}), arrived: make(chan struct{}, 1)}
	_, stop = w.worker(c, func(sc *ingest.SupervisorConfig) {
		open := sc.Open
		sc.Open = func(ctx context.Context, cat *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			o, err := open(ctx, cat, v)
			s := &gatedWriter{Writer: o.Sinks[0].(*counted).Writer, g: g}
			o.Sinks, o.Table = []ingest.Sink{s}, s
			return o, err
		}
	})
	<-g.arrived // some events are judged: those before them are in quarantine or on the way
	before := map[int32]int64{}
	for _, p := range w.table(v.Meta.Name).Positions() {
		before[p.Partition] = p.Next
	}
	k.Kill(t)
	close(g.opened) // judging goes on, with what was fetched
	began := time.Now()
	stop()
	t.Logf("stopped in %v with Kafka down", time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), 28*time.Second)
	for _, p := range w.table(v.Meta.Name).Positions() {
		require.Equal(t, before[p.Partition], p.Next, "committed although entries were not acknowledged")
	}
	k.Start(t)
	_, stop = w.worker(c)
	w.holds(v.Meta.Name, good(events))
	f.table = w.table(v.Meta.Name)
	f.committed(ends)
	stop()
	f.verify(events)
	res, err := quarantine.NewReader(f.opts...).Read(t.Context(), quarantine.Query{Project: "p", View: v.Meta.Name})
	require.NoError(t, err)
	require.Len(t, res.Entries, len(events)-good(events))
}

// gated makes writes wait until it is opened.
type gated struct{ opened, arrived chan struct{} }

type gatedWriter struct {
	*sinktest.Writer
	g *gated
}

func (w *gatedWriter) Write(ctx context.Context, b *feature.Batch) error {
	select {
	case w.g.arrived <- struct{}{}:
	default:
	}
	select {
	case <-w.g.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	return w.Writer.Write(ctx, b)
}
