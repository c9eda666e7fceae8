package iceberg

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// What upkeep keeps in a table, beside what schema.go names.
const (
	propFrom      = "weir.from"      // in summaries: where the imports stood that the commit moved
	propRewrite   = "weir.rewrite"   // in summaries: the id of the rewrite that made the snapshot
	propData      = "weir.data"      // in summaries of rewrites: the commit whose rows are the newest
	propSwept     = "weir.swept"     // files begun before this are not committed any more, microseconds; it only grows
	propRollbacks = "weir.rollbacks" // see rollback.go
)

func sweptOf(m table.Metadata) int64 {
	n, _ := strconv.ParseInt(m.Properties()[propSwept], 10, 64)
	return n
}

func (t *Table) now() int64 { return time.Now().UnixMicro() }

// Tag names a snapshot.
func (t *Table) Tag(ctx context.Context, name string, snapshot int64) error {
	if err := offline.CheckTag(t.view, name); err != nil {
		return err
	}
	what := "view " + t.view.ID() + " tag " + name
	settled := func(now *loaded) (bool, error) {
		if now.meta.SnapshotByID(snapshot) == nil {
			return false, offline.NoVersion(t.view, offline.Version{Snapshot: snapshot})
		}
		ref, ok := refOf(now.meta, name)
		if ok && (ref.SnapshotID != snapshot || ref.SnapshotRefType != table.TagRef) {
			return false, feature.Errorf(feature.Conflict, "iceberg.tag", what, "it names snapshot %d already", ref.SnapshotID)
		}
		return ok, nil
	}
	return t.land(ctx, "iceberg.tag", what, settled, func(now *loaded, a *attempted) error {
		_, err := t.commit(ctx, now, a, table.NewSetSnapshotRefUpdate(name, snapshot, table.TagRef, 0, 0, 0))
		return err
	})
}

// Untag takes a tag away; branches of other engines are not touched.
func (t *Table) Untag(ctx context.Context, name string) error {
	settled := func(now *loaded) (bool, error) {
		ref, ok := refOf(now.meta, name)
		return !ok || ref.SnapshotRefType != table.TagRef, nil
	}
	return t.land(ctx, "iceberg.untag", "view "+t.view.ID()+" tag "+name, settled, func(now *loaded, a *attempted) error {
		_, err := t.commit(ctx, now, a, table.NewRemoveSnapshotRefUpdate(name))
		return err
	})
}

func refOf(m table.Metadata, name string) (table.SnapshotRef, bool) {
	for n, ref := range m.Refs() {
		if n == name {
			return ref, true
		}
	}
	return table.SnapshotRef{}, false
}

// History lists the snapshots, newest first.
func (t *Table) History(ctx context.Context) ([]offline.Snapshot, error) {
	now, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	past := t.pastOf(now.meta)
	reached := past.Reached()
	tags := map[int64][]string{}
	for name, ref := range now.meta.Refs() {
		if ref.SnapshotRefType == table.TagRef {
			tags[ref.SnapshotID] = append(tags[ref.SnapshotID], name)
		}
	}
	var out []offline.Snapshot
	for _, s := range slices.Backward(snapshotsOf(now.meta)) {
		h := offline.Snapshot{ID: s.SnapshotID, CommittedAt: s.TimestampMs * 1000, Tags: tags[s.SnapshotID],
			Current: s.SnapshotID == past.Current, Reached: reached[s.SnapshotID]}
		slices.Sort(h.Tags)
		if _, ok := past.Snapshots[past.Snapshots[s.SnapshotID].Parent]; ok {
			h.Parent = past.Snapshots[s.SnapshotID].Parent
		}
		if err := t.count(ctx, now.meta, &s, &h); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// count takes a snapshot's numbers from its summary, and from its manifests where
// an engine has not written them down.
func (t *Table) count(ctx context.Context, m table.Metadata, s *table.Snapshot, h *offline.Snapshot) error {
	if s.Summary != nil {
		h.Operation = string(s.Summary.Operation)
		h.Commit = s.Summary.Properties[propCommit] + s.Summary.Properties[propRewrite]
		whole := true
		for name, n := range map[string]*int64{"total-records": &h.Rows, "total-data-files": &h.Files, "total-files-size": &h.Bytes} {
			var err error
			*n, err = strconv.ParseInt(s.Summary.Properties[name], 10, 64)
			whole = whole && err == nil
		}
		for name, n := range map[string]*int64{"added-records": &h.AddedRows, "deleted-records": &h.RemovedRows,
			"added-data-files": &h.AddedFiles, "deleted-data-files": &h.RemovedFiles} {
			*n, _ = strconv.ParseInt(s.Summary.Properties[name], 10, 64) // absent: none
		}
		if whole {
			return nil
		}
	}
	h.Rows, h.Files, h.Bytes = 0, 0, 0
	files, err := t.filesOf(ctx, m, s, false)
	if feature.KindOf(err) == feature.Unsupported && err != nil {
		return nil // delete files of another engine: what is left of its rows cannot be told
	}
	for _, f := range files {
		h.Rows, h.Files, h.Bytes = h.Rows+f.Rows, h.Files+1, h.Bytes+f.Bytes
	}
	return err
}
