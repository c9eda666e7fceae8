package iceberg

import (
	"math"

	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// emptied is the operation of the snapshot that a rollback to no rows makes.
const emptied = table.OpDelete

// pastOf is a table's history for the rules in offline.
func (t *Table) pastOf(m table.Metadata) *offline.Past {
	p := &offline.Past{Snapshots: map[int64]offline.Ancestor{}, Pinned: map[int64]bool{}}
	if s := m.CurrentSnapshot(); s != nil {
		p.Current = s.SnapshotID
	}
	for _, s := range m.Snapshots() {
		a := offline.Ancestor{ID: s.SnapshotID, At: s.TimestampMs * 1000}
		if s.ParentSnapshotID != nil {
			a.Parent = *s.ParentSnapshotID
		} else {
			// An expiry may also have cut the parent off; only the first snapshot of all has number 1.
			a.First = s.SequenceNumber <= 1
			a.Root = a.First || s.Summary != nil && s.Summary.Operation == emptied && s.Summary.Properties[propCommit] != ""
		}
		p.Snapshots[s.SnapshotID] = a
	}
	for e := range m.SnapshotLogs() {
		p.Log = append(p.Log, offline.Reign{ID: e.SnapshotID, At: e.TimestampMs * 1000})
	}
	for name, ref := range m.Refs() {
		switch {
		case ref.SnapshotRefType == table.TagRef:
			p.Pinned[ref.SnapshotID] = true
		case name != table.MainBranch:
			b := offline.Branch{Head: ref.SnapshotID, Newest: math.MaxInt64}
			if ref.MinSnapshotsToKeep != nil {
				b.Keep = *ref.MinSnapshotsToKeep
			}
			if ref.MaxSnapshotAgeMs != nil {
				b.Newest = t.now() - *ref.MaxSnapshotAgeMs*1000
			}
			p.Branches = append(p.Branches, b)
		}
	}
	p.Rollbacks, _ = decodeRollbacks(m.Properties()[propRollbacks]) // damage is told where they are changed
	p.Moves = func(id int64) (*offline.Moves, error) { return t.movesOf(m.SnapshotByID(id)) }
	return p
}

// movesOf is what a snapshot's summary tells of positions; nil for another engine's.
func (t *Table) movesOf(s *table.Snapshot) (*offline.Moves, error) {
	if _, ours := ownData(s); !ours {
		return nil, nil
	}
	at, err := decodeStanding(s.Summary.Properties[propPositions])
	if err != nil {
		return nil, t.foreign(offline.ErrNoPositions, "those of a snapshot cannot be read: "+err.Error())
	}
	m := &offline.Moves{Positions: at.positions}
	if text, ok := s.Summary.Properties[propFrom]; ok {
		from, err := decodeStanding(text)
		if err != nil {
			return nil, t.foreign(offline.ErrNoPositions, "those of a snapshot cannot be read: "+err.Error())
		}
		m.From, m.Whence = from.positions, true
	}
	return m, nil
}

// summaryOf is what a snapshot's summary keeps of positions.
func summaryOf(at standing, c *feature.Commit) map[string]string {
	m := offline.MovesOf(at.positions, c)
	out := map[string]string{propPositions: standing{positions: m.Positions, data: at.data}.encode()}
	for _, p := range m.Positions {
		if p.Partition < 0 {
			out[propFrom] = standing{positions: m.From}.encode()
			break
		}
	}
	return out
}
