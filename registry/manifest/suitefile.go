package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// SuiteFile is a suite that stands in a file of its own.
type SuiteFile struct {
	Suite *feature.Suite
	Doc   *Doc // where its fields stand
	// Name is what the file calls the suite: Great Expectations takes any text,
	// which a definition's name may not be.
	Name string
	// Parameters are the values that the file gives its own {"$PARAMETER": ...}.
	Parameters map[string]json.RawMessage
}

// LoadSuite reads a suite of Great Expectations as it saves it (JSON, or the
// same as YAML), or a manifest with a definition of kind ExpectationSuite. name
// chooses among several; "" where there is one.
func LoadSuite(path, name string) (*SuiteFile, []Fault, error) {
	f, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	if len(bytes.TrimSpace(f.Data)) == 0 {
		return nil, nil, feature.Errorf(feature.Invalid, "manifest.load", path, "the file is empty").WithHint("a suite is a map with name and expectations")
	}
	f.Data = finite(f.Data)
	foreign, root, faults := foreignSuite(f)
	if len(faults) > 0 {
		return nil, faults, nil
	}
	if foreign {
		return gxSuite(f, root)
	}
	docs, faults := Parse([]File{f})
	if len(faults) > 0 {
		return nil, faults, nil
	}
	var found []*Doc
	var names []string
	for _, d := range docs {
		if d.Definition.Kind() == feature.KindSuite {
			found, names = append(found, d), append(names, d.Definition.GetMeta().Name)
		}
	}
	i := slices.Index(names, name)
	switch {
	case len(found) == 0:
		return nil, nil, feature.Errorf(feature.Invalid, "manifest.load", path, "there is no ExpectationSuite in this file").
			WithHint("give a Great Expectations suite, or a manifest with kind: ExpectationSuite")
	case name == "" && len(found) > 1:
		return nil, nil, feature.Errorf(feature.Invalid, "manifest.load", path, "there are %d suites in this file", len(found)).
			WithHint("choose one of %s", strings.Join(names, ", "))
	case name == "":
		i = 0
	case i < 0:
		hint := suggest.Phrase(name, names)
		return nil, nil, feature.Errorf(feature.NotFound, "manifest.load", path, "there is no suite %q in this file", name).
			WithHint("%s", orElse(hint, "there are "+strings.Join(names, ", ")))
	}
	s := found[i].Definition.(*feature.Suite)
	return &SuiteFile{Suite: s, Doc: found[i], Name: s.Meta.Name}, nil, nil
}

// finite writes Python's Infinity, which JSON does not have, as a number of as many
// characters that is one: every reader of numbers makes infinity of it.
func finite(data []byte) []byte {
	if !bytes.Contains(data, []byte("Infinity")) {
		return data
	}
	out, text := bytes.Clone(data), false
	for i := 0; i < len(out); i++ {
		switch {
		case text && out[i] == '\\':
			i++
		case out[i] == '"':
			text = !text
		case !text && bytes.HasPrefix(out[i:], []byte("Infinity")):
			i += copy(out[i:], "1e999999") - 1
		}
	}
	return out
}

// foreignSuite tells a suite of Great Expectations from a manifest, and reads its document.
func foreignSuite(f File) (foreign bool, root *yaml.Node, faults []Fault) {
	if b := bytes.TrimSpace(f.Data); b[0] == '{' {
		if root, faults = jsonNode(f.Name, f.Data); len(faults) > 0 {
			return false, nil, faults
		}
	} else {
		all, fs := nodes(f.Name, f.Data)
		if len(fs) > 0 || len(all) != 1 {
			return false, nil, nil // Parse says what is wrong with it
		}
		root = all[0]
	}
	if root.Kind != yaml.MappingNode {
		return false, nil, []Fault{{Position{f.Name, root.Line, root.Column}, "", "a suite is a map with name and expectations"}}
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if k := root.Content[i].Value; k == "apiVersion" || k == "kind" {
			return false, nil, nil
		}
	}
	return true, root, nil
}

// gxSuite reads a suite as Great Expectations saves it.
func gxSuite(f File, root *yaml.Node) (*SuiteFile, []Fault, error) {
	out := &SuiteFile{Suite: &feature.Suite{}, Parameters: map[string]json.RawMessage{}}
	out.Doc = &Doc{Definition: out.Suite, start: Position{f.Name, root.Line, root.Column}, fields: map[string]Position{}, bad: map[string]bool{}, said: map[string]bool{}}
	var faults []Fault
	d := &decoder{doc: out.Doc, file: f.Name, faults: &faults, budget: maxNodes, foreign: true, ignored: expectationExtras}
	d.suite(root, out.Suite)
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		switch k.Value {
		case "name":
			out.Name = v.Value
		case "suite_parameters":
			if b, ok := d.json(v, "spec.suite_parameters", 1); ok && v.Kind == yaml.MappingNode {
				if err := json.Unmarshal(b, &out.Parameters); err != nil {
					return nil, nil, feature.Errorf(feature.Invalid, "manifest.load", f.Name, "suite_parameters: %w", err)
				}
			}
		}
	}
	if out.Name == "" {
		out.Name = strings.TrimSuffix(filepath.Base(f.Name), filepath.Ext(f.Name))
	}
	out.Suite.Meta.Name = "suite" // a name of the file's may not be one of ours
	faults = append(faults, out.Doc.Faults(out.Suite.Check()...)...)
	out.Suite.Meta.Name = out.Name
	return out, Sort(faults), nil
}

// WithParameters is what {"$PARAMETER": ...} of the suite stand for: the file's
// own values, and given ones before those. A given one that no expectation asks
// for is a fault: it would change nothing, silently.
func (s *SuiteFile) WithParameters(given map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	all := maps.Clone(s.Parameters)
	if all == nil {
		all = map[string]json.RawMessage{}
	}
	asked := map[string]bool{}
	for i := range s.Suite.Expectations {
		for _, raw := range s.Suite.Expectations[i].Kwargs {
			parametersOf(raw, asked)
		}
	}
	for name, v := range given {
		if !asked[name] {
			names := slices.Sorted(maps.Keys(asked))
			hint := "the suite has no parameters"
			if len(names) > 0 {
				hint = orElse(suggest.Phrase(name, names), "it asks for "+strings.Join(names, ", "))
			}
			return nil, feature.Errorf(feature.Invalid, "suite.parameter", name, "no expectation of suite %s asks for it", s.Name).WithHint("%s", hint)
		}
		all[name] = v
	}
	return all, nil
}

// parametersOf collects the names in {"$PARAMETER": name} of a value.
func parametersOf(raw json.RawMessage, into map[string]bool) {
	if !bytes.Contains(raw, []byte(`"$PARAMETER"`)) {
		return
	}
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if name, ok := v["$PARAMETER"]; ok {
				into[fmt.Sprint(name)] = true
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(v)
}
