package quality

import (
	"context"
	"slices"
	"time"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Clock is what is remembered, by the wall clock, of how a view's rows land.
// Times are microseconds UTC.
type Clock struct {
	View    string   `json:"view"`    // View.ID
	Born    int64    `json:"born"`    // when it was first looked at
	Looked  int64    `json:"looked"`  // when it was last looked at, to within a beat
	Resumed int64    `json:"resumed"` // when looking began again after nobody did for a while; Born at first
	Samples []Sample `json:"samples,omitempty"`
	// Revision guards against two that look: the one it was read with.
	Revision int64 `json:"-"`
}

// Sample is how many rows had landed, of all time, at a moment.
type Sample struct {
	At   int64 `json:"at"`
	Rows int64 `json:"rows"`
}

// Clocks keeps clocks. validate/quality/sqlstore and memory satisfy it.
type Clocks interface {
	// Clock returns a view's clock; nil where there is none.
	Clock(ctx context.Context, view string) (*Clock, error)
	// PutClock stores one. ok is false, and nothing is stored, when Revision is not the stored one's
	// (0 where there is none); the stored one has the next.
	PutClock(ctx context.Context, c *Clock) (ok bool, err error)
	// DropClocks forgets the clocks of all views but the listed.
	DropClocks(ctx context.Context, keep []string) error
}

// landed is what a view's progress says about rows: how many have landed, and
// when last; 0 where none has.
func landed(all []tally.Progress) (rows, last int64) {
	for i := range all {
		rows += all[i].Rows
		last = max(last, all[i].Landed)
	}
	return rows, last
}

const (
	second = int64(time.Second / time.Microsecond)
	// slices of a period are how finely a volume knows its beginning.
	slicesOfPeriod = 60
	// patience is how long after a pause rows may take to land that were waiting
	// in the log: workers have to find each other, read and commit.
	patience = 2 * 60 * second
)

// beat is how often a look is noted: often enough to tell a pause from a look
// that took its time, seldom enough to cost nothing.
func beat(q *feature.Quality) int64 {
	shortest := int64(1 << 62)
	if q.Freshness > 0 {
		shortest = q.Freshness.Micros()
	}
	if q.Volume.Per > 0 {
		shortest = min(shortest, q.Volume.Per.Micros())
	}
	return min(max(shortest/slicesOfPeriod, second), 30*second)
}

// look notes a look at now, when rows had landed. changed is false where there
// is nothing worth storing.
func (c *Clock) look(q *feature.Quality, now, rows int64) (changed bool) {
	b := beat(q)
	switch {
	case c.Born == 0:
		c.Born, c.Looked, c.Resumed, changed = now, now, now, true
	case now < c.Looked-b: // the clock was set back: what lies ahead of it never happened
		c.Looked, changed = now, true
		c.Resumed, c.Born = min(c.Resumed, now), min(c.Born, now)
	case now-c.Looked > 3*b+10*second: // nobody looked, and perhaps nobody wrote rows either
		c.Looked, c.Resumed, changed = now, now, true
	case now-c.Looked >= b:
		c.Looked, changed = now, true
	}
	per := q.Volume.Per.Micros()
	if per == 0 {
		changed = changed || len(c.Samples) > 0
		c.Samples = nil
		return changed
	}
	kept := len(c.Samples)
	c.Samples = slices.DeleteFunc(c.Samples, func(s Sample) bool { return s.At > now || s.Rows > rows })
	if n := len(c.Samples); n == 0 || now-c.Samples[n-1].At >= max(per/slicesOfPeriod, b) {
		c.Samples = append(c.Samples, Sample{now, rows})
		changed = true
	}
	// One at or before the period's beginning stays: what has landed since is counted from it.
	for len(c.Samples) > 1 && c.Samples[1].At <= now-per {
		c.Samples = c.Samples[1:]
	}
	return changed || len(c.Samples) != kept
}

// stale reports whether no row has landed for too long, and since when; known is
// false while that cannot be told, because Weir itself was not there to see.
func (c *Clock) stale(q *feature.Quality, now, last int64) (stale bool, since int64, known bool) {
	limit := q.Freshness.Micros()
	since = last
	if last == 0 {
		since = c.Born
	}
	if now-since < limit {
		return false, since, true
	}
	return true, since, now-c.Resumed >= min(limit, patience)
}

// counted is how many rows have landed in the last period. known is false while
// less than a period was seen without a pause.
func (c *Clock) counted(q *feature.Quality, now, rows int64) (n int64, known bool) {
	per := q.Volume.Per.Micros()
	from := c.Resumed
	if c.Resumed != c.Born { // what lands now had been waiting: it says nothing of this period
		from += min(per, patience) + per/slicesOfPeriod
	}
	if len(c.Samples) == 0 || c.Samples[0].At > now-per || now-from < per {
		return 0, false
	}
	return rows - c.Samples[0].Rows, true
}
