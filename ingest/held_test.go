package ingest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// heldSink is a table that notes what is held back.
type heldSink struct {
	*sinktest.Writer
	mu   sync.Mutex
	held map[int64]string // guarded by mu; key and age, by offset
	rows int              // guarded by mu
}

func (h *heldSink) TakesHeld() bool { return true }

func (h *heldSink) Write(ctx context.Context, b *feature.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows += b.Len()
	for i := range b.Held.Len() {
		h.held[b.Held.Offsets[i]] = fmt.Sprint(b.Held.Rows.Column(0).(*array.String).Value(i), b.Held.Rows.Column(1).(*array.Int64).Value(i), " ", b.Held.EventTime[i])
	}
	if b.Len() == 0 {
		return nil
	}
	return h.Writer.Write(ctx, b)
}

// TestHeld: who asks gets what the suite held back, also where nothing else is in
// the batch, as columns of the view as it is now; not what had no row to judge.
func TestHeld(t *testing.T) {
	t.Parallel()
	f := setup(t, 1)
	old, now := *f.view, *f.view
	old.Features = []feature.Field{{Name: "score", Type: feature.Int64}, f.view.Features[0]}
	old.SuiteOf, now.SuiteOf = between(1, "age", 0, 100), between(2, "age", 0, 100)
	with := func(v *feature.View, revision int64) func(*ingest.PipelineConfig) {
		return func(c *ingest.PipelineConfig) {
			c.Outlets[0].View, c.Revision = v, revision
			c.Judge = func(_ context.Context, revision int64, _, _ string) (*feature.View, error) {
				return map[int64]*feature.View{1: &old, 2: &now}[revision], nil
			}
		}
	}
	stop := f.run(f.table.Open(), f.config(), with(&old, 1))
	f.committed(map[int32]int64{0: 0})
	require.NoError(t, stop())

	f.produce(event{rec: f.record(`{"id":"a","at":7,"age":200,"score":1}`)}) // the suite of old judges it: the first commit of the next worker has yet to come
	h := &heldSink{Writer: f.table.Open(), held: map[int64]string{}}
	stop = f.run(h, f.config(), with(&now, 2))
	f.committed(map[int32]int64{0: 1})
	f.produce(event{rec: f.record(`{"id":"b","at":8,"age":50}`)}, event{rec: f.record(`{"id":"c","at":9,"age":150}`)},
		event{rec: f.record(`{"id":"d","at":9,"age":5000}`)}, event{rec: f.record(`{"id":"d","at":`)})
	f.committed(map[int32]int64{0: 5})
	require.NoError(t, stop())
	require.Equal(t, map[int64]string{0: "a200 7", 2: "c150 9"}, h.held)
	require.Equal(t, 1, h.rows)
	require.Len(t, f.table.Rows(), 1)
	require.Equal(t, []string{"b"}, slices.Collect(func(yield func(string) bool) { yield(f.table.Rows()[0].Values[0]) }))
}
