package ingest

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPauseAfterTaking: the poller means to pause a partition whose worker has
// taken all that waited meanwhile. Nobody would resume it: it must not be paused.
func TestPauseAfterTaking(t *testing.T) {
	var held atomic.Int64
	q := newQueue(&held)
	paused := false
	pause, resume := func() { paused = true }, func() { paused = false }
	put := func() { q.put([]*kgo.Record{{Value: make([]byte, 1000)}, {Offset: 1}}) }

	put()
	_, cost := q.take(10, 1<<20, 10)
	q.resumeBelow(50, resume)
	q.pauseAbove(100, pause)
	require.False(t, paused)
	require.False(t, q.isPaused())
	held.Add(-cost)

	put()
	q.pauseAbove(100, pause)
	require.True(t, paused, "what waits is paused")
	q.resumeBelow(50, resume)
	require.True(t, paused, "and stays so while it waits")
	_, cost = q.take(1, 1<<20, 10)
	q.resumeBelow(2000, resume)
	require.False(t, paused)
	held.Add(-cost)
	q.close()
	require.Zero(t, held.Load())
}
