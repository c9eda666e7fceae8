package window

import "time"

// Partition is what is known of one partition's event time.
type Partition struct {
	MaxEvent int64 // the newest event time seen, microseconds UTC; meaningless without Any
	Any      bool  // at least one row was seen
	Drained  bool  // everything in the log had been read when the position last moved
	// Since is when the partition last moved or became drained, by the clock of
	// the worker that recorded it.
	Since time.Time
}

// Idle reports whether the partition no longer holds windows open: there was
// nothing more to read, and that for idleAfter.
func (p Partition) Idle(now time.Time, idleAfter time.Duration) bool {
	return p.Drained && now.Sub(p.Since) >= idleAfter
}

// Watermark is the event time up to which nothing more is expected (rows that
// come all the same are late). It is the smallest MaxEvent of the partitions
// that are not idle; when all are idle, the largest of all. ok is false while
// there is none: fewer partitions are known than expected, a partition that is
// not idle has not shown a row yet, or no row was seen at all.
//
// An idle partition cannot hold a window open, but a partition never seen does:
// it may hold the oldest events of the topic.
func Watermark(parts []Partition, expected int, now time.Time, idleAfter time.Duration) (mark int64, ok bool) {
	if len(parts) == 0 || len(parts) < expected {
		return 0, false
	}
	var least, most int64
	var live, any bool
	for _, p := range parts {
		if p.Any && (!any || p.MaxEvent > most) {
			most, any = p.MaxEvent, true
		}
		if p.Idle(now, idleAfter) {
			continue
		}
		if !p.Any {
			return 0, false
		}
		if !live || p.MaxEvent < least {
			least, live = p.MaxEvent, true
		}
	}
	if live {
		return least, true
	}
	return most, any
}
