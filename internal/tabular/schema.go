package tabular

import (
	"encoding/json"
	"slices"

	"github.com/weir-ml/weir/registry/feature"
)

// SchemaTypes gives the types that a JSON Schema declares for an event's fields,
// by dotted path: number, integer, boolean, arrays; the rest is left out. Only
// properties are followed, which is enough to tell a number from a text.
func SchemaTypes(schema []byte) map[string]feature.Type {
	types := map[string]feature.Type{}
	var walk func(prefix string, raw []byte, depth int)
	walk = func(prefix string, raw []byte, depth int) {
		var s struct {
			Type       any                        `json:"type"`
			Properties map[string]json.RawMessage `json:"properties"`
			Items      json.RawMessage            `json:"items"`
		}
		if depth > 32 || json.Unmarshal(raw, &s) != nil {
			return
		}
		names := []any{s.Type}
		if list, ok := s.Type.([]any); ok {
			names = list
		}
		switch {
		case slices.Contains(names, "string"):
		case slices.Contains(names, "number"):
			types[prefix] = feature.Float64
		case slices.Contains(names, "integer"):
			types[prefix] = feature.Int64
		case slices.Contains(names, "boolean"):
			types[prefix] = feature.Bool
		case slices.Contains(names, "array"):
			types[prefix] = feature.Array(itemType(s.Items))
		}
		for name, p := range s.Properties {
			path := name
			if prefix != "" {
				path = prefix + "." + name
			}
			walk(path, p, depth+1)
		}
	}
	walk("", schema, 0)
	delete(types, "")
	return types
}

// itemType is the type of an array's items, string where the schema has no other.
func itemType(items []byte) feature.Type {
	var s struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(items, &s) // several types, none, or one schema for each: texts
	switch s.Type {
	case "number":
		return feature.Float64
	case "integer":
		return feature.Int64
	case "boolean":
		return feature.Bool
	}
	return feature.String
}
