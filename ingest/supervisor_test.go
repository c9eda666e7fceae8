package ingest_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/memory"
)

// works is a broker, a catalog and a table for each view, with any number of workers.
type works struct {
	*fixture
	cat      *registry.Registry
	assigned atomic.Int64 // calls of Assign
	slow     atomic.Bool  // writes take a while
	protocol string       // of the consumer groups

	mu     sync.Mutex
	tables map[string]*sinktest.Table
}

func newWorks(t *testing.T, partitions int32) *works {
	t.Helper()
	return worksOn(t, setup(t, partitions))
}

func worksOn(t *testing.T, f *fixture) *works {
	t.Helper()
	reg, err := registry.Open(t.Context(), memory.New(), registry.DefaultConfig(), registry.Checks{}, nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = reg.Close() })
	w := &works{fixture: f, cat: reg, tables: map[string]*sinktest.Table{}}
	w.apply(&feature.Entity{Meta: feature.Meta{Project: "p", Name: "person"}, JoinKeys: []feature.Field{{Name: "id", Type: feature.String}}}, w.source)
	return w
}

func (w *works) apply(defs ...feature.Definition) {
	w.t.Helper()
	plan, err := w.cat.Apply(w.t.Context(), registry.Request{Definitions: defs, AllowBreaking: true})
	require.NoError(w.t, err)
	require.Empty(w.t, plan.Faults)
}

func personView(name string) *feature.View {
	return &feature.View{Meta: feature.Meta{Project: "p", Name: name}, Source: "people", Entities: []string{"person"},
		Features: []feature.Field{{Name: "age", Type: feature.Int64}}}
}

func (w *works) table(view string) *sinktest.Table {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tables[view] == nil {
		w.tables[view] = &sinktest.Table{}
	}
	return w.tables[view]
}

// counted is a writer that counts assignments, and may be slow.
type counted struct {
	*sinktest.Writer
	w *works
}

func (c *counted) Assign(ctx context.Context, at []feature.Position) error {
	c.w.assigned.Add(1)
	return c.Writer.Assign(ctx, at)
}

func (c *counted) Write(ctx context.Context, b *feature.Batch) error {
	if c.w.slow.Load() {
		time.Sleep(80 * time.Millisecond)
	}
	return c.Writer.Write(ctx, b)
}

// worker starts a supervisor.
func (w *works) worker(c ingest.Config, change ...func(*ingest.SupervisorConfig)) (s *ingest.Supervisor, stop func()) {
	w.t.Helper()
	qcl, err := kgo.NewClient(append(w.opts, kgo.ProducerBatchMaxBytes(16<<20))...)
	require.NoError(w.t, err)
	sc := ingest.SupervisorConfig{Config: c, Catalogs: w.cat, Kafka: w.opts, Quarantine: quarantine.NewWriter(qcl), Replicas: 1, Protocol: w.protocol,
		Open: func(_ context.Context, _ *registry.Catalog, v *feature.View) (*ingest.Outlets, error) {
			c := &counted{Writer: w.table(v.Meta.Name).Open(), w: w}
			return &ingest.Outlets{View: v, Sinks: []ingest.Sink{c}, Table: c}, nil
		}, Log: w.log, Metrics: w.met}
	for _, ch := range change {
		ch(&sc)
	}
	s = ingest.NewSupervisor(sc)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(w.t, <-done)
			qcl.Close()
		})
	}
	w.t.Cleanup(stop)
	return s, stop
}

// some produces n events and returns how many have to be in the table.
func (w *works) some(seed uint64, n int, partitions int32) (good int) {
	rng := newRand(seed)
	var events []event
	for i := range n {
		e := w.event(rng, int32(i)%partitions, i)
		if !e.bad {
			good++
		}
		events = append(events, e)
	}
	w.produce(events...)
	return good
}

// holds waits until a view's table holds exactly n events, each once.
func (w *works) holds(view string, n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return len(w.table(view).Rows()) >= n }, 3*time.Minute, 5*time.Millisecond, "%s has %d of %d rows", view, len(w.table(view).Rows()), n)
	seen := map[string]bool{}
	for _, r := range w.table(view).Rows() {
		seen[fmt.Sprint(r.Partition, "/", r.Offset)] = true
	}
	require.Len(w.t, w.table(view).Rows(), n)
	require.Len(w.t, seen, n)
}

// catchingUp reports the views that read with a consumer of their own.
func catchingUp(s *ingest.Supervisor) (names []string) {
	for _, src := range s.Status() {
		for _, v := range src.Views {
			if v.CatchingUp {
				names = append(names, v.View)
			}
		}
	}
	return names
}

// TestViewAddedCatchesUp: a view added to a running source reads from the
// earliest event beside the others, then with them; a deleted one stops, and goes
// on where it stood when it comes again.
func TestViewAddedCatchesUp(t *testing.T) {
	t.Parallel()
	w := newWorks(t, 3)
	c := w.config()
	c.CatchUp = 300
	w.apply(personView("first"))
	s, stop := w.worker(c)
	good := w.some(1, 3000, 3)
	w.holds("first", good)
	w.slow.Store(true)
	w.apply(personView("second"))
	require.Eventually(t, func() bool { return len(catchingUp(s)) == 1 }, 3*time.Minute, time.Millisecond)
	require.Equal(t, []string{"second"}, catchingUp(s))
	some := w.some(2, 300, 3)
	w.holds("first", good+some) // does not wait for the other
	w.slow.Store(false)
	good += some
	w.holds("second", good)
	require.Eventually(t, func() bool {
		st := s.Status()
		return len(st) == 1 && st[0].State == ingest.StateRunning && len(st[0].Views) == 2 && len(catchingUp(s)) == 0
	}, 3*time.Minute, 5*time.Millisecond)
	good += w.some(3, 300, 3)
	w.holds("first", good)
	w.holds("second", good)

	_, err := w.cat.Delete(t.Context(), feature.Ref{Kind: feature.KindView, Project: "p", Name: "first"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { st := s.Status(); return len(st) == 1 && len(st[0].Views) == 1 }, 3*time.Minute, 5*time.Millisecond)
	more := w.some(4, 200, 3)
	w.holds("second", good+more)
	w.holds("first", good)
	w.apply(personView("first"))
	w.holds("first", good+more)
	stop()
	w.holds("second", good+more)
}

// TestCatchUpOfTwoWorkers: a worker whose own partitions have caught up waits
// for those of the other before it joins, instead of splitting again and again.
func TestCatchUpOfTwoWorkers(t *testing.T) {
	t.Parallel()
	w := newWorks(t, 4)
	c := w.config()
	c.CatchUp = 100
	w.apply(personView("first"))
	_, stop1 := w.worker(c)
	good := w.some(1, 2000, 1) // all of it in one partition: one worker has nothing to catch up
	w.holds("first", good)
	_, stop2 := w.worker(c)
	require.Eventually(t, func() bool { return w.assigned.Load() >= 2 }, 3*time.Minute, time.Millisecond)
	w.slow.Store(true)
	before := w.assigned.Load()
	w.apply(personView("second"))
	w.holds("second", good)
	took := w.assigned.Load() - before
	w.slow.Store(false)
	good += w.some(2, 400, 4)
	w.holds("first", good)
	w.holds("second", good)
	stop1()
	stop2()
	t.Logf("%d assignments", took)
	require.Less(t, took, int64(12))
}
