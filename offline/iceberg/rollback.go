package iceberg

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Rollback moves the branch and the positions in one commit. It works on a table
// that another engine has set back, too: To is then what that engine chose.
func (t *Table) Rollback(ctx context.Context, r *offline.Rollback) error {
	settled := func(now *loaded) (bool, error) {
		had, err := decodeRollbacks(now.meta.Properties()[propRollbacks])
		if err != nil {
			return false, t.foreign(offline.ErrNoPositions, "its property "+propRollbacks+" cannot be read: "+err.Error())
		}
		if slices.ContainsFunc(had, func(b offline.RolledBack) bool { return b.ID == r.ID }) {
			return true, nil
		}
		if r.To != 0 && now.meta.SnapshotByID(r.To) == nil {
			return false, offline.NoVersion(t.view, offline.Version{Snapshot: r.To})
		}
		return false, nil
	}
	what := fmt.Sprintf("view %s to snapshot %d", t.view.ID(), r.To)
	return t.land(ctx, "iceberg.rollback", what, settled, func(now *loaded, a *attempted) error {
		updates, err := t.rollback(ctx, now, a, r)
		if err != nil {
			return err
		}
		_, err = t.commit(ctx, now, a, updates...)
		return err
	})
}

func (t *Table) rollback(ctx context.Context, now *loaded, a *attempted, r *offline.Rollback) ([]table.Update, error) {
	m := now.meta
	head, base, err := t.baseOf(m)
	if err != nil {
		return nil, err
	}
	past := t.pastOf(m)
	at, err := past.Back(t.view, head.positions, base, r)
	if err != nil {
		return nil, err
	}
	next := standing{positions: at}
	var updates []table.Update
	switch {
	case r.To != 0:
		own, _ := nearest(m, m.SnapshotByID(r.To))
		next.data, _ = ownData(own)
		if r.To != past.Current {
			updates = append(updates, mainTo(m, r.To))
		}
	case past.Current != 0:
		// A snapshot without files: other engines, and times asked for, see an empty table.
		next.data = r.ID
		p, err := t.produce(ctx, now, a)
		if err != nil {
			return nil, err
		}
		s, err := p.snapshot(emptied, nil, iceberg.Properties{propCommit: r.ID, propPositions: next.encode()})
		if err != nil {
			return nil, err
		}
		updates = append(updates, table.NewAddSnapshotUpdate(s), mainTo(m, s.SnapshotID))
	}
	had, err := decodeRollbacks(m.Properties()[propRollbacks])
	if err != nil {
		return nil, err
	}
	done := offline.RolledBack{ID: r.ID, At: t.now(), From: base, To: r.To, Moved: offline.MovedBetween(head.positions, at)}
	return append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{
		propPositions: next.encode(), propRollbacks: encodeRollbacks(offline.KeepRollback(had, done))})), nil
}

// PositionsAt computes where a rollback would lead.
func (t *Table) PositionsAt(ctx context.Context, snapshot int64) ([]feature.Position, error) {
	now, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	if snapshot != 0 && now.meta.SnapshotByID(snapshot) == nil {
		return nil, offline.NoVersion(t.view, offline.Version{Snapshot: snapshot})
	}
	head, base, err := t.baseOf(now.meta)
	if err != nil {
		return nil, err
	}
	return t.pastOf(now.meta).Back(t.view, head.positions, base, &offline.Rollback{To: snapshot})
}

// baseOf reads the positions and finds the snapshot that they go with: the
// newest, unless another engine has set the table back.
func (t *Table) baseOf(m table.Metadata) (standing, int64, error) {
	head, err := t.standingOf(m)
	current := int64(0)
	if s := m.CurrentSnapshot(); s != nil {
		current = s.SnapshotID
	}
	if err == nil {
		return head, current, nil
	}
	head, bad := decodeStanding(m.Properties()[propPositions])
	if bad != nil || head.data == "" {
		return head, 0, err
	}
	for _, s := range slices.Backward(snapshotsOf(m)) {
		if data, _ := ownData(&s); data == head.data {
			return head, s.SnapshotID, nil
		}
	}
	return head, 0, err
}

// Rollbacks are those that this table remembers.
func (t *Table) Rollbacks(ctx context.Context) ([]offline.RolledBack, error) {
	now, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	out, err := decodeRollbacks(now.meta.Properties()[propRollbacks])
	if err != nil {
		return nil, t.foreign(offline.ErrNoPositions, "its property "+propRollbacks+" cannot be read: "+err.Error())
	}
	return out, nil
}

// rollbackJSON is one element of weir.rollbacks, a list of them, oldest first:
//
//	{"id":"r1","at":1767571200000000,"from":123,"to":122,
//	 "topics":[{"name":"weather","id":"00..ff","at":[[0,1200,900],[1,80,-1]]}]}
//
// at: partition, next offset before and after; -1 where the table does not know it.
type rollbackJSON struct {
	ID     string      `json:"id"`
	At     int64       `json:"at"`
	From   int64       `json:"from"`
	To     int64       `json:"to"`
	Topics []topicJSON `json:"topics,omitempty"`
}

// rollbacksBytes bounds the property, which stands in every metadata file; the last rollback is kept whatever it takes.
const rollbacksBytes = 32 << 10

func encodeRollbacks(list []offline.RolledBack) string {
	var all []rollbackJSON
	for _, b := range list {
		j := rollbackJSON{ID: b.ID, At: b.At, From: b.From, To: b.To}
		for _, m := range b.Moved {
			id := hex.EncodeToString(m.TopicID[:])
			if n := len(j.Topics); n == 0 || j.Topics[n-1].ID != id || j.Topics[n-1].Name != m.Topic {
				j.Topics = append(j.Topics, topicJSON{Name: m.Topic, ID: id})
			}
			last := &j.Topics[len(j.Topics)-1]
			last.At = append(last.At, []int64{int64(m.Partition), m.Was, m.Is})
		}
		all = append(all, j)
	}
	for {
		b, _ := json.Marshal(all) // strings and numbers only: it cannot fail
		if len(b) <= rollbacksBytes || len(all) == 1 {
			return string(b)
		}
		all = all[1:]
	}
}

func decodeRollbacks(text string) ([]offline.RolledBack, error) {
	if text == "" {
		return nil, nil
	}
	var all []rollbackJSON
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	var out []offline.RolledBack
	for _, j := range all {
		b := offline.RolledBack{ID: j.ID, At: j.At, From: j.From, To: j.To}
		for _, t := range j.Topics {
			id, err := hex.DecodeString(t.ID)
			if err != nil || len(id) != 16 {
				return nil, fmt.Errorf("topic id %q is not 16 bytes of hex", t.ID)
			}
			for _, at := range t.At {
				if len(at) != 3 || at[0] != int64(int32(at[0])) {
					return nil, fmt.Errorf("move %v of topic %s is damaged", at, t.Name)
				}
				b.Moved = append(b.Moved, offline.MovedBack{Topic: t.Name, TopicID: [16]byte(id), Partition: int32(at[0]), Was: at[1], Is: at[2]})
			}
		}
		out = append(out, b)
	}
	return out, nil
}
