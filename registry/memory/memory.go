// Package memory is a registry store that lasts as long as its process, for
// tests and for commands that need a catalog only while they run.
//
// The one rule: it keeps the same promises as sqlstore (registrytest proves it).
package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Store is a registry.Store. The zero value is not ready; use New.
type Store struct {
	mu        sync.Mutex
	revisions []registry.Revision // revisions[i] is number i+1
	records   map[feature.Ref][]registry.Record
	snapshots []kept // oldest first
	models    models
}

type kept struct {
	feature.Snapshot
	body, profile []byte
}

var _ registry.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{records: map[feature.Ref][]registry.Record{}} }

func (s *Store) Close() error { return nil }

func (s *Store) Revision(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.revisions)), ctx.Err()
}

func (s *Store) Revisions(ctx context.Context, after int64) ([]registry.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	after = min(max(after, 0), int64(len(s.revisions)))
	return slices.Clone(s.revisions[after:]), ctx.Err()
}

func (s *Store) Load(ctx context.Context, revision int64) ([]registry.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if revision < 0 || revision > int64(len(s.revisions)) {
		return nil, registry.NoRevision(revision, int64(len(s.revisions)))
	}
	var out []registry.Record
	for _, versions := range s.records {
		for _, r := range versions {
			if r.From <= revision && (r.To == 0 || r.To > revision) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func (s *Store) Commit(ctx context.Context, c registry.ChangeSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if newest := int64(len(s.revisions)); newest != c.Base {
		return registry.Stale(c.Base, newest)
	}
	revision := c.Base + 1
	for _, ref := range c.Delete {
		if s.live(ref) == nil {
			return feature.Errorf(feature.Invalid, "memory.commit", ref.String(), "it is not in force")
		}
	}
	for _, p := range c.Puts {
		if n := len(s.records[p.Ref]); p.Version != n+1 {
			return feature.Errorf(feature.Invalid, "memory.commit", p.Ref.String(), "version %d follows version %d", p.Version, n)
		}
	}
	for _, id := range c.Snapshots {
		if !slices.ContainsFunc(s.snapshots, func(k kept) bool { return k.ID == id }) {
			return registry.SnapshotGone(id)
		}
	}
	for _, ref := range c.Delete {
		s.live(ref).To = revision
	}
	for _, p := range c.Puts {
		if old := s.live(p.Ref); old != nil {
			old.To = revision
		}
		s.records[p.Ref] = append(s.records[p.Ref], registry.Record{
			Ref: p.Ref, Version: p.Version, Body: bytes.Clone(p.Body), From: revision,
		})
	}
	s.revisions = append(s.revisions, registry.Revision{Number: revision, At: c.At})
	return nil
}

func (s *Store) live(ref feature.Ref) *registry.Record {
	v := s.records[ref]
	if n := len(v); n > 0 && v[n-1].To == 0 {
		return &v[n-1]
	}
	return nil
}

func (s *Store) History(ctx context.Context, ref feature.Ref) ([]registry.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records[ref]), ctx.Err()
}

func (s *Store) PutSnapshot(ctx context.Context, snap feature.Snapshot, profile []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := json.Marshal(snap)
	if err != nil {
		return feature.Errorf(feature.Invalid, "memory.put_snapshot", snap.ID, "%w", err)
	}
	for _, k := range s.snapshots {
		if k.ID != snap.ID {
			continue
		}
		if bytes.Equal(k.body, body) && bytes.Equal(k.profile, profile) {
			return nil
		}
		return registry.SnapshotTaken(snap.ID)
	}
	var c feature.Snapshot // nothing shared with the caller's
	if err := json.Unmarshal(body, &c); err != nil {
		return feature.Errorf(feature.Internal, "memory.put_snapshot", snap.ID, "%w", err)
	}
	s.snapshots = append(s.snapshots, kept{c, body, bytes.Clone(profile)})
	slices.SortStableFunc(s.snapshots, func(a, b kept) int { return registry.CompareSnapshots(a.Snapshot, b.Snapshot) })
	return nil
}

func (s *Store) find(ctx context.Context, project, id string) (kept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.snapshots {
		if k.ID == id && (project == "" || k.Project == project) {
			return k, ctx.Err()
		}
	}
	return kept{}, registry.NoSnapshot(project, id)
}

func (s *Store) Snapshot(ctx context.Context, project, id string) (feature.Snapshot, error) {
	k, err := s.find(ctx, project, id)
	return k.Snapshot, err
}

func (s *Store) SnapshotProfile(ctx context.Context, id string) ([]byte, error) {
	k, err := s.find(ctx, "", id)
	return bytes.Clone(k.profile), err
}

func (s *Store) ListSnapshots(ctx context.Context, project string) ([]feature.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []feature.Snapshot
	for _, k := range s.snapshots {
		if project == "" || k.Project == project {
			out = append(out, k.Snapshot)
		}
	}
	return out, ctx.Err()
}

func (s *Store) DeleteSnapshot(ctx context.Context, id string, base int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if newest := int64(len(s.revisions)); newest != base {
		return registry.Stale(base, newest)
	}
	at := slices.IndexFunc(s.snapshots, func(k kept) bool { return k.ID == id })
	if at < 0 {
		return registry.NoSnapshot("", id)
	}
	if by := s.models.trainedOn(id); len(by) > 0 {
		return registry.SnapshotTrained(id, by)
	}
	s.snapshots = slices.Delete(s.snapshots, at, at+1)
	return nil
}
