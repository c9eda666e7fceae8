package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// Catalog is all definitions at one revision, with their references resolved:
// View.Keys, SourceOf, SuiteOf and Version, Service.Columns, Views and Version,
// Monitor.ViewOf and Version, Suite.Version. It and everything it hands out are
// shared and must not be changed. Lists are sorted by project and name.
type Catalog struct {
	revision int64
	defs     map[feature.Ref]feature.Definition
	versions map[feature.Ref]int
	users    map[feature.Ref][]feature.Ref // who refers to it; only in a catalog without faults
	entities []*feature.Entity
	sources  []*feature.Source
	suites   []*feature.Suite
	views    []*feature.View
	services []*feature.Service
	monitors []*feature.Monitor
}

// Revision is the catalog's revision; 0 is the empty catalog of a new store.
func (c *Catalog) Revision() int64 { return c.revision }

func (c *Catalog) Entities() []*feature.Entity  { return c.entities }
func (c *Catalog) Sources() []*feature.Source   { return c.sources }
func (c *Catalog) Suites() []*feature.Suite     { return c.suites }
func (c *Catalog) Views() []*feature.View       { return c.views }
func (c *Catalog) Services() []*feature.Service { return c.services }
func (c *Catalog) Monitors() []*feature.Monitor { return c.monitors }

// Get returns a definition; feature.NotFound, naming a similar one, when there is none.
// An empty project is the default one.
func (c *Catalog) Get(ref feature.Ref) (feature.Definition, error) {
	if ref.Project == "" {
		ref.Project = DefaultProject
	}
	if d, ok := c.defs[ref]; ok {
		return d, nil
	}
	return nil, c.missing(ref)
}

// Version is the version of a definition, 0 when there is none.
func (c *Catalog) Version(ref feature.Ref) int { return c.versions[ref] }

func (c *Catalog) Entity(project, name string) (*feature.Entity, error) {
	return get[*feature.Entity](c, feature.KindEntity, project, name)
}

func (c *Catalog) Source(project, name string) (*feature.Source, error) {
	return get[*feature.Source](c, feature.KindSource, project, name)
}

func (c *Catalog) Suite(project, name string) (*feature.Suite, error) {
	return get[*feature.Suite](c, feature.KindSuite, project, name)
}

func (c *Catalog) View(project, name string) (*feature.View, error) {
	return get[*feature.View](c, feature.KindView, project, name)
}

func (c *Catalog) Service(project, name string) (*feature.Service, error) {
	return get[*feature.Service](c, feature.KindService, project, name)
}

func (c *Catalog) Monitor(project, name string) (*feature.Monitor, error) {
	return get[*feature.Monitor](c, feature.KindMonitor, project, name)
}

func get[D feature.Definition](c *Catalog, k feature.Kind, project, name string) (D, error) {
	d, err := c.Get(feature.Ref{Kind: k, Project: project, Name: name})
	if err != nil {
		var none D
		return none, err
	}
	return d.(D), nil
}

func (c *Catalog) missing(ref feature.Ref) error {
	e := feature.Errorf(feature.NotFound, "registry.get", ref.String(), "it does not exist")
	var here, elsewhere []string
	for r := range c.defs {
		switch {
		case r.Kind == ref.Kind && r.Project == ref.Project:
			here = append(here, r.Name)
		case r.Kind == ref.Kind && r.Name == ref.Name:
			elsewhere = append(elsewhere, r.Project)
		}
	}
	slices.Sort(here)
	slices.Sort(elsewhere)
	switch near := suggest.Phrase(ref.Name, here); {
	case near != "":
		return e.WithHint("%s", near)
	case len(elsewhere) > 0:
		return e.WithHint("project %s has one: pass --project", strings.Join(elsewhere, ", "))
	case len(here) > 0 && len(here) <= 8:
		return e.WithHint("project %s has %s", ref.Project, strings.Join(here, ", "))
	}
	return e.WithHint("weir get %s lists what there is", shortKind(ref.Kind))
}

// Selector picks definitions. Empty fields match everything.
type Selector struct {
	Kind    feature.Kind
	Project string
	Name    string
	Tags    []string // each "key=value", or "key" for any value; all must match
}

// Matches reports whether the definition is picked.
func (s Selector) Matches(d feature.Definition) bool {
	m := d.GetMeta()
	if s.Kind != "" && s.Kind != d.Kind() || s.Project != "" && s.Project != m.Project || s.Name != "" && s.Name != m.Name {
		return false
	}
	for _, t := range s.Tags {
		k, v, exact := strings.Cut(t, "=")
		have, ok := m.Tags[k]
		if !ok || exact && have != v {
			return false
		}
	}
	return true
}

// List returns the definitions of a kind (all kinds when empty) that have all the
// tags ("key=value" or "key"), ordered by kind, project and name.
func (c *Catalog) List(kind feature.Kind, tags ...string) []feature.Definition {
	return c.Select(Selector{Kind: kind, Tags: tags})
}

// Select returns the definitions that a selector picks, ordered by kind, project and name.
func (c *Catalog) Select(s Selector) []feature.Definition {
	var out []feature.Definition
	for _, ref := range c.refs() {
		if d := c.defs[ref]; s.Matches(d) {
			out = append(out, d)
		}
	}
	return out
}

// Projects names the projects that have a definition, sorted.
func (c *Catalog) Projects() []string {
	set := map[string]bool{}
	for r := range c.defs {
		set[r.Project] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// UsedBy names the definitions that refer directly to ref, ordered.
func (c *Catalog) UsedBy(ref feature.Ref) []feature.Ref { return slices.Clone(c.users[ref]) }

// Users names every definition that depends on ref, directly or through
// others, in the order of feature.Kinds.
func (c *Catalog) Users(ref feature.Ref) []feature.Ref {
	seen := map[feature.Ref]bool{ref: true}
	var out []feature.Ref
	for todo := []feature.Ref{ref}; len(todo) > 0; todo = todo[1:] {
		for _, u := range c.users[todo[0]] {
			if !seen[u] {
				seen[u] = true
				out = append(out, u)
				todo = append(todo, u)
			}
		}
	}
	slices.SortFunc(out, compareRefs)
	return out
}

func (c *Catalog) refs() []feature.Ref {
	return slices.SortedFunc(maps.Keys(c.defs), compareRefs)
}

// names lists what there is of a kind in a project, sorted.
func (c *Catalog) names(k feature.Kind, project string) []string {
	var out []string
	for r := range c.defs {
		if r.Kind == k && r.Project == project {
			out = append(out, r.Name)
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}

func (c *Catalog) String() string {
	return fmt.Sprintf("catalog revision %d with %d definitions", c.revision, len(c.defs))
}

// shortKind is the kind as people type it.
func shortKind(k feature.Kind) string {
	switch k {
	case feature.KindView:
		return "view"
	case feature.KindService:
		return "service"
	case feature.KindSuite:
		return "suite"
	}
	return strings.ToLower(string(k))
}
