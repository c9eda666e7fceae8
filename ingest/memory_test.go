package ingest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSmallMemory: with room for a few events at a time, partitions are paused
// and go on, commits come when memory asks for them, and everything arrives.
func TestSmallMemory(t *testing.T) {
	t.Parallel()
	f := setup(t, 3)
	rng := newRand(9)
	var events []event
	ends := map[int32]int64{}
	for i := range 9000 {
		e := f.event(rng, int32(rng.IntN(3)), i)
		events = append(events, e)
	}
	f.produce(events...)
	for _, e := range events {
		ends[e.rec.Partition] = max(ends[e.rec.Partition], e.rec.Offset+1)
	}
	c := f.config()
	c.MemoryLimit, c.FlushBytes, c.BatchBytes, c.BatchRows = 60_000, 20_000, 1500, 1000
	c.FlushInterval = time.Hour // only memory makes it commit
	w := f.table.Open()
	stop := f.run(w, c)
	most := int64(0)
	require.Eventually(t, func() bool {
		most = max(most, w.Buffered())
		return gauge(t, f.reg, "weir_ingest_events_total") == float64(len(events)) // then a stop commits all of it
	}, 3*time.Minute, time.Millisecond)
	require.NoError(t, stop())
	f.committed(ends)
	f.verify(events)
	require.Greater(t, f.table.Commits(), 2)
	t.Logf("at most %d bytes in the sinks, %d commits", most, f.table.Commits())
}
