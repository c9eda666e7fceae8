package ingest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestJoinInGap: a view joins another one at an offset around which the log has
// no records any more, as compaction leaves it. Both views go on.
func TestJoinInGap(t *testing.T) {
	f := setup(t, 1)
	// Offsets 0 to 9 are aborted, 10 says so.
	cl, err := kgo.NewClient(append(f.opts, kgo.TransactionalID("gap"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	require.NoError(t, cl.BeginTransaction())
	for range 10 {
		require.NoError(t, cl.ProduceSync(t.Context(), f.record(`{"id":"k","at":1}`)).FirstErr())
	}
	require.NoError(t, cl.EndTransaction(t.Context(), kgo.TryAbort))
	rng := newRand(1)
	var events []event
	for i := range 50 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events...)
	require.EqualValues(t, 11, events[0].rec.Offset)

	// The one view has come to 5 when those records were still there.
	topics, err := kadm.NewClient(f.cl).ListTopics(t.Context(), f.source.Topic)
	require.NoError(t, err)
	at := feature.Position{Topic: f.source.Topic, TopicID: topics[f.source.Topic].ID}
	to := at
	to.Next, to.Revision, to.Commit = 5, 1, "earlier"
	w := f.table.Open()
	earlier := &feature.Commit{ID: to.Commit, View: f.view, Partitions: 1, Advances: []feature.Advance{{From: at, To: to}}}
	w.Cut(earlier)
	require.NoError(t, w.Stage(t.Context(), earlier))
	require.NoError(t, w.Commit(t.Context(), earlier))

	// The other one is new.
	second := *f.view
	second.Meta.Name = "late"
	table := &sinktest.Table{}
	stop := f.run(f.table.Open(), f.config(), func(c *ingest.PipelineConfig) {
		w := table.Open()
		c.Outlets = append(c.Outlets, &ingest.Outlets{View: &second, Sinks: []ingest.Sink{w}, Table: w})
	})
	end := events[len(events)-1].rec.Offset + 1
	f.committed(map[int32]int64{0: end})
	require.Eventually(t, func() bool { return table.Positions()[0].Next == end }, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, stop())
	f.verify(events)
	require.Len(t, table.Rows(), len(f.table.Rows()))
}

// lateTable is a table into which another worker commits, of records that came
// since, before it answers where it stands for the first time.
type lateTable struct {
	*sinktest.Writer
	first sync.Once
	then  func()
}

func (l *lateTable) Positions(ctx context.Context) ([]feature.Position, error) {
	l.first.Do(l.then)
	return l.Writer.Positions(ctx)
}

// TestTableAheadOfEnds: a worker that still commits while its partition is taken
// over may bring the table past the log's end as it was a moment ago. Nothing is
// wrong with the log then, and the partition goes on.
func TestTableAheadOfEnds(t *testing.T) {
	f := setup(t, 1)
	rng := newRand(2)
	var events []event
	send := func(n int) {
		var some []event
		for range n {
			some = append(some, f.event(rng, 0, len(events)+len(some)))
		}
		f.produce(some...)
		events = append(events, some...)
	}
	send(10)
	end := func() map[int32]int64 { return map[int32]int64{0: int64(len(events))} }
	w := &lateTable{Writer: f.table.Open(), then: func() {
		send(10)
		stop := f.run(f.table.Open(), f.config(), func(c *ingest.PipelineConfig) { c.Group = "other" })
		f.committed(end())
		require.NoError(t, stop())
	}}
	stop := f.run(w, f.config())
	require.Eventually(t, func() bool { return f.reached(map[int32]int64{0: 20}) }, 3*time.Minute, 5*time.Millisecond)
	send(10)
	f.committed(end())
	require.NoError(t, stop())
	f.verify(events)
}
