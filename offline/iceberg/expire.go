package iceberg

import (
	"context"
	"slices"
	"strconv"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/weir-ml/weir/offline"
)

// expiry is one attempt at an expiry: what it forgets, and what nothing names after it.
type expiry struct {
	ids   []int64
	names []string
	done  offline.Expired
}

// Expire forgets snapshots in one commit, and removes files after it. What a
// crash between leaves behind, a sweep takes.
func (t *Table) Expire(ctx context.Context, o offline.ExpireOptions) (offline.Expired, error) {
	var plan *expiry
	var ids []int64
	var kept int
	settled := func(now *loaded) (bool, error) {
		if plan != nil && !slices.ContainsFunc(plan.ids, func(id int64) bool { return now.meta.SnapshotByID(id) != nil }) {
			return true, nil // landed after all
		}
		plan = nil
		// A table that somebody has rolled back needs what lies after.
		if _, err := t.standingOf(now.meta); err != nil {
			return false, err
		}
		past := t.pastOf(now.meta)
		ids = past.Expirable(o)
		kept = len(past.Snapshots) - len(ids)
		if o.DryRun && len(ids) > 0 {
			var err error
			plan, err = t.planExpiry(ctx, now.meta, ids)
			return true, err
		}
		return len(ids) == 0, nil
	}
	err := t.land(ctx, "iceberg.expire", "view "+t.view.ID(), settled, func(now *loaded, a *attempted) (err error) {
		if plan, err = t.planExpiry(ctx, now.meta, ids); err != nil {
			return err
		}
		updates := []table.Update{table.NewRemoveSnapshotsUpdate(ids, false)}
		if swept := t.pastOf(now.meta).OffUntil(ids); swept > sweptOf(now.meta) {
			updates = append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{propSwept: strconv.FormatInt(swept, 10)}))
		}
		_, err = t.commit(ctx, now, a, updates...)
		return err
	})
	if err != nil {
		return offline.Expired{}, err
	}
	if plan == nil {
		return offline.Expired{Kept: kept}, nil
	}
	plan.done.Kept = kept
	if !o.DryRun {
		if err := t.store.files.remove(ctx, plan.names); err != nil {
			t.store.log.Warn("files of forgotten snapshots are left; a sweep takes them", "view", t.view.ID(), "error", err)
		}
		t.store.log.Info("snapshots forgotten", "view", t.view.ID(), "snapshots", len(plan.ids), "kept", kept, "files", plan.done.Files)
	}
	return plan.done, nil
}

// planExpiry finds the files that nothing names without these snapshots.
func (t *Table) planExpiry(ctx context.Context, m table.Metadata, ids []int64) (*expiry, error) {
	goes := map[int64]bool{}
	for _, id := range ids {
		goes[id] = true
	}
	var going, staying []table.Snapshot
	for _, s := range m.Snapshots() {
		if goes[s.SnapshotID] {
			going = append(going, s)
		} else {
			staying = append(staying, s)
		}
	}
	gone, err := t.censusOf(ctx, going)
	if err != nil {
		return nil, err
	}
	kept, err := t.censusOf(ctx, staying)
	if err != nil {
		return nil, err
	}
	p := &expiry{ids: ids, done: offline.Expired{Snapshots: len(ids)}, names: besides(m, func(id int64) bool { return goes[id] })}
	for k, name := range gone.lists {
		if _, ok := kept.lists[k]; !ok {
			p.names = append(p.names, name)
		}
	}
	for k, mf := range gone.manifests {
		if _, ok := kept.manifests[k]; ok {
			delete(gone.manifests, k) // and all that it names
		} else {
			p.names = append(p.names, mf.FilePath())
		}
	}
	data := map[string]file{}
	if err := t.files(ctx, gone.manifests, func(k string, f file) { data[k] = f }); err != nil {
		return nil, err
	}
	if len(data) > 0 {
		if err := t.files(ctx, kept.manifests, func(k string, _ file) { delete(data, k) }); err != nil {
			return nil, err
		}
	}
	for _, f := range data {
		p.names = append(p.names, f.name)
		p.done.Bytes += f.bytes
	}
	p.done.Files = len(p.names)
	return p, nil
}
