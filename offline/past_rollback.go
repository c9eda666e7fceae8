package offline

import (
	"fmt"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// RolledBack is one rollback that Weir made, so that nobody takes it for damage.
type RolledBack struct {
	ID       string
	At       int64 // microseconds UTC
	From, To int64 // snapshots; 0: the empty table
	Moved    []MovedBack
}

// MovedBack is what a rollback did to one partition. -1: the table does not know it.
type MovedBack struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
	Was, Is   int64 // the next offset
}

// KeepRollback adds one to those that a table remembers.
func KeepRollback(had []RolledBack, one RolledBack) []RolledBack {
	const most = 20
	return append(slices.Clone(had[max(0, len(had)+1-most):]), one)
}

// Back computes where a table stands after a rollback to r.To. base is the
// snapshot that head, its positions now, go with.
//
// Partitions of topics go back to what the summaries at To tell. Imports (and
// whatever has a partition below 0) are in the summaries of those commits only
// that moved them; so their positions are carried back from base to where both
// lines meet, and from there on to To.
func (p *Past) Back(view *feature.View, head []feature.Position, base int64, r *Rollback) ([]feature.Position, error) {
	if r.To == 0 {
		return nil, nil
	}
	to, toWhole := p.line(r.To)
	from, fromWhole := p.line(base)
	shared, ok := meet(from, to)
	apart := !ok && !(toWhole && fromWhole)
	if apart && !p.straight(head, to, base) {
		return nil, p.expired(view, r, "the snapshots between it and the newest have expired, and with them which imports had been made by then")
	}
	at, err := p.topicsAt(view, to, toWhole, r)
	if err != nil {
		return nil, err
	}
	imports := map[partKey]feature.Position{}
	for _, q := range head {
		switch {
		case isReplays(q):
			// Also where it does not move: a replay that has looked at the table before must
			// not land after, for events that it replays may come again now.
			imports[keyOf(q)] = setBy(r, q)
		case q.Partition < 0 && apart:
			// It began later.
		case q.Partition < 0:
			imports[keyOf(q)] = q
		}
	}
	if apart {
		from = nil
	}
	for i, a := range from { // newest first, so the oldest move has the last word
		if a.ID == shared {
			break
		}
		if err := p.takeBack(view, imports, a.ID, from[i+1:], fromWhole, r); err != nil {
			return nil, err
		}
	}
	var on []Ancestor // from where the lines meet to To
	for _, a := range to {
		if a.ID == shared {
			break
		}
		on = append(on, a)
	}
	for _, a := range slices.Backward(on) {
		m, err := p.Moves(a.ID)
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue
		}
		for _, q := range m.Positions {
			if q.Partition < 0 {
				imports[keyOf(q)] = setBy(r, q)
			}
		}
	}
	for _, q := range imports {
		at = append(at, q)
	}
	SortPositions(at)
	return at, nil
}

// straight tells that a table whose snapshots between to and base have expired has only
// gone forward between them, and that all of its imports began after to: a tag of
// before the first import, or of a table without any, can be gone back to at any age.
// Who imports, commits and rolls back may each have a clock of its own, so what is
// not clearly later is taken for what may have come before: an import whose rows are in
// the table but not its positions could be made twice.
func (p *Past) straight(head []feature.Position, to []Ancestor, base int64) bool {
	if len(to) == 0 || to[0].At > p.Snapshots[base].At ||
		slices.ContainsFunc(p.Rollbacks, func(b RolledBack) bool { return b.At+SweepMargin >= to[0].At }) {
		return false
	}
	for _, q := range head {
		if q.Partition == feature.ImportPartition && (q.Started == 0 || q.Started <= to[0].At+SweepMargin) {
			return false
		}
	}
	return true
}

// meet is the newest snapshot that both lines have.
func meet(a, b []Ancestor) (id int64, ok bool) {
	in := map[int64]bool{}
	for _, x := range b {
		in[x.ID] = true
	}
	for _, x := range a {
		if in[x.ID] {
			return x.ID, true
		}
	}
	return 0, false
}

// topicsAt are the partitions of topics as they stood at the head of a line.
func (p *Past) topicsAt(view *feature.View, line []Ancestor, whole bool, r *Rollback) (out []feature.Position, err error) {
	for _, a := range line {
		m, err := p.Moves(a.ID)
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue // another engine's commit, which moved nothing
		}
		for _, q := range m.Positions {
			if q.Partition >= 0 {
				out = append(out, setBy(r, q))
			}
		}
		return out, nil
	}
	if !whole {
		return nil, p.expired(view, r, "where its partitions stood is not known any more: the commit of Weir that it stands on has expired")
	}
	return nil, nil
}

// takeBack undoes what one snapshot did to imports; older are those before it.
func (p *Past) takeBack(view *feature.View, imports map[partKey]feature.Position, id int64, older []Ancestor, whole bool, r *Rollback) error {
	m, err := p.Moves(id)
	if err != nil || m == nil {
		return err
	}
	for _, q := range m.Positions {
		if q.Partition >= 0 {
			continue
		}
		was, known := Find(m.From, q)
		if !m.Whence {
			if was, known, err = p.lastMove(view, q, older, whole, r); err != nil {
				return err
			}
		}
		if known {
			imports[keyOf(q)] = setBy(r, was)
		} else {
			delete(imports, keyOf(q))
		}
	}
	return nil
}

// lastMove is where an older snapshot has put an import.
func (p *Past) lastMove(view *feature.View, q feature.Position, older []Ancestor, whole bool, r *Rollback) (feature.Position, bool, error) {
	for _, a := range older {
		m, err := p.Moves(a.ID)
		if err != nil {
			return feature.Position{}, false, err
		}
		if m == nil {
			continue
		}
		if was, ok := Find(m.Positions, q); ok {
			return was, true, nil
		}
	}
	if !whole {
		return feature.Position{}, false, p.expired(view, r, fmt.Sprintf("where import %s stood then has expired", q.Topic))
	}
	return feature.Position{}, false, nil
}

// setBy is a position that a rollback has set.
func setBy(r *Rollback, q feature.Position) feature.Position {
	q.Commit = r.ID
	if r.Revision != 0 {
		q.Revision = r.Revision
	}
	return q
}

func (p *Past) expired(view *feature.View, r *Rollback, why string) error {
	return feature.Errorf(feature.Invalid, "offline.rollback", fmt.Sprintf("view %s to snapshot %d", view.ID(), r.To), "%s", why).
		WithHint("choose a newer snapshot, or delete the view's table and ingest it again; keep more snapshots, so that the next rollback finds what it needs")
}

// MovedBetween compares positions before and after a rollback.
func MovedBetween(was, is []feature.Position) (out []MovedBack) {
	for _, q := range was {
		m := MovedBack{Topic: q.Topic, TopicID: q.TopicID, Partition: q.Partition, Was: q.Next, Is: -1}
		if now, ok := Find(is, q); ok {
			m.Is = now.Next
		}
		if m.Was != m.Is {
			out = append(out, m)
		}
	}
	for _, q := range is {
		if _, ok := Find(was, q); !ok {
			out = append(out, MovedBack{Topic: q.Topic, TopicID: q.TopicID, Partition: q.Partition, Was: -1, Is: q.Next})
		}
	}
	return out
}
