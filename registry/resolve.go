package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// refFault is a fault of a definition, by its name.
type refFault struct {
	ref feature.Ref
	feature.Fault
}

// item is a definition on its way into a catalog. The catalog takes it over and
// fills in its resolved fields.
type item struct {
	def     feature.Definition
	version int
}

// build makes a catalog and resolves all references. The faults are those that
// show only between definitions; with any, the catalog is good for looking
// things up by name and nothing else.
//
// broken names definitions that are wanted but cannot be read: that others do
// not find them is no fault of those.
func build(revision int64, items []item, broken map[feature.Ref]bool) (*Catalog, []refFault) {
	c := &Catalog{
		revision: revision,
		defs:     make(map[feature.Ref]feature.Definition, len(items)),
		versions: make(map[feature.Ref]int, len(items)),
		users:    map[feature.Ref][]feature.Ref{},
	}
	for _, it := range items {
		ref := RefOf(it.def)
		c.defs[ref], c.versions[ref] = it.def, it.version
	}
	b := &builder{c: c, broken: broken}
	for _, ref := range c.refs() { // kinds in order: what a definition needs is resolved before it
		b.ref = ref
		b.add(c.defs[ref])
	}
	return c, b.faults
}

type builder struct {
	c      *Catalog
	broken map[feature.Ref]bool
	ref    feature.Ref // the definition being resolved
	faults []refFault
}

func (b *builder) fault(field, format string, args ...any) {
	b.faults = append(b.faults, refFault{b.ref, feature.Fault{Field: field, Msg: fmt.Sprintf(format, args...)}})
}

func (b *builder) add(d feature.Definition) {
	c := b.c
	for _, r := range d.Refs() {
		if !slices.Contains(c.users[r], b.ref) {
			c.users[r] = append(c.users[r], b.ref) // in order, because refs come in order
		}
	}
	switch d := d.(type) {
	case *feature.Entity:
		c.entities = append(c.entities, d)
	case *feature.Source:
		c.sources = append(c.sources, d)
	case *feature.Suite:
		d.Version = c.versions[b.ref]
		c.suites = append(c.suites, d)
	case *feature.View:
		d.Version = c.versions[b.ref]
		b.view(d)
		c.views = append(c.views, d)
	case *feature.Service:
		d.Version = c.versions[b.ref]
		b.service(d)
		c.services = append(c.services, d)
	case *feature.Monitor:
		d.Version = c.versions[b.ref]
		b.monitor(d)
		c.monitors = append(c.monitors, d)
	}
}

// lookup finds what a field names, and reports where there is none. Empty names
// are Check's to report.
func (b *builder) lookup(k feature.Kind, name, field string) feature.Definition {
	if name == "" {
		return nil
	}
	ref := feature.Ref{Kind: k, Project: b.ref.Project, Name: name}
	d, ok := b.c.defs[ref]
	if b.broken[ref] {
		return nil
	}
	if !ok {
		b.fault(field, "there is no %s %q in project %s: %s", k, name, b.ref.Project,
			orElse(suggest.Phrase(name, b.c.names(k, b.ref.Project)), "apply it first, or together with this"))
		return nil
	}
	return d
}

func (b *builder) view(v *feature.View) {
	if s, ok := b.lookup(feature.KindSource, v.Source, "spec.source").(*feature.Source); ok {
		v.SourceOf = s
	}
	if s, ok := b.lookup(feature.KindSuite, v.Suite, "spec.suite").(*feature.Suite); ok {
		v.SuiteOf = s
	}
	if s, ok := b.lookup(feature.KindSuite, v.ShadowSuite, "spec.shadow_suite").(*feature.Suite); ok {
		v.ShadowOf = s
	}
	v.Keys = nil
	owner := map[string]string{} // join key -> entity
	complete := true
	for i, name := range v.Entities {
		e, ok := b.lookup(feature.KindEntity, name, fmt.Sprintf("spec.entities[%d]", i)).(*feature.Entity)
		if !ok {
			complete = false
			continue
		}
		for _, k := range e.JoinKeys {
			if other, dup := owner[k.Name]; dup && other != name {
				b.fault(fmt.Sprintf("spec.entities[%d]", i), "join key %q of Entity %s is also one of Entity %s: a view's columns need different names", k.Name, name, other)
				continue
			}
			owner[k.Name] = name
			k.Path = k.Name
			if p := v.KeyPaths[k.Name]; p != "" {
				k.Path = p
			}
			v.Keys = append(v.Keys, k)
		}
	}
	for i, x := range v.Features {
		if e, dup := owner[x.Name]; dup {
			b.fault(fmt.Sprintf("spec.features[%d].name", i), "%q is a join key of Entity %s: a view's columns need different names; give the feature another one and set path: %s", x.Name, e, x.EventPath())
		}
	}
	if !complete {
		return
	}
	keys := make([]string, 0, len(v.Keys))
	for _, k := range v.Keys {
		keys = append(keys, k.Name)
	}
	for _, k := range sortedKeys(v.KeyPaths) {
		switch {
		case owner[k] == "":
			b.fault("spec.keys."+k, "no entity of this view has a join key %q: %s", k,
				orElse(suggest.Phrase(k, keys), "they have "+strings.Join(keys, ", ")))
		case v.KeyPaths[k] == "":
			b.fault("spec.keys."+k, "the path in the event is required, or leave the key out")
		}
	}
}

