package online

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// The mark of a run of Materialize is one of the view's marks.
//
//	topic id   the snapshot (8 bytes), the schema's id with the ttl mixed in (4), a random number (4)
//	partition  below runPartition by the number of parts
//	settled    when the run began, microseconds UTC
//	written    how far it has come: the part, then within it the number of keys (36 bits)
//
// Written may be above the last part: rows that were mended are counted there.

const keyBits = 36

func markOf(part int, keys int64) int64 { return int64(part)<<keyBits | keys }

func placeOf(written int64) (part int, keys int64) {
	return int(written >> keyBits), written & (1<<keyBits - 1)
}

// content tells apart runs whose rows are not the same bytes.
func (m *materializer) content() uint32 {
	ttl := uint64(m.View.TTL.Micros())
	return m.schema.ID ^ uint32(ttl) ^ uint32(ttl>>32)*2654435761
}

// end is where all parts have been written.
func (m *materializer) end() int64 { return markOf(m.pinned.Parts, 0) }

// begin pins the table, at the version of the newest run that broke off if it can.
func (m *materializer) begin(ctx context.Context) error {
	marks, err := m.Store.Marks(ctx, m.id)
	if err != nil {
		return err
	}
	m.ttl = m.View.TTL.Micros()
	if len(marks.Part) > 0 {
		m.ttl = marks.TTL // of the rows that are there until all have been written again
	}
	var last Mark
	for _, x := range marks.Part {
		if x.Partition < runPartition {
			m.found = append(m.found, x)
			if binary.BigEndian.Uint32(x.TopicID[8:]) == m.content() && x.Settled > last.Settled {
				last = x
			}
		}
	}
	snapshot := int64(binary.BigEndian.Uint64(last.TopicID[:]))
	if m.Restart || last.Good() == 0 {
		snapshot = 0
	}
	m.pinned, err = m.Pin(ctx, snapshot)
	if snapshot != 0 && feature.KindOf(err) == feature.NotFound {
		m.Log.Info("the version of the table that an earlier rebuild read is gone; starting over with the newest", "view", m.id, "snapshot", snapshot)
		snapshot = 0
		m.pinned, err = m.Pin(ctx, 0)
	}
	if err != nil {
		return err
	}
	m.earlier = snapshot != 0
	m.pinned.Parts = max(m.pinned.Parts, 1)
	if snapshot == 0 || m.pinned.Snapshot != snapshot || int(runPartition-last.Partition) != m.pinned.Parts {
		last = Mark{}
	}
	m.result.Snapshot = m.pinned.Snapshot
	m.keys = make([]int64, m.pinned.Parts)
	for i := range m.keys {
		m.keys[i] = -1
	}
	binary.BigEndian.PutUint64(m.mark.TopicID[:], uint64(m.pinned.Snapshot))
	binary.BigEndian.PutUint32(m.mark.TopicID[8:], m.content())
	binary.BigEndian.PutUint32(m.mark.TopicID[12:], rand.Uint32())
	m.mark.Partition, m.mark.Settled = runPartition-int32(m.pinned.Parts), time.Now().UnixMicro()
	// What the earlier run's mark vouches for must not be lost before this run's is made.
	var seen []Mark
	if good := last.Good(); good > 0 {
		seen = []Mark{last}
		m.mark.Written = min(good, m.end())
	}
	if lost, err := m.setMark(ctx, seen); err != nil {
		return m.close(err)
	} else if lost {
		m.mark.Written = 0
		if _, err := m.setMark(ctx, nil); err != nil {
			return m.close(err)
		}
	}
	r := &m.result
	r.FromPart, r.FromKey = placeOf(m.mark.Written)
	r.Resumed = m.mark.Written > 0
	m.Log.Info("rebuilding the online store from the table", "view", m.id, "snapshot", r.Snapshot, "parts", m.pinned.Parts, "from_part", r.FromPart, "from_key", r.FromKey)
	return nil
}

func (m *materializer) close(err error) error {
	if m.pinned.Close != nil {
		_ = m.pinned.Close()
	}
	return err
}

// setMark makes this run's mark what it should be, back too, unless the store
// has lost what was seen.
func (m *materializer) setMark(ctx context.Context, seen []Mark) (lost bool, err error) {
	return m.Store.Settle(ctx, m.id, m.ttl, []Settlement{{
		TopicID: m.mark.TopicID, Partition: m.mark.Partition, Settled: m.mark.Settled, Written: m.mark.Written, Reset: true}}, seen)
}

// kept is how far the store still has what this run has written.
func (m *materializer) kept(ctx context.Context) (int64, error) {
	marks, err := m.Store.Marks(ctx, m.id)
	if err != nil {
		return 0, err
	}
	x, _ := marks.Find(m.mark.TopicID, m.mark.Partition)
	return x.Good(), nil
}
