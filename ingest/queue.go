package ingest

import (
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// queue holds the fetched records of one partition until its worker takes
// them. put never blocks: the poller pauses the partition's fetching instead,
// so that one slow partition does not hold up the others.
type queue struct {
	mu     sync.Mutex
	recs   []*kgo.Record // guarded by mu
	bytes  int64         // guarded by mu
	paused bool          // guarded by mu; fetching of this partition is paused
	closed bool          // guarded by mu
	held   *atomic.Int64 // the bytes of all queues of the source, those in hand included
	wake   chan struct{} // one token when there is something to take, or closed
}

func newQueue(held *atomic.Int64) *queue { return &queue{held: held, wake: make(chan struct{}, 1)} }

// put appends records.
func (q *queue) put(recs []*kgo.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.recs = append(q.recs, recs...)
	var n int64
	for _, r := range recs {
		n += size(r)
	}
	q.bytes += n
	q.held.Add(n)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take removes up to rows records or about max bytes, always at least one,
// and none at or above limit. It returns nil when nothing is waiting. The caller
// takes what it costs off held once it has let go of the records.
func (q *queue) take(rows int, max, limit int64) (recs []*kgo.Record, cost int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, total := 0, int64(0)
	for n < len(q.recs) && n < rows && (n == 0 || total < max) && q.recs[n].Offset < limit {
		total += size(q.recs[n])
		n++
	}
	if n == 0 {
		return nil, 0
	}
	recs = make([]*kgo.Record, n)
	copy(recs, q.recs)
	clear(q.recs[:n]) // what waits behind them would keep them
	q.recs = q.recs[n:]
	q.bytes -= total
	if len(q.recs) > 0 {
		q.signal()
	} else {
		q.recs = nil
	}
	return recs, total
}

// head returns the offset of the record that would be taken next.
func (q *queue) head() (offset int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.recs) == 0 {
		return 0, false
	}
	return q.recs[0].Offset, true
}

// pauseAbove notes that fetching is paused if more than limit bytes wait, and
// resumeBelow that it goes on if no more do; where that is a change, change makes it so.
// Both look and call it under the lock. Done after it, a pause that comes behind the
// resume meant for it would last for ever; and so would one for records that were
// taken since somebody looked: only taking records leads to a resume.
func (q *queue) pauseAbove(limit int64, change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.paused && !q.closed && q.bytes > limit {
		q.paused = true
		change()
	}
}

func (q *queue) resumeBelow(limit int64, change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.paused && !q.closed && q.bytes <= limit {
		q.paused = false
		change()
	}
}

func (q *queue) isPaused() bool {
	_, paused := q.waiting()
	return paused
}

// waiting is what waits, and whether fetching is paused.
func (q *queue) waiting() (bytes int64, paused bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.paused
}

// close drops what waits; nothing can be taken afterwards.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held.Add(-q.bytes)
	q.recs, q.bytes, q.closed = nil, 0, true
	q.signal()
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