func (b *builder) service(s *feature.Service) {
	faults := s.Resolve(func(name string) *feature.View {
		v, _ := b.c.defs[feature.Ref{Kind: feature.KindView, Project: b.ref.Project, Name: name}].(*feature.View)
		return v
	})
	for _, f := range faults {
		v, hint := b.serviceHint(s, f.Field)
		if b.broken[feature.Ref{Kind: feature.KindView, Project: b.ref.Project, Name: v}] {
			continue
		}
		if hint != "" {
			f.Msg += ": " + hint
		}
		b.faults = append(b.faults, refFault{b.ref, f})
	}
}

// serviceHint finds the view that spec.features[i] names, and the name that was meant.
func (b *builder) serviceHint(s *feature.Service, field string) (view, hint string) {
	var i int
	if n, _ := fmt.Sscanf(field, "spec.features[%d]", &i); n != 1 || i >= len(s.Features) {
		return "", ""
	}
	vn, fn, _ := strings.Cut(s.Features[i], ":")
	v, ok := b.c.defs[feature.Ref{Kind: feature.KindView, Project: b.ref.Project, Name: vn}].(*feature.View)
	if !ok {
		return vn, suggest.Phrase(vn, b.c.names(feature.KindView, b.ref.Project))
	}
	if now := renamedTo(v, fn); now != "" {
		return vn, now
	}
	return vn, suggest.Phrase(fn, featureNames(v))
}

// renamedTo says what a feature that the view had is called now.
func renamedTo(v *feature.View, name string) string {
	if now := v.NowCalled(name); now != "" {
		return fmt.Sprintf("it is called %s now", now)
	}
	return ""
}

func (b *builder) monitor(m *feature.Monitor) {
	v, ok := b.lookup(feature.KindView, m.View, "spec.view").(*feature.View)
	if ok {
		m.ViewOf = v
		names := featureNames(v)
		for i, x := range m.Features {
			at := v.Feature(x)
			if at < 0 {
				b.fault(fmt.Sprintf("spec.features[%d]", i), "FeatureView %q has no feature %q: %s", m.View, x,
					orElse(orElse(renamedTo(v, x), suggest.Phrase(x, names)), "it has "+strings.Join(names, ", ")))
			} else if t := v.Features[at].Type; t.IsArray() {
				b.fault(fmt.Sprintf("spec.features[%d]", i), "%s is %s, and there is no distribution of arrays to compare: name features that are single values; a monitor that names none counts the nulls of arrays", x, t)
			}
		}
	}
	b.lookup(feature.KindService, m.Retrain.Service, "spec.retrain.service")
	b.performance(m)
}

// performance resolves the outcomes of a monitor that judges predictions.
func (b *builder) performance(m *feature.Monitor) {
	p := m.Performance
	if p == nil {
		return
	}
	const at = "spec.performance"
	has := func(v *feature.View, name, field string) bool {
		if name == "" || v == nil || v.Feature(name) >= 0 {
			return name != "" && v != nil
		}
		names := featureNames(v)
		b.fault(field, "FeatureView %q has no feature %q: %s", v.Meta.Name, name,
			orElse(orElse(renamedTo(v, name), suggest.Phrase(name, names)), "it has "+strings.Join(names, ", ")))
		return false
	}
	outcomes, _ := b.lookup(feature.KindView, p.Outcomes.View, at+".outcomes.view").(*feature.View)
	p.Outcomes.ViewOf = outcomes
	if has(m.ViewOf, p.Prediction, at+".prediction") && has(outcomes, p.Outcomes.Label, at+".outcomes.label") {
		for _, f := range p.Fits(m.ViewOf, outcomes) {
			b.faults = append(b.faults, refFault{b.ref, f})
		}
	}
}

func featureNames(v *feature.View) []string {
	out := make([]string, len(v.Features))
	for i, x := range v.Features {
		out[i] = x.Name
	}
	return out
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
