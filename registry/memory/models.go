package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// models is what a Store knows of models; all of it under the store's lock.
type models struct {
	versions []feature.Model // their Aliases are in at
	at       map[alias]string
	moves    []feature.AliasMove
}

type alias struct{ project, model, name string }

// with returns a version as it is shown: nothing shared, its aliases in place.
func (s *models) with(m feature.Model) feature.Model {
	m.Tags, m.Aliases = maps.Clone(m.Tags), nil
	for a, version := range s.at {
		if a.project == m.Project && a.model == m.Name && version == m.Version {
			m.Aliases = append(m.Aliases, a.name)
		}
	}
	slices.Sort(m.Aliases)
	return m
}

func (s *models) find(project, name, version string) int {
	return slices.IndexFunc(s.versions, func(m feature.Model) bool {
		return m.Project == project && m.Name == name && m.Version == version
	})
}

func (s *models) trainedOn(snapshot string) (out []feature.Model) {
	for _, m := range s.versions {
		if m.Snapshot == snapshot {
			out = append(out, s.with(m))
		}
	}
	slices.SortFunc(out, feature.CompareModels)
	return out
}

func (s *Store) PutModel(ctx context.Context, m feature.Model) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.Tags, m.Aliases = maps.Clone(m.Tags), nil
	if len(m.Tags) == 0 {
		m.Tags = nil
	}
	if i := s.models.find(m.Project, m.Name, m.Version); i >= 0 {
		is := &s.models.versions[i]
		if !is.SameOrigin(&m) {
			return registry.ModelTaken(*is, m)
		}
		is.URI, is.Tags = m.URI, m.Tags
		return nil
	}
	if !slices.ContainsFunc(s.snapshots, func(k kept) bool { return k.ID == m.Snapshot && k.Project == m.Project }) {
		return registry.ModelNeedsSnapshot(m.Snapshot)
	}
	s.models.versions = append(s.models.versions, m)
	return nil
}

func (s *Store) Model(ctx context.Context, project, name, version string) (feature.Model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.models.find(project, name, version)
	if i < 0 {
		return feature.Model{}, registry.NoModel(project, name, version)
	}
	return s.models.with(s.models.versions[i]), ctx.Err()
}

func (s *Store) ListModels(ctx context.Context, project, name string) (out []feature.Model, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.models.versions {
		if (project == "" || m.Project == project) && (name == "" || m.Name == name) {
			out = append(out, s.models.with(m))
		}
	}
	slices.SortFunc(out, feature.CompareModels)
	return out, ctx.Err()
}

func (s *Store) DeleteModel(ctx context.Context, project, name, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	i := s.models.find(project, name, version)
	if i < 0 {
		return registry.NoModel(project, name, version)
	}
	if m := s.models.with(s.models.versions[i]); len(m.Aliases) > 0 {
		return registry.ModelAliased(m)
	}
	s.models.versions = slices.Delete(s.models.versions, i, i+1)
	return nil
}

func (s *Store) MoveAlias(ctx context.Context, m feature.AliasMove) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	k := alias{m.Project, m.Model, m.Alias}
	m.Snapshot = ""
	if m.Version != "" {
		i := s.models.find(m.Project, m.Model, m.Version)
		if i < 0 {
			return false, registry.NoModel(m.Project, m.Model, m.Version)
		}
		m.Snapshot = s.models.versions[i].Snapshot
	}
	if s.models.at[k] == m.Version {
		return false, nil
	}
	if s.models.at == nil {
		s.models.at = map[alias]string{}
	}
	if m.Version == "" {
		delete(s.models.at, k)
	} else {
		s.models.at[k] = m.Version
	}
	s.models.moves = append(s.models.moves, m)
	return true, nil
}

func (s *Store) AliasMoves(ctx context.Context, project, name string) (out []feature.AliasMove, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.models.moves {
		if m.Project == project && m.Model == name {
			out = append(out, m)
		}
	}
	return out, ctx.Err()
}
