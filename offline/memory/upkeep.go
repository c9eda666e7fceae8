package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// emptied is the operation of the snapshot that a rollback to no rows makes.
const emptied = "delete"

// past is the history; under mu, like all that follows in lower case.
func (t *shared) past() *offline.Past {
	p := &offline.Past{Snapshots: map[int64]offline.Ancestor{}, Log: t.log, Pinned: map[int64]bool{}, Rollbacks: t.rollbacks,
		Moves: func(id int64) (*offline.Moves, error) { return t.snaps[id].moves, nil }}
	if t.current != nil {
		p.Current = t.current.state.Snapshot
	}
	for id, s := range t.snaps {
		p.Snapshots[id] = offline.Ancestor{ID: id, Parent: s.parent, At: s.state.CommittedAt, Root: s.parent == 0, First: id == 1}
	}
	for _, id := range t.tags {
		p.Pinned[id] = true
	}
	return p
}

func (t *table) Tag(_ context.Context, name string, snapshot int64) error {
	if err := offline.CheckTag(t.view, name); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.snaps[snapshot] == nil {
		return offline.NoVersion(t.view, offline.Version{Snapshot: snapshot})
	}
	if old, ok := t.tags[name]; ok && old != snapshot {
		return feature.Errorf(feature.Conflict, "memory.tag", name, "it names snapshot %d already", old)
	}
	t.tags[name] = snapshot
	return nil
}

func (t *table) Untag(_ context.Context, name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tags, name)
	return nil
}

func (t *table) History(context.Context) ([]offline.Snapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	reached := t.past().Reached()
	var out []offline.Snapshot
	for id, s := range t.snaps {
		h := offline.Snapshot{ID: id, CommittedAt: s.state.CommittedAt, Operation: s.operation, Commit: s.id,
			Current: s == t.current, Reached: reached[id], Files: int64(len(s.state.Files)), Rows: s.state.Rows}
		had := map[string]bool{}
		if before := t.snaps[s.parent]; before != nil {
			h.Parent = s.parent
			for _, f := range before.state.Files {
				had[f.Path] = true
				h.RemovedFiles, h.RemovedRows = h.RemovedFiles+1, h.RemovedRows+f.Rows
			}
		}
		for _, f := range s.state.Files {
			h.Bytes += f.Bytes
			switch {
			case had[f.Path]:
				h.RemovedFiles, h.RemovedRows = h.RemovedFiles-1, h.RemovedRows-f.Rows
			case h.Parent != 0 || s.parent == 0:
				h.AddedFiles, h.AddedRows = h.AddedFiles+1, h.AddedRows+f.Rows
			}
		}
		for name, snapshot := range t.tags {
			if snapshot == id {
				h.Tags = append(h.Tags, name)
			}
		}
		slices.Sort(h.Tags)
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b offline.Snapshot) int { return cmp.Compare(b.ID, a.ID) })
	return out, nil
}

func (t *table) Replace(ctx context.Context, r *offline.Rewrite) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := offline.CheckRewrite(t.view, r); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, reached := t.madeBy(r.ID); reached || len(r.Gone) == 0 {
		return nil
	}
	gone := map[string]bool{}
	for _, f := range r.Gone {
		gone[f.Path] = true
	}
	var left []offline.File
	if t.current != nil {
		for _, f := range t.current.state.Files {
			if gone[f.Path] {
				delete(gone, f.Path)
			} else {
				left = append(left, f)
			}
		}
	}
	for path := range gone {
		return offline.GoneError(t.view, r, path)
	}
	if err := offline.TooOld(t.view, "memory.replace", r.ID, r.New, t.swept); err != nil {
		return err
	}
	if err := t.there("replace", r.New); err != nil {
		return err
	}
	t.add(append(left, bare(r.New)...), t.at, &snap{operation: "replace", id: r.ID, moves: offline.MovesOf(t.at, nil)})
	return nil
}

func (t *table) Rollback(ctx context.Context, r *offline.Rollback) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(t.rollbacks, func(b offline.RolledBack) bool { return b.ID == r.ID }) {
		return nil
	}
	if r.To != 0 && t.snaps[r.To] == nil {
		return offline.NoVersion(t.view, offline.Version{Snapshot: r.To})
	}
	past := t.past()
	at, err := past.Back(t.view, t.at, past.Current, r)
	if err != nil {
		return err
	}
	done := offline.RolledBack{ID: r.ID, At: t.now(), From: past.Current, To: r.To, Moved: offline.MovedBetween(t.at, at)}
	switch {
	case r.To == past.Current:
	case r.To == 0:
		t.add(nil, nil, &snap{operation: emptied, id: r.ID, moves: &offline.Moves{Whence: true}})
	default:
		t.current = t.snaps[r.To]
		t.log = append(t.log, offline.Reign{ID: r.To, At: t.now()})
	}
	t.at = at
	t.rollbacks = offline.KeepRollback(t.rollbacks, done)
	return nil
}

func (t *table) PositionsAt(_ context.Context, snapshot int64) ([]feature.Position, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if snapshot != 0 && t.snaps[snapshot] == nil {
		return nil, offline.NoVersion(t.view, offline.Version{Snapshot: snapshot})
	}
	past := t.past()
	return past.Back(t.view, t.at, past.Current, &offline.Rollback{To: snapshot})
}

func (t *table) Rollbacks(context.Context) ([]offline.RolledBack, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.rollbacks), nil
}

func (t *table) Expire(ctx context.Context, o offline.ExpireOptions) (done offline.Expired, err error) {
	if err := ctx.Err(); err != nil {
		return done, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	going := map[int64]bool{}
	for _, id := range t.past().Expirable(o) {
		going[id] = true
	}
	done.Snapshots, done.Kept = len(going), len(t.snaps)-len(going)
	named := map[string]bool{}
	for id, s := range t.snaps {
		for _, f := range s.state.Files {
			named[f.Path] = named[f.Path] || !going[id]
		}
	}
	for path, kept := range named {
		if !kept {
			done.Files, done.Bytes = done.Files+1, done.Bytes+int64(len(t.files[path].bytes))
			if !o.DryRun {
				delete(t.files, path)
			}
		}
	}
	if o.DryRun || len(going) == 0 {
		return done, nil
	}
	t.swept = max(t.swept, t.past().OffUntil(slices.Collect(maps.Keys(going))))
	for id := range going {
		delete(t.snaps, id)
	}
	// As Iceberg does it: a time before a gap cannot be asked for any more.
	var log []offline.Reign
	for _, r := range t.log {
		if going[r.ID] {
			log = nil
		} else {
			log = append(log, r)
		}
	}
	t.log = log
	return done, nil
}

func (t *table) Sweep(ctx context.Context, o offline.SweepOptions) (done offline.Swept, err error) {
	if err := ctx.Err(); err != nil {
		return done, err
	}
	if err := offline.CheckSweep(t.view, o, time.Now().UnixMicro()); err != nil {
		return done, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !o.DryRun {
		t.swept = max(t.swept, o.Before)
	}
	named := map[string]bool{}
	for _, s := range t.snaps {
		for _, f := range s.state.Files {
			named[f.Path] = true
		}
	}
	for path, f := range t.files {
		if !named[path] && f.written < o.Before-offline.SweepMargin {
			done.Files, done.Bytes = done.Files+1, done.Bytes+int64(len(f.bytes))
			if !o.DryRun {
				delete(t.files, path)
			}
		}
	}
	return done, nil
}
