package offline

import (
	"math"
	"slices"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Past is a table's history as its upkeep decides by it. Stores fill it in from
// what they keep; the rules are here, the same for all of them.
type Past struct {
	Current   int64 // 0: no snapshot yet
	Snapshots map[int64]Ancestor
	Log       []Reign // which snapshot was made the newest when; oldest first, without those before an expired one
	Pinned    map[int64]bool
	Branches  []Branch // of other engines
	Rollbacks []RolledBack
	// Moves tells what a snapshot's summary knows of positions; nil when it is not ours.
	Moves func(id int64) (*Moves, error)
}

// Ancestor is one snapshot.
type Ancestor struct {
	ID, Parent int64 // 0: none, or not known any more
	At         int64 // microseconds UTC
	Root       bool  // nothing lies before it: Parent is 0 for good
	First      bool  // the first that the table ever had
}

// Reign begins when a snapshot was made the newest, and ends with the next one's.
type Reign struct {
	ID, At int64
}

// Branch is a line of snapshots that another engine keeps beside ours.
type Branch struct {
	Head   int64
	Keep   int   // that many of its snapshots at least
	Newest int64 // and those made at or after this time; MaxInt64: no such wish
}

// Moves is what a snapshot of ours knows of positions.
type Moves struct {
	// Positions of all partitions of topics, and of those of imports (below 0) that
	// its commit moved.
	Positions []feature.Position
	// From is where those imports stood before; one that is missing here was not known then.
	From []feature.Position
	// Whence tells that From was kept.
	Whence bool
}

// line is a snapshot and its ancestors, newest first. whole tells that it goes
// back to the table's beginning.
func (p *Past) line(id int64) (out []Ancestor, whole bool) {
	for id != 0 {
		a, ok := p.Snapshots[id]
		if !ok {
			return out, false
		}
		out = append(out, a)
		if a.Parent == 0 {
			return out, a.Root
		}
		id = a.Parent
	}
	return out, true
}

// Reached are the newest snapshot and its ancestors. Where expiry has cut the
// line, older snapshots that are kept belong to it as far as no rollback went back behind them.
func (p *Past) Reached() map[int64]bool {
	out := map[int64]bool{}
	line, whole := p.line(p.Current)
	for _, a := range line {
		out[a.ID] = true
	}
	if whole || len(line) == 0 {
		return out
	}
	oldest := line[len(line)-1]
	for _, a := range p.Snapshots {
		off := a.At > oldest.At
		for _, r := range p.Rollbacks {
			to, known := p.Snapshots[r.To]
			off = off || r.At >= a.At && (!known || to.At < a.At)
		}
		if !off {
			out[a.ID] = true
		}
	}
	for _, b := range p.Branches {
		line, _ := p.line(b.Head)
		for _, a := range line {
			if a.ID != p.Current && !slices.ContainsFunc(p.Log, func(r Reign) bool { return r.ID == a.ID }) {
				delete(out, a.ID) // it was never the newest
			}
		}
	}
	return out
}

// OffUntil is a time before which all files of those snapshots were begun that a
// rollback took off: whoever still holds such files must not commit them again
// when the snapshots are forgotten and their files removed.
func (p *Past) OffUntil(ids []int64) (at int64) {
	reached := p.Reached()
	for _, id := range ids {
		if !reached[id] {
			at = max(at, p.Snapshots[id].At+1000) // Iceberg has milliseconds
		}
	}
	return at
}

// AsOf is the snapshot that was the newest at a time, 0 for the table before its
// first one; false where that has expired.
func (p *Past) AsOf(at int64) (id int64, ok bool) {
	for _, r := range slices.Backward(p.Log) {
		if r.At <= at {
			return r.ID, true
		}
	}
	if len(p.Log) == 0 {
		return 0, p.Current == 0
	}
	// Only its first reign begins the table; a rollback may have brought it back after
	// those between had expired.
	first := p.Snapshots[p.Log[0].ID]
	return 0, first.First && p.Log[0].At <= first.At
}

// Expirable are the snapshots that may be forgotten; see Upkeep.Expire.
func (p *Past) Expirable(o ExpireOptions) []int64 {
	keep := map[int64]bool{}
	stopped := p.stopped()
	line, _ := p.line(p.Current)
	for i, a := range line {
		if i <= o.Keep {
			keep[a.ID] = true
		}
	}
	for _, b := range p.Branches {
		line, _ := p.line(b.Head)
		for i, a := range line {
			if i == 0 || i < b.Keep || i <= o.Keep || a.At >= b.Newest {
				keep[a.ID] = true
			}
		}
	}
	var out []int64
	for id := range p.Snapshots {
		if !keep[id] && !p.Pinned[id] && stopped[id] < o.Before {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// stopped tells when each snapshot was the newest for the last time.
func (p *Past) stopped() map[int64]int64 {
	out := map[int64]int64{}
	for i, r := range p.Log {
		end := int64(math.MaxInt64)
		if i+1 < len(p.Log) {
			end = p.Log[i+1].At
		}
		out[r.ID] = max(out[r.ID], end)
	}
	// What the log does not tell any more, or never did: a snapshot stops when the
	// one after it is made.
	rest := map[int64]int64{}
	for _, a := range p.Snapshots {
		if _, ok := out[a.ID]; !ok {
			rest[a.ID] = max(rest[a.ID], a.At)
		}
		if _, ok := out[a.Parent]; !ok {
			rest[a.Parent] = max(rest[a.Parent], a.At)
		}
	}
	for id, at := range rest {
		out[id] = at
	}
	return out
}

// MovesOf is what the summary of a snapshot keeps of the positions at: all
// partitions of topics, and of imports those that c moved (a table may have
// thousands of them). c is nil for a rewrite, which moves none.
func MovesOf(at []feature.Position, c *feature.Commit) *Moves {
	m := &Moves{Whence: true}
	for _, q := range at {
		if q.Partition >= 0 {
			m.Positions = append(m.Positions, q)
		} else if c != nil && q.Commit == c.ID {
			m.Positions = append(m.Positions, q)
			if a := c.Advance(q.TopicID, q.Partition); a != nil && a.From.Commit != "" {
				m.From = append(m.From, a.From)
			}
		}
	}
	return m
}

// TooOld finds a file that a sweep of orphans may have taken: one whose writing
// began before the last sweep's cutoff. The error is a Conflict.
func TooOld(view *feature.View, op, id string, files []File, swept int64) error {
	for _, f := range files {
		if f.CreatedAt != 0 && f.CreatedAt < swept {
			return feature.Errorf(feature.Conflict, op, "view "+view.ID()+" commit "+id,
				"%s was begun before the last sweep of orphans, which may have taken it", f.Path).
				WithHint("write the rows again; if this comes often, sweep with a longer grace")
		}
	}
	return nil
}

// MayBeGone reports whether the files of a commit may have been removed although it is
// not stale: it begins where the table knew nothing, and there a rollback can take
// the table again, long after the commit landed and its files were merged into others.
func MayBeGone(c *feature.Commit, rollbacks int) bool {
	return rollbacks > 0 && slices.ContainsFunc(c.Advances, func(a feature.Advance) bool { return a.From.Commit == "" })
}

// SweepMargin is how far the clocks of those who write files and of the storage
// may be apart, in microseconds: Sweep leaves files that are younger than its
// cutoff and this.
const SweepMargin = int64(time.Hour / time.Microsecond)

// CheckSweep refuses a cutoff that commits under way could not meet.
func CheckSweep(view *feature.View, o SweepOptions, now int64) error {
	if o.Before <= now {
		return nil
	}
	return feature.Errorf(feature.Invalid, "offline.sweep", "view "+view.ID(), "the cutoff lies in the future").
		WithHint("files that are being written now would be taken for orphans")
}

// CheckRewrite refuses a rewrite that would lose or double rows.
func CheckRewrite(view *feature.View, r *Rewrite) error {
	var gone, made int64
	for _, f := range r.Gone {
		gone += f.Rows
	}
	for _, f := range r.New {
		made += f.Rows
	}
	if gone == made && r.ID != "" {
		return nil
	}
	return feature.Errorf(feature.Internal, "offline.replace", "view "+view.ID()+" rewrite "+r.ID, "files with %d rows in the place of %d", made, gone)
}
