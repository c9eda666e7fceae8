package iceberg

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// standing is the value of weir.positions. It stands in every metadata file and,
// shortened, in every snapshot's summary, so it is written compactly:
//
//	{"v":1,"data":"c2","commits":["c1","c2"],
//	 "topics":[{"name":"weather","id":"00..ff","at":[[0,1200,3,1],[1,900,3,0]]}]}
//
// at: partition, next offset, catalog revision, index into commits and, of an
// import, when it began. data is the
// commit that made our newest snapshot: a table whose newest summary names
// another one has been rolled back by someone.
type standing struct {
	positions []feature.Position
	data      string
}

type standingJSON struct {
	V       int         `json:"v"`
	Data    string      `json:"data,omitempty"`
	Commits []string    `json:"commits,omitempty"`
	Topics  []topicJSON `json:"topics,omitempty"`
}

type topicJSON struct {
	Name string    `json:"name"`
	ID   string    `json:"id"`
	At   [][]int64 `json:"at"`
}

func (s standing) encode() string {
	j := standingJSON{V: 1, Data: s.data}
	commits := map[string]int{}
	for _, p := range s.positions {
		ci, ok := commits[p.Commit]
		if !ok {
			ci = len(j.Commits)
			commits[p.Commit] = ci
			j.Commits = append(j.Commits, p.Commit)
		}
		id := hex.EncodeToString(p.TopicID[:])
		if n := len(j.Topics); n == 0 || j.Topics[n-1].ID != id || j.Topics[n-1].Name != p.Topic {
			j.Topics = append(j.Topics, topicJSON{Name: p.Topic, ID: id})
		}
		t := &j.Topics[len(j.Topics)-1]
		at := []int64{int64(p.Partition), p.Next, p.Revision, int64(ci)}
		if p.Started != 0 {
			at = append(at, p.Started)
		}
		t.At = append(t.At, at)
	}
	b, _ := json.Marshal(j) // strings and numbers only: it cannot fail
	return string(b)
}

func decodeStanding(text string) (standing, error) {
	var j standingJSON
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return standing{}, err
	}
	if j.V != 1 {
		return standing{}, fmt.Errorf("version %d of %s is not known here", j.V, propPositions)
	}
	s := standing{data: j.Data}
	for _, t := range j.Topics {
		id, err := hex.DecodeString(t.ID)
		if err != nil || len(id) != 16 {
			return standing{}, fmt.Errorf("topic id %q is not 16 bytes of hex", t.ID)
		}
		for _, a := range t.At {
			if len(a) < 4 || a[3] < 0 || a[3] >= int64(len(j.Commits)) || a[0] != int64(int32(a[0])) {
				return standing{}, fmt.Errorf("position %v of topic %s is damaged", a, t.Name)
			}
			p := feature.Position{Topic: t.Name, TopicID: [16]byte(id), Partition: int32(a[0]), Next: a[1], Revision: a[2], Commit: j.Commits[a[3]]}
			if len(a) > 4 {
				p.Started = a[4]
			}
			s.positions = append(s.positions, p)
		}
	}
	offline.SortPositions(s.positions)
	return s, nil
}

// standingOf reads where a table stands, and refuses a table that somebody else
// has moved: rows and positions would no longer belong together.
func (t *Table) standingOf(m table.Metadata) (standing, error) {
	text, ok := m.Properties()[propPositions]
	current := m.CurrentSnapshot()
	if !ok {
		if current != nil {
			return standing{}, t.foreign(offline.ErrNoPositions, "it has snapshots but no property "+propPositions)
		}
		return standing{}, nil
	}
	s, err := decodeStanding(text)
	if err != nil {
		return standing{}, t.foreign(offline.ErrNoPositions, "its property "+propPositions+" cannot be read: "+err.Error())
	}
	if current == nil {
		if s.data != "" {
			return standing{}, t.foreign(offline.ErrRolledBack, "it has positions but no snapshot")
		}
		return s, nil
	}
	own, whole := nearest(m, current)
	data, _ := ownData(own)
	switch {
	case own != nil && data != s.data:
		return standing{}, t.foreign(offline.ErrRolledBack, fmt.Sprintf("its positions belong to commit %q, its newest snapshot of ours to %q", s.data, data))
	case own == nil && whole && s.data != "":
		return standing{}, t.foreign(offline.ErrRolledBack, fmt.Sprintf("its positions belong to commit %q, which no snapshot is from", s.data))
	}
	return s, nil
}

// ownData is the commit whose rows are the newest in a snapshot of ours: the one
// that made it or, where a rewrite did, the one before that. False for other engines'.
func ownData(s *table.Snapshot) (string, bool) {
	if s == nil || s.Summary == nil {
		return "", false
	}
	if id := s.Summary.Properties[propCommit]; id != "" {
		return id, true
	}
	data, ok := s.Summary.Properties[propData]
	return data, ok
}

// nearest is the newest snapshot of ours at or before s. Commits of other engines
// lie on top of ours; whole tells that the walk ended at the table's beginning and
// not where older snapshots have expired.
func nearest(m table.Metadata, s *table.Snapshot) (own *table.Snapshot, whole bool) {
	for s != nil {
		if _, ours := ownData(s); ours {
			return s, false
		}
		if s.ParentSnapshotID == nil {
			// An expiry may also have cut the parent off; only the first snapshot of all has number 1.
			return nil, s.SequenceNumber <= 1
		}
		s = m.SnapshotByID(*s.ParentSnapshotID)
	}
	return nil, false
}

// reached reports whether the newest snapshot or one of its ancestors is such a one.
func reached(m table.Metadata, such func(*table.Snapshot) bool) bool {
	for s := m.CurrentSnapshot(); s != nil; s = m.SnapshotByID(*s.ParentSnapshotID) {
		if such(s) {
			return true
		}
		if s.ParentSnapshotID == nil {
			break
		}
	}
	return false
}

// madeBy tells whether a snapshot of the table is from commit id, and whether the
// table still stands on it: a rollback may have taken it off.
func madeBy(m table.Metadata, id string) (made, stands bool) {
	is := func(s *table.Snapshot) bool { return s.Summary != nil && s.Summary.Properties[propCommit] == id }
	if reached(m, is) {
		return true, true
	}
	if m.Properties()[propRollbacks] == "" {
		return false, false
	}
	return slices.ContainsFunc(m.Snapshots(), func(s table.Snapshot) bool { return is(&s) }), false
}

func (t *Table) foreign(fault error, why string) error {
	return feature.Errorf(feature.Invalid, "iceberg.load", "view "+t.view.ID(), "%w, something other than Weir has changed it: %s", fault, why).
		WithHint("bring back the table's newest snapshot; or take the one that it stands on now, positions and all: weir table rollback; or delete the view's table and ingest it again")
}
