package audit

import (
	"github.com/weir-ml/weir/ingest/quarantine"
	"github.com/weir-ml/weir/internal/offsets"
	"github.com/weir-ml/weir/offline"
)

// undone is what rollbacks that Weir was asked for make of quarantine: an event
// that came again after one was judged again, by what was in force then. One that was
// held back before and is good now is in the table, and its entry, which nobody
// takes away, is void.
type undone struct {
	rollbacks []offline.RolledBack
	entries   map[*part]map[int64]heldAgain // that may be void, by offset
}

// heldAgain is what an entry has added to the sums.
type heldAgain struct {
	day  int32
	hash uint64
}

// covers reports whether an event is one that a rollback has had read again.
func (u *undone) covers(p *part, offset int64) bool {
	for _, b := range u.rollbacks {
		for _, m := range b.Moved {
			if m.TopicID == p.at.TopicID && m.Partition == p.at.Partition && offset >= m.Is && offset < m.Was {
				return true
			}
		}
	}
	return false
}

// judgedAgain notes an entry whose event was judged again after a rollback.
func (r *run) judgedAgain(p *part, e *quarantine.Entry, hash uint64) {
	if !r.undone.covers(p, e.Offset) {
		return
	}
	if r.undone.entries == nil {
		r.undone.entries = map[*part]map[int64]heldAgain{}
	}
	if r.undone.entries[p] == nil {
		r.undone.entries[p] = map[int64]heldAgain{}
	}
	r.undone.entries[p][e.Offset] = heldAgain{dayOf(e.Timestamp), hash}
}

// dropVoid forgets entries whose events came into the table after a rollback.
func (r *run) dropVoid() {
	n := 0
	for p, entries := range r.undone.entries {
		for o, h := range entries {
			if !p.rows.Has(o) || !p.held.Remove(o) {
				continue
			}
			n++
			p.bucket(o / offsets.Bucket).entries -= h.hash
			d := p.day(h.day)
			d.Quarantine--
			d.QuarantineHash -= h.hash
		}
	}
	if n > 0 {
		r.note("%d entries of quarantine are void: their events were judged again after the table was rolled back, and are in it", n)
	}
}
