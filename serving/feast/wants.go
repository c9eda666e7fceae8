package feast

import (
	"encoding/json"
	"slices"
	"strings"
)

// schemaNode is what is read of a JSON Schema: which names it wants, and where.
type schemaNode struct {
	Required   []string                   `json:"required"`
	Properties map[string]json.RawMessage `json:"properties"`
	AllOf      []json.RawMessage          `json:"allOf"`
	Ref        string                     `json:"$ref"`
}

// A schema may refer to itself: it is followed along the paths that events have, and no further than this.
const (
	mostDeep  = 16
	mostNodes = 10_000
)

// namesOf are the paths that a schema wants wherever what they are in is there, and the names that it knows at the top. A schema that is absent or of
// another shape wants nothing by name. paths are those that events may have.
func namesOf(schema []byte, paths []string) (wanted, known map[string]bool) {
	wanted, known = map[string]bool{}, map[string]bool{}
	nodes := 0
	var walk func(raw []byte, prefix string, left int)
	walk = func(raw []byte, prefix string, left int) {
		var n schemaNode
		if nodes++; left == 0 || nodes > mostNodes || json.Unmarshal(raw, &n) != nil {
			return
		}
		for _, r := range n.Required {
			wanted[prefix+r] = true
		}
		for name, p := range n.Properties {
			if prefix == "" {
				known[name] = true
			}
			if under := prefix + name + "."; slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, under) }) {
				walk(p, under, left-1)
			}
		}
		for _, p := range n.AllOf {
			walk(p, prefix, left-1)
		}
		if n.Ref != "" {
			walk(pointed(schema, n.Ref), prefix, left-1)
		}
	}
	walk(schema, "", mostDeep)
	return wanted, known
}

// pointed is the part of a schema that a reference within it names; nil of any other.
func pointed(schema []byte, ref string) []byte {
	rest, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	at := schema
	for name := range strings.SplitSeq(strings.TrimPrefix(rest, "/"), "/") {
		if name == "" {
			continue
		}
		var o map[string]json.RawMessage
		if json.Unmarshal(at, &o) != nil {
			return nil
		}
		at = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	return at
}
