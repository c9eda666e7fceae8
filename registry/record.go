package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// DefaultProject is the project of a definition that names none.
const DefaultProject = "default"

// RefOf names a definition.
func RefOf(d feature.Definition) feature.Ref {
	m := d.GetMeta()
	return feature.Ref{Kind: d.Kind(), Project: m.Project, Name: m.Name}
}

// Empty returns an empty definition of the kind, nil for an unknown kind.
func Empty(k feature.Kind) feature.Definition {
	switch k {
	case feature.KindEntity:
		return &feature.Entity{}
	case feature.KindSource:
		return &feature.Source{}
	case feature.KindView:
		return &feature.View{}
	case feature.KindService:
		return &feature.Service{}
	case feature.KindSuite:
		return &feature.Suite{}
	case feature.KindMonitor:
		return &feature.Monitor{}
	}
	return nil
}

// Encode is the stored form of a definition: JSON without its resolved fields.
func Encode(d feature.Definition) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("%s: %w", RefOf(d), err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Decode reads what Encode wrote. Unknown fields are refused: they come from a
// newer program, and writing the definition back would lose them.
func Decode(k feature.Kind, body []byte) (feature.Definition, error) {
	d := Empty(k)
	if d == nil {
		return nil, fmt.Errorf("unknown kind %q", k)
	}
	j := json.NewDecoder(bytes.NewReader(body))
	j.DisallowUnknownFields()
	if err := j.Decode(d); err != nil {
		return nil, err
	}
	return d, nil
}

// normal returns a copy of a definition that shares nothing with it, in the one
// form in which equal definitions are stored equally.
func normal(d feature.Definition, project string) (feature.Definition, error) {
	body, err := Encode(d)
	if err != nil {
		return nil, err
	}
	c, err := Decode(d.Kind(), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", RefOf(d), err)
	}
	if m := c.GetMeta(); m.Project == "" {
		m.Project = project
	}
	switch c := c.(type) {
	case *feature.Monitor:
		c.Reference.From, c.Reference.To = c.Reference.From.UTC(), c.Reference.To.UTC()
	case *feature.Suite:
		for i := range c.Expectations {
			if c.Expectations[i].Kwargs == nil {
				c.Expectations[i].Kwargs = map[string]json.RawMessage{}
			}
		}
	}
	return c, nil
}

// compareRefs orders by kind (as they may refer to each other), project and name.
func compareRefs(a, b feature.Ref) int {
	if a.Kind != b.Kind {
		return slices.Index(feature.Kinds, a.Kind) - slices.Index(feature.Kinds, b.Kind)
	}
	if a.Project != b.Project {
		if a.Project < b.Project {
			return -1
		}
		return 1
	}
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
