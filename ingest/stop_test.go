package ingest_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/registry/feature"
)

// outage is a writer whose steps do not answer while they are down, like a Redis that is gone.
type outage struct {
	*sinktest.Writer
	assign, write, settle atomic.Bool
	tried                 chan struct{} // a token once a step was refused
	settled               atomic.Int64  // commits
}

func newOutage(w *sinktest.Writer) *outage {
	return &outage{Writer: w, tried: make(chan struct{}, 1)}
}

func (o *outage) refuse(down *atomic.Bool) error {
	if !down.Load() {
		return nil
	}
	select {
	case o.tried <- struct{}{}:
	default:
	}
	return feature.Errorf(feature.Unavailable, "outage", "", "connection refused")
}

func (o *outage) Assign(ctx context.Context, at []feature.Position) error {
	if err := o.refuse(&o.assign); err != nil {
		return err
	}
	return o.Writer.Assign(ctx, at)
}

func (o *outage) Write(ctx context.Context, b *feature.Batch) error {
	if err := o.refuse(&o.write); err != nil {
		return err
	}
	return o.Writer.Write(ctx, b)
}

func (o *outage) Settle(ctx context.Context, c *feature.Commit) error {
	if err := o.refuse(&o.settle); err != nil {
		return err
	}
	o.settled.Add(1)
	return o.Writer.Settle(ctx, c)
}

// TestStopInOutage: a stop ends in time whatever step a store does not answer
// in, and the next start loses and doubles nothing.
func TestStopInOutage(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"assign", "write", "settle"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := setup(t, 3)
			var events []event
			ends := map[int32]int64{}
			rng := newRand(1)
			for i := range 300 {
				events = append(events, f.event(rng, int32(i%3), i))
			}
			o := newOutage(f.table.Open())
			o.assign.Store(step == "assign")
			stop := f.run(o, f.config())
			if step != "assign" {
				f.committed(map[int32]int64{0: 0, 1: 0, 2: 0})
				require.Eventually(t, func() bool { return o.settled.Load() > 0 }, 3*time.Minute, time.Millisecond)
				o.write.Store(step == "write")
				o.settle.Store(step == "settle")
			}
			f.produce(events...)
			for _, e := range events {
				ends[e.rec.Partition] = max(ends[e.rec.Partition], e.rec.Offset+1)
			}
			<-o.tried
			began := time.Now()
			require.NoError(t, stop())
			require.Less(t, time.Since(began), 25*time.Second)
			t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))

			stop = f.run(f.table.Open(), f.config())
			f.committed(ends)
			require.NoError(t, stop())
			f.verify(events)
		})
	}
}

// TestCommitsGoOnUnderLoad: a partition that always has more to process is
// committed every interval all the same.
func TestCommitsGoOnUnderLoad(t *testing.T) {
	f := setup(t, 1)
	var events []event
	rng := newRand(2)
	for i := range 6000 {
		events = append(events, f.event(rng, 0, i))
	}
	f.produce(events...)
	c := f.config()
	c.BatchRows, c.FlushInterval = 20, 50*time.Millisecond
	s := &slow{Writer: f.table.Open()}
	stop := f.run(s, c)
	f.committed(map[int32]int64{0: 6000})
	require.NoError(t, stop())
	f.verify(events)
	// 300 chunks of 10 ms make 3 s, 60 intervals.
	require.Greater(t, f.table.Commits(), 20)
}

type slow struct{ *sinktest.Writer }

func (s *slow) Write(ctx context.Context, b *feature.Batch) error {
	time.Sleep(10 * time.Millisecond)
	return s.Writer.Write(ctx, b)
}
