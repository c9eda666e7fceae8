package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// RegisterModel ties a version of a model to the snapshot it was trained on. The service is the snapshot's where
// none is named. Registering the same again changes URI and tags where they are given, and moves the aliases
// that are named; it reports whether the version is new.
func (r *Registry) RegisterModel(ctx context.Context, m feature.Model) (feature.Model, bool, error) {
	if m.Project == "" {
		m.Project = DefaultProject
	}
	if faults := m.Check(); len(faults) > 0 {
		return m, false, feature.Errorf(feature.Invalid, "registry.register_model", m.ID(), "%w", feature.JoinFaults(faults))
	}
	s, err := r.store.Snapshot(ctx, m.Project, m.Snapshot)
	if err != nil {
		return m, false, err
	}
	if m.Service == "" {
		m.Service = s.Service
	}
	if m.ServiceVersion == 0 {
		m.ServiceVersion = s.ServiceVersion
	}
	if m.Service != s.Service || m.ServiceVersion != s.ServiceVersion {
		return m, false, feature.Errorf(feature.Invalid, "registry.register_model", m.ID(), "it is said to be of service %s@%d, but snapshot %s was made with %s@%d",
			m.Service, m.ServiceVersion, s.ID, s.Service, s.ServiceVersion).WithHint("name the snapshot that it was trained on, or leave the service out")
	}
	if m.CreatedAt == 0 {
		m.CreatedAt = r.now().UnixMicro()
	}
	before, err := r.store.Model(ctx, m.Project, m.Name, m.Version)
	fresh := feature.KindOf(err) == feature.NotFound && err != nil
	if err != nil && !fresh {
		return m, false, err
	}
	put := m
	if !fresh {
		if put.URI == "" {
			put.URI = before.URI
		}
		put.Tags = maps.Clone(before.Tags)
		if put.Tags == nil {
			put.Tags = map[string]string{}
		}
		maps.Copy(put.Tags, m.Tags)
		if faults := put.Check(); len(faults) > 0 { // together they may be too many
			return m, false, feature.Errorf(feature.Invalid, "registry.register_model", m.ID(), "%w", feature.JoinFaults(faults))
		}
	}
	if fresh || put.URI != before.URI || !maps.Equal(put.Tags, before.Tags) || !put.SameOrigin(&before) {
		if err := r.store.PutModel(ctx, put); err != nil {
			return m, false, err
		}
	}
	for _, a := range m.Aliases {
		if _, err := r.MoveAlias(ctx, m.Project, m.Name, a, m.Version); err != nil {
			return m, fresh, err
		}
	}
	m, err = r.store.Model(ctx, m.Project, m.Name, m.Version)
	if err == nil && fresh {
		r.log.Info("model registered", "model", m.ID(), "service", fmt.Sprintf("%s@%d", m.Service, m.ServiceVersion), "snapshot", m.Snapshot)
	}
	return m, fresh, err
}

// MoveAlias puts an alias at a version of a model, or takes it off where version is empty. It
// reports whether that changed anything.
func (r *Registry) MoveAlias(ctx context.Context, project, name, alias, version string) (bool, error) {
	if project == "" {
		project = DefaultProject
	}
	if faults := feature.CheckAlias("alias", alias); len(faults) > 0 {
		return false, feature.Errorf(feature.Invalid, "registry.move_alias", project+"/"+name, "%w", feature.JoinFaults(faults))
	}
	moved, err := r.store.MoveAlias(ctx, feature.AliasMove{Project: project, Model: name, Alias: alias, Version: version, At: r.now().UnixMicro()})
	if moved {
		r.log.Info("a model's alias has moved", "model", project+"/"+name, "alias", alias, "version", version)
	}
	return moved, err
}

// FindModel returns a version of a model: by number, else by alias; the champion, or the newest where there is
// none, when at is empty. feature.NotFound names a similar model when there is none.
func (r *Registry) FindModel(ctx context.Context, project, name, at string) (feature.Model, error) {
	if project == "" {
		project = DefaultProject
	}
	all, err := r.store.ListModels(ctx, project, name)
	if err != nil {
		return feature.Model{}, err
	}
	is := func(what func(*feature.Model) bool) int {
		return slices.IndexFunc(all, func(m feature.Model) bool { return what(&m) })
	}
	i := is(func(m *feature.Model) bool { return m.Version == at })
	if i < 0 && at != "" {
		i = is(func(m *feature.Model) bool { return m.HasAlias(at) })
	}
	if i < 0 && at == "" && len(all) > 0 {
		if i = is(func(m *feature.Model) bool { return m.HasAlias(feature.ChampionAlias) }); i < 0 {
			i = len(all) - 1
		}
	}
	if i >= 0 {
		return all[i], nil
	}
	if len(all) > 0 {
		have := make([]string, len(all))
		for k, m := range all {
			have[k] = m.Version
		}
		return feature.Model{}, feature.Errorf(feature.NotFound, "registry.model", project+"/"+name+"@"+at, "it has no such version or alias").
			WithHint("there are versions %s", strings.Join(have, ", "))
	}
	if all, err = r.store.ListModels(ctx, project, ""); err != nil {
		return feature.Model{}, err
	}
	var names []string
	for _, m := range all {
		if !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	return feature.Model{}, feature.Errorf(feature.NotFound, "registry.model", project+"/"+name, "it is not registered").
		WithHint("%s", orElse(suggest.Phrase(name, names), "weir model register adds a version; weir model list shows what there is"))
}

// AliasedModel is the version that an alias stands at; false where it stands at none.
func (r *Registry) AliasedModel(ctx context.Context, project, name, alias string) (feature.Model, bool, error) {
	all, err := r.store.ListModels(ctx, project, name)
	for _, m := range all {
		if m.HasAlias(alias) {
			return m, true, err
		}
	}
	return feature.Model{}, false, err
}

// ListModels returns the versions of a model, of all where name is empty; of all projects where project is.
func (r *Registry) ListModels(ctx context.Context, project, name string) ([]feature.Model, error) {
	return r.store.ListModels(ctx, project, name)
}

// DeleteModel forgets a version; refused while it has an alias.
func (r *Registry) DeleteModel(ctx context.Context, project, name, version string) error {
	if project == "" {
		project = DefaultProject
	}
	err := r.store.DeleteModel(ctx, project, name, version)
	if err == nil {
		r.log.Info("model deleted", "model", project+"/"+name+"@"+version)
	}
	return err
}

// AliasMoves tells where a model's aliases stood and when, oldest first.
func (r *Registry) AliasMoves(ctx context.Context, project, name string) ([]feature.AliasMove, error) {
	if project == "" {
		project = DefaultProject
	}
	return r.store.AliasMoves(ctx, project, name)
}
