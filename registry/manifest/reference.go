package manifest

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry/feature"
)

// What Great Expectations writes beside what a suite says. Fields it does not
// write are faults: a "mostly" next to "kwargs" would have no effect, silently.
var (
	suiteExtras       = []string{"name", "id", "meta", "notes", "suite_parameters", "evaluation_parameters", "data_asset_type", "ge_cloud_id", "data_context_id"}
	expectationExtras = []string{"description", "rendered_content", "success_on_last_run", "ge_cloud_id", "expectation_context"}
)

// standsFor says which field a file is named instead of.
var standsFor = map[string]string{"schema_file": "schema", "event_schema_file": "event_schema", "file": "expectations"}

// references are the fields that stand in for another field by naming a file.
func (d *decoder) references(f File, def feature.Definition) map[string]extra {
	switch def := def.(type) {
	case *feature.Source:
		return map[string]extra{"schema_file": func(n *yaml.Node, path string) {
			if root, sub := d.open(f, n, path); root != nil {
				d.doc.mark("spec.schema", sub.file, root)
				def.Schema, _ = sub.json(root, "spec.schema", 2)
			}
		}, "event_schema_file": func(n *yaml.Node, path string) {
			if root, sub := d.open(f, n, path); root != nil {
				d.doc.mark("spec.event_schema", sub.file, root)
				def.EventSchema, _ = sub.json(root, "spec.event_schema", 2)
			}
		}}
	case *feature.Suite:
		return map[string]extra{"file": func(n *yaml.Node, path string) {
			if root, sub := d.open(f, n, path); root != nil {
				sub.foreign, sub.ignored = true, expectationExtras
				sub.suite(root, def)
			}
		}}
	}
	return nil
}

// open reads the file that n names and returns its root, and a decoder for it.
func (d *decoder) open(f File, n *yaml.Node, path string) (*yaml.Node, *decoder) {
	stands := "spec." + standsFor[path[len("spec."):]]
	// Whatever goes wrong here is the reason why the field it stands for is absent.
	bad := func(format string, args ...any) (*yaml.Node, *decoder) {
		d.fault(n, path, format, args...)
		d.doc.bad[stands] = true
		return nil, nil
	}
	var name string
	before := len(*d.faults)
	d.value(n, reflect.ValueOf(&name).Elem(), path, 2)
	if len(*d.faults) > before {
		d.doc.bad[stands] = true
		return nil, nil
	}
	switch {
	case name == "":
		return bad("the name of a file is required")
	case f.Open == nil:
		return bad("a file can be named only in a manifest that is a file itself: write its content here")
	}
	data, err := f.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("there is no file %q: the name is relative to the manifest", name)
	case err != nil:
		return bad("%q cannot be read: %v", name, err)
	}
	full := name
	if !filepath.IsAbs(name) {
		full = filepath.Join(filepath.Dir(f.Name), filepath.FromSlash(name))
	}
	var root *yaml.Node
	var faults []Fault
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml":
		var all []*yaml.Node
		if all, faults = nodes(full, data); len(all) != 1 && len(faults) == 0 {
			return bad("%q must hold one document (it has %d)", name, len(all))
		} else if len(all) > 0 {
			root = all[0]
		}
	case ".proto":
		root = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.LiteralStyle, Value: string(data), Line: 1, Column: 1}
	default:
		root, faults = jsonNode(full, data)
	}
	if len(faults) > 0 {
		d.doc.bad[stands] = true
		*d.faults = append(*d.faults, faults...)
		return nil, nil
	}
	return root, &decoder{doc: d.doc, file: full, faults: d.faults, budget: maxNodes}
}

// suite reads a Great Expectations suite.
func (d *decoder) suite(n *yaml.Node, s *feature.Suite) {
	if n = d.enter(n, "spec.expectations", 1); n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, "spec.expectations", "a Great Expectations suite is a map with name and expectations")
		return
	}
	entries := d.entries(n, "spec", 1)
	names := map[string]bool{}
	for _, e := range entries {
		names[e.name] = true
	}
	if !names["expectations"] {
		d.fault(n, "spec.expectations", "this is not a Great Expectations suite: it has no expectations")
		return
	}
	for _, e := range entries {
		switch {
		case e.name == "expectations":
			d.doc.mark("spec.expectations", d.file, e.key)
			d.value(e.value, reflect.ValueOf(&s.Expectations).Elem(), "spec.expectations", 2)
		case e.name == "expectation_suite_name":
			d.fault(e.key, "spec.expectations", "this suite is of Great Expectations before 1.0: save it with a current version")
		case !slices.Contains(suiteExtras, e.name):
			d.unknown(e, "spec."+e.name, "spec", append([]string{"expectations"}, suiteExtras...), names)
		}
	}
}
