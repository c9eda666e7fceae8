package ingest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// stopped is how many partitions need a person.
func (f *fixture) stopped() int {
	f.t.Helper()
	all, err := f.reg.Gather()
	require.NoError(f.t, err)
	n := 0
	for _, m := range all {
		if m.GetName() == "weir_ingest_stopped" {
			for _, x := range m.GetMetric() {
				n += int(x.GetGauge().GetValue())
			}
		}
	}
	return n
}

// TestTransactions: events of aborted transactions do not count, and the
// position reaches the end of the log, over the markers.
func TestTransactions(t *testing.T) {
	f := setup(t, 2)
	cl, err := kgo.NewClient(append(f.opts, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer cl.Close()
	rng := newRand(3)
	var events []event
	stop := f.run(f.table.Open(), f.config())
	n := 0
	for i := range 12 {
		require.NoError(t, cl.BeginTransaction())
		var some []event
		for range 1 + rng.IntN(20) {
			some = append(some, f.event(rng, int32(rng.IntN(2)), n))
			n++
		}
		for _, e := range some {
			require.NoError(t, cl.ProduceSync(t.Context(), e.rec).FirstErr())
		}
		commit := kgo.TransactionEndTry(i%3 != 2)
		require.NoError(t, cl.EndTransaction(t.Context(), commit))
		if commit {
			events = append(events, some...)
		}
	}
	ends, err := kadm.NewClient(f.cl).ListEndOffsets(t.Context(), "people")
	require.NoError(t, err)
	want := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { want[o.Partition] = o.Offset })
	f.committed(want)
	require.NoError(t, stop())
	f.verify(events)
}

// deleteTo makes the log begin at an offset, as retention does.
func (f *fixture) deleteTo(offset int64) {
	f.t.Helper()
	r, err := kadm.NewClient(f.cl).DeleteRecords(f.t.Context(), kadm.Offsets{f.source.Topic: {0: {Topic: f.source.Topic, Partition: 0, At: offset}}})
	require.NoError(f.t, err)
	require.NoError(f.t, r.Error())
}

// truncated has the table hold events 0 to 49 of 100, and the log only those from 70 on.
func (f *fixture) truncated(seed uint64) (events []event) {
	f.t.Helper()
	rng := newRand(seed)
	for i := range 100 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events[:50]...)
	stop := f.run(f.table.Open(), f.config())
	f.committed(map[int32]int64{0: 50})
	require.NoError(f.t, stop())
	f.produce(events[50:]...)
	f.deleteTo(70)
	return events
}

// TestTruncatedTopic: where the log no longer has what the table lacks, the
// partition stops and says so; truncated_topic: skip goes on behind the gap.
func TestTruncatedTopic(t *testing.T) {
	f := setup(t, 1)
	events := f.truncated(4)

	stop := f.run(f.table.Open(), f.config())
	require.Eventually(t, func() bool { return f.stopped() == 1 }, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
	require.Equal(t, int64(50), f.table.Positions()[0].Next)

	c := f.config()
	c.TruncatedTopic = "skip"
	stop = f.run(f.table.Open(), c)
	f.committed(map[int32]int64{0: 100})
	require.NoError(t, stop())
	f.verify(append(events[:50:50], events[70:]...))
}

// hook is a writer that does something when it is assigned partitions.
type hook struct {
	*sinktest.Writer
	once     sync.Once
	assigned func()
}

func (h *hook) Assign(ctx context.Context, at []feature.Position) error {
	h.once.Do(h.assigned)
	return h.Writer.Assign(ctx, at)
}

// TestOvertaken: retention that overtakes a pipeline which is already reading
// does not make it skip events silently.
func TestOvertaken(t *testing.T) {
	f := setup(t, 1)
	rng := newRand(5)
	var events []event
	for i := range 100 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events...)
	_, done := f.start(&hook{Writer: f.table.Open(), assigned: func() { f.deleteTo(60) }}, f.config())
	require.ErrorContains(t, f.ended(done), "OFFSET_OUT_OF_RANGE")
	require.Empty(t, f.table.Rows())
	stop := f.run(f.table.Open(), f.config())
	require.Eventually(t, func() bool { return f.stopped() == 1 }, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
	require.Empty(t, f.table.Rows())
}

// TestRecreatedTopic: a topic made anew under a running pipeline ends it, what
// was read is kept, and the next start stops the partition, or reads the new topic
// as well where recreated_topic says so.
func TestRecreatedTopic(t *testing.T) {
	t.Parallel()
	f := setup(t, 1)
	rng := newRand(6)
	var events []event
	for i := range 80 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events[:50]...)
	stop, done := f.start(f.table.Open(), f.config())
	f.committed(map[int32]int64{0: 50})
	adm := kadm.NewClient(f.cl)
	_, err := adm.DeleteTopic(t.Context(), "people")
	require.NoError(t, err)
	_, err = adm.CreateTopic(t.Context(), 1, 1, nil, "people")
	require.NoError(t, err)
	require.Error(t, f.ended(done))
	_ = stop()

	cl, err := kgo.NewClient(append(f.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer cl.Close()
	for _, e := range events[50:] {
		require.NoError(t, cl.ProduceSync(t.Context(), e.rec).FirstErr())
	}
	stop = f.run(f.table.Open(), f.config())
	require.Eventually(t, func() bool { return f.stopped() == 1 }, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
	require.Len(t, f.table.Positions(), 1)

	c := f.config()
	c.RecreatedTopic = "start"
	stop = f.run(f.table.Open(), c)
	require.Eventually(t, func() bool {
		at := f.table.Positions()
		return len(at) == 2 && at[1].Next == 30
	}, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
	good := 0
	for _, e := range events {
		if !e.bad {
			good++
		}
	}
	require.Len(t, f.table.Rows(), good)
}
