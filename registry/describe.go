package registry

import (
	"context"
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// Description is a definition with its past and its users.
type Description struct {
	Definition feature.Definition
	Version    int
	Versions   []Version          // oldest first
	Uses       []feature.Ref      // what it refers to
	UsedBy     []feature.Ref      // what depends on it, directly or through others
	Snapshots  []feature.Snapshot // of a service, or with a table of a view; oldest first
	Models     []feature.Model    // that were trained on one of them
}

// Version is one version in a definition's past.
type Version struct {
	Version int
	From    int64  // the revision that brought it
	At      int64  // when, microseconds UTC
	To      int64  // the revision that ended it; 0 while it is in force
	Diffs   []Diff // against the version before; none for the first and after a deletion
}

// Describe tells everything about a definition; feature.NotFound when it is not
// in the catalog, saying when it was deleted if it ever was there.
func (r *Registry) Describe(ctx context.Context, ref feature.Ref) (*Description, error) {
	if ref.Project == "" {
		ref.Project = DefaultProject
	}
	s, err := r.refresh(ctx)
	if err != nil {
		return nil, err
	}
	history, err := r.store.History(ctx, ref)
	if err != nil {
		return nil, err
	}
	d, err := s.catalog.Get(ref)
	if n := len(history); err != nil && n > 0 {
		return nil, feature.Errorf(feature.NotFound, "registry.describe", ref.String(), "it was deleted with revision %d", history[n-1].To).
			WithHint("weir apply brings it back as version %d", history[n-1].Version+1)
	} else if err != nil {
		return nil, err
	}
	revisions, err := r.store.Revisions(ctx, 0)
	if err != nil {
		return nil, err
	}
	at := make(map[int64]int64, len(revisions))
	for _, x := range revisions {
		at[x.Number] = x.At
	}
	out := &Description{Definition: d, Version: s.catalog.Version(ref), Uses: d.Refs(), UsedBy: s.catalog.Users(ref)}
	for i, h := range history {
		v := Version{Version: h.Version, From: h.From, At: at[h.From], To: h.To}
		if i > 0 && history[i-1].To == h.From {
			if v.Diffs, err = diff(history[i-1].Body, h.Body); err != nil {
				return nil, feature.Errorf(feature.Internal, "registry.describe", fmt.Sprintf("%s@%d", ref, h.Version), "%w", err)
			}
		}
		out.Versions = append(out.Versions, v)
	}
	if ref.Kind != feature.KindService && ref.Kind != feature.KindView {
		return out, nil
	}
	snaps, err := r.store.ListSnapshots(ctx, ref.Project)
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, x := range snaps {
		if used[x.ID] = snapshotUses(x, ref); used[x.ID] {
			out.Snapshots = append(out.Snapshots, x)
		}
	}
	models, err := r.store.ListModels(ctx, ref.Project, "")
	for _, m := range models {
		if used[m.Snapshot] {
			out.Models = append(out.Models, m)
		}
	}
	return out, err
}

// GetVersion returns a definition as one of its versions had it, unresolved;
// feature.NotFound when there is no such version. Deleted definitions can be had.
func (r *Registry) GetVersion(ctx context.Context, ref feature.Ref, version int) (feature.Definition, error) {
	if ref.Project == "" {
		ref.Project = DefaultProject
	}
	history, err := r.store.History(ctx, ref)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%s@%d", ref, version)
	if version < 1 || version > len(history) {
		e := feature.Errorf(feature.NotFound, "registry.get", what, "there is no such version")
		if n := len(history); n > 0 {
			return nil, e.WithHint("there are 1 to %d", n)
		}
		return nil, e
	}
	d, err := Decode(ref.Kind, history[version-1].Body)
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "registry.get", what, "%w", err)
	}
	return d, nil
}

func snapshotUses(s feature.Snapshot, ref feature.Ref) bool {
	if ref.Kind == feature.KindService {
		return s.Service == ref.Name
	}
	for _, t := range s.Tables {
		if t.View == ref.Name {
			return true
		}
	}
	return false
}
