package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// hanging is a writer whose Write does not return for some partitions, as one
// of several Redis shards would have it.
type hanging struct {
	*sinktest.Writer
	mu     sync.Mutex
	hangs  map[int32]bool
	gate   chan struct{} // closed: nothing hangs any more
	caught atomic.Int64  // calls that hang or have hung
}

func newHanging(w *sinktest.Writer, partitions ...int32) *hanging {
	h := &hanging{Writer: w, hangs: map[int32]bool{}, gate: make(chan struct{})}
	for _, p := range partitions {
		h.hangs[p] = true
	}
	return h
}

func (h *hanging) Write(ctx context.Context, b *feature.Batch) error {
	h.mu.Lock()
	hangs := h.hangs[b.Origin.Partition]
	h.mu.Unlock()
	if hangs {
		h.caught.Add(1)
		select {
		case <-h.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return h.Writer.Write(ctx, b)
}

// spread makes n events over some partitions, and how many belong to each.
func (f *fixture) spread(seed uint64, n int, partitions int32) (events []event, ends map[int32]int64) {
	rng, ends := newRand(seed), map[int32]int64{}
	for i := range n {
		e := f.event(rng, int32(i)%partitions, i)
		ends[e.rec.Partition]++
		events = append(events, e)
	}
	return events, ends
}

// trickle produces in batches of some hundred events: what a broker gives at
// least is one batch, however large its producer made it.
func (f *fixture) trickle(events []event) {
	for len(events) > 0 {
		n := min(len(events), 2000)
		f.produce(events[:n]...)
		events = events[n:]
	}
}

// standsAt reports where the table stands on a partition.
func (f *fixture) standsAt(partition int32) int64 {
	for _, p := range f.table.Positions() {
		if p.Partition == partition {
			return p.Next
		}
	}
	return -1
}

// TestHangingSink: a sink that hangs for one partition holds up that one: the
// others are written and committed, memory stays within its limit, the partition
// is paused, and goes on when the sink does.
func TestHangingSink(t *testing.T) {
	t.Parallel()
	f := setup(t, 4)
	c := f.config()
	c.MemoryLimit, c.FlushBytes = 2<<20, 1<<20
	h := newHanging(f.table.Open(), 1)
	stop := f.run(h, c)
	events, ends := f.spread(21, 40_000, 4) // 2.5 MB a partition in memory
	f.trickle(events)
	for _, p := range []int32{0, 2, 3} {
		require.Eventually(t, func() bool { return f.standsAt(p) == ends[p] }, 3*time.Minute, 5*time.Millisecond, "partition %d is held up", p)
		require.LessOrEqual(t, gauge(t, f.reg, "weir_ingest_buffered_bytes"), float64(c.MemoryLimit))
	}
	require.EqualValues(t, 0, f.standsAt(1))
	require.Eventually(t, func() bool { return gauge(t, f.reg, "weir_ingest_paused") == 1 }, 3*time.Minute, time.Millisecond)
	close(h.gate)
	f.committed(ends)
	require.Zero(t, gauge(t, f.reg, "weir_ingest_paused"))
	require.NoError(t, stop())
	f.verify(events)
}

// TestHangingSinkFillsMemory: what came of the partition that hangs is more than
// a small limit leaves, for it inflated. It stays, nothing more of it comes, and
// the others go on.
func TestHangingSinkFillsMemory(t *testing.T) {
	t.Parallel()
	f := setup(t, 2)
	c := f.config()
	c.MemoryLimit, c.FlushBytes = 2<<20, 1<<20
	h := newHanging(f.table.Open(), 1)
	stop := f.run(h, c)
	some := func(partition int32, n int) (events []event) {
		for range n {
			events = append(events, event{rec: &kgo.Record{Topic: f.source.Topic, Partition: partition, Timestamp: base,
				Value: fmt.Appendf(nil, `{"id":"k","at":%d}`, base.UnixMicro())}})
		}
		return events
	}
	for range 10 {
		f.produce(some(1, 4000)...) // in one batch or a few
	}
	require.Eventually(t, func() bool { return gauge(t, f.reg, "weir_ingest_paused") == 1 }, 3*time.Minute, time.Millisecond)
	events, ends := f.spread(24, 5000, 1)
	f.trickle(events)
	require.Eventually(t, func() bool { return f.standsAt(0) == ends[0] }, 3*time.Minute, 5*time.Millisecond, "partition 0 is held up")
	held := gauge(t, f.reg, "weir_ingest_buffered_bytes")
	require.Greater(t, held, float64(c.MemoryLimit/4), "the partition that hangs left enough room")
	require.Less(t, held, float64(40_000*200), "all of it came")
	require.EqualValues(t, 1, gauge(t, f.reg, "weir_ingest_paused"))
	close(h.gate)
	require.NoError(t, stop())
}

// TestHangingSinkInRebalance: a worker whose sink hangs gives partitions up to
// another one in time, the hanging one too; its events are written by whoever has it then.
func TestHangingSinkInRebalance(t *testing.T) {
	t.Parallel()
	f := setup(t, 4)
	c := f.config()
	// It hangs for the first worker and for none other.
	h := newHanging(f.table.Open(), 0, 1, 2, 3)
	events, ends := f.spread(22, 4_000, 4)
	f.produce(events...)
	stop := f.run(h, c)
	require.Eventually(t, func() bool { return h.caught.Load() == 4 }, 3*time.Minute, time.Millisecond)
	began := time.Now()
	stop2 := f.run(f.table.Open(), c)
	moved := func() (n int) {
		for p, end := range ends {
			if f.standsAt(p) == end {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return moved() == 2 }, 3*time.Minute, 5*time.Millisecond)
	t.Logf("two partitions handed over and read after %v", time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), 50*time.Second) // a worker that does not give them up is waited for a minute
	require.NoError(t, stop())
	f.committed(ends)
	require.NoError(t, stop2())
	f.verify(events)
}

// TestSinksAreDownOneByOne: with most partitions in a sink that refuses, what
// is left still flows, and retries show in the metrics.
func TestSinksAreDownOneByOne(t *testing.T) {
	t.Parallel()
	f := setup(t, 8)
	c := f.config()
	c.MemoryLimit, c.FlushBytes = 4<<20, 1<<20
	d := &refusing{Writer: f.table.Open(), good: 5}
	d.down.Store(true)
	stop := f.run(d, c)
	events, ends := f.spread(23, 80_000, 8)
	f.trickle(events)
	require.Eventually(t, func() bool { return f.standsAt(5) == ends[5] }, 3*time.Minute, 5*time.Millisecond)
	require.Positive(t, gauge(t, f.reg, "weir_ingest_retries_total"))
	require.Eventually(t, func() bool { return gauge(t, f.reg, "weir_ingest_paused") == 7 }, 3*time.Minute, time.Millisecond)
	require.LessOrEqual(t, gauge(t, f.reg, "weir_ingest_buffered_bytes"), float64(c.MemoryLimit))
	d.down.Store(false)
	f.committed(ends)
	require.NoError(t, stop())
	f.verify(events)
}

// refusing is a writer that takes the batches of one partition only.
type refusing struct {
	*sinktest.Writer
	good int32
	down atomic.Bool
}

func (r *refusing) Write(ctx context.Context, b *feature.Batch) error {
	if b.Origin.Partition != r.good && r.down.Load() {
		return feature.Errorf(feature.Unavailable, "test", "", "connection refused")
	}
	return r.Writer.Write(ctx, b)
}

// faulty is a writer with a fault for one value.
type faulty struct {
	*sinktest.Writer
	bad   int64 // offset
	panic bool
	calls *atomic.Int64
	cured *atomic.Bool
}

func (w *faulty) Write(ctx context.Context, b *feature.Batch) error {
	if !w.cured.Load() && b.Offsets[0] <= w.bad && b.Offsets[b.Len()-1] >= w.bad {
		w.calls.Add(1)
		if w.panic {
			panic("a value that it cannot take")
		}
		return feature.Errorf(feature.Internal, "test", "", "a value that it cannot take")
	}
	return w.Writer.Write(ctx, b)
}

// TestFaultOfASink: a sink with a fault of its own stops the source, which says
// so and is not started again in a hot loop; nothing of the batch is in the table
// until the fault is mended.
func TestFaultOfASink(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		w := newWorks(t, 1)
		w.apply(personView("first"))
		var calls atomic.Int64
		var cured atomic.Bool
		s, stop := w.worker(w.config(), func(c *ingest.SupervisorConfig) {
			open := c.Open
			c.Open = func(ctx context.Context, cat *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
				o, err := open(ctx, cat, v)
				f := &faulty{Writer: o.Sinks[0].(*counted).Writer, bad: 150, panic: panics, calls: &calls, cured: &cured}
				o.Sinks, o.Table = []ingest.Sink{f}, f
				return o, err
			}
		})
		good := w.some(31, 300, 1)
		require.Eventually(t, func() bool { return calls.Load() >= 4 }, 3*time.Minute, time.Millisecond)
		require.Eventually(t, func() bool {
			st := s.Status()[0]
			return st.State == ingest.StateFailed && strings.Contains(st.Err, "a value that it cannot take")
		}, 3*time.Minute, time.Millisecond)
		// 50, 100, 200 ms and so on lie between the starts.
		require.GreaterOrEqual(t, gauge(t, w.reg, "weir_ingest_restarts_total"), 3.0)
		n, began := calls.Load(), time.Now()
		require.Eventually(t, func() bool { return calls.Load() >= n+2 }, 3*time.Minute, time.Millisecond)
		require.Greater(t, time.Since(began), 400*time.Millisecond, "a hot loop")
		for _, p := range w.table("first").Positions() {
			require.LessOrEqual(t, p.Next, int64(150))
		}
		cured.Store(true)
		w.holds("first", good)
		stop()
	}
}
