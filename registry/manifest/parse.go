package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// APIVersion is what every document says.
const APIVersion = "weir/v1"

var topFields = []string{"apiVersion", "kind", "metadata", "spec"}

// Parse reads all documents of all files and checks each definition on its own.
// It returns every document whose kind is known, also faulty ones, so that what
// is wrong between definitions can be found in the same go (see Docs.Explain).
// The faults are sorted.
func Parse(files []File) (Docs, []Fault) {
	var docs Docs
	var faults []Fault
	first := map[feature.Ref]Position{}
	for _, f := range files {
		ns, fs := nodes(f.Name, f.Data)
		faults = append(faults, fs...)
		for _, n := range ns {
			d := document(f, n, &faults)
			if d == nil {
				continue
			}
			docs = append(docs, d)
			for _, x := range d.Faults(d.Definition.Check()...) {
				d.said[x.Field] = true // the plan need not say it again
				faults = append(faults, x)
			}
			ref := registry.RefOf(d.Definition)
			if at, twice := first[ref]; twice && ref.Name != "" {
				d.said["metadata.name"] = true
				faults = append(faults, Fault{d.Position("metadata.name"), "metadata.name",
					fmt.Sprintf("%s %s is defined twice (first at %s): remove or rename one", ref.Kind, ref.Name, at)})
				continue
			}
			first[ref] = d.Position("metadata.name")
		}
	}
	return docs, Sort(faults)
}

// document reads one document; nil when it cannot be told what it is.
func document(f File, n *yaml.Node, faults *[]Fault) *Doc {
	doc := &Doc{start: Position{f.Name, n.Line, n.Column}, fields: map[string]Position{}, bad: map[string]bool{}, said: map[string]bool{}}
	d := &decoder{doc: doc, file: f.Name, faults: faults, budget: maxNodes}
	if n = d.enter(n, "", 0); n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, "", "a definition is a map with apiVersion, kind, metadata and spec")
		return nil
	}
	top := map[string]entry{}
	for _, e := range d.entries(n, "", 0) {
		if !slices.Contains(topFields, e.name) {
			d.fault(e.key, e.name, "there is no such field: %s", orElse(suggest.Phrase(e.name, topFields), "a definition has "+strings.Join(topFields, ", ")))
			if meant := suggest.Nearest(e.name, topFields); meant != "" {
				doc.bad[meant] = true
			}
			continue
		}
		d.markEntry(e.name, e)
		top[e.name] = e
	}
	d.apiVersion(n, top)
	def := d.kind(n, top)
	meta := &feature.Meta{}
	if def != nil {
		doc.Definition, meta = def, def.GetMeta()
	}
	if e, ok := d.section(n, top, "metadata"); ok {
		d.value(e, reflect.ValueOf(meta).Elem(), "metadata", 1)
	}
	if def == nil {
		return nil
	}
	if e, ok := d.section(n, top, "spec"); ok {
		d.spec(f, def, e)
	}
	return doc
}

func (d *decoder) apiVersion(n *yaml.Node, top map[string]entry) {
	e, ok := top["apiVersion"]
	if !ok {
		d.missing(n, "apiVersion", "write apiVersion: "+APIVersion)
		return
	}
	var s string
	d.value(e.value, reflect.ValueOf(&s).Elem(), "apiVersion", 1)
	if s != "" && s != APIVersion {
		d.fault(e.value, "apiVersion", "%q is not supported: write apiVersion: %s", s, APIVersion)
	}
}

func (d *decoder) kind(n *yaml.Node, top map[string]entry) feature.Definition {
	kinds := make([]string, len(feature.Kinds))
	for i, k := range feature.Kinds {
		kinds[i] = string(k)
	}
	e, ok := top["kind"]
	if !ok {
		d.missing(n, "kind", "write one of "+strings.Join(kinds, ", "))
		return nil
	}
	var s string
	d.value(e.value, reflect.ValueOf(&s).Elem(), "kind", 1)
	def := registry.Empty(feature.Kind(s))
	if def == nil && s != "" {
		hint := suggest.Phrase(s, kinds)
		if k, err := feature.ParseKind(s); err == nil {
			hint = fmt.Sprintf("did you mean %q?", k)
		}
		d.fault(e.value, "kind", "there is no kind %q: %s", s, orElse(hint, "use one of "+strings.Join(kinds, ", ")))
	}
	return def
}

func (d *decoder) missing(n *yaml.Node, field, hint string) {
	if !d.doc.bad[field] {
		d.fault(n, field, "it is missing: %s", hint)
	}
}

// section finds metadata or spec.
func (d *decoder) section(n *yaml.Node, top map[string]entry, name string) (*yaml.Node, bool) {
	e, ok := top[name]
	if !ok {
		d.missing(n, name, "every definition has one")
		return nil, false
	}
	return e.value, true
}

func (d *decoder) spec(f File, def feature.Definition, n *yaml.Node) {
	if n = d.enter(n, "spec", 1); n == nil {
		return
	}
	if n.ShortTag() == "!!null" {
		d.fault(n, "spec", "it has no value: give it the fields of a %s", def.Kind())
		return
	}
	d.structure(n, reflect.ValueOf(def).Elem(), "spec", 1, d.references(f, def))
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
