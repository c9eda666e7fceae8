package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// SchemaRule is a keyword of a schema and the place in the event that it is
// about: "maximum" at "items[].price". The keyword is decode for what is no JSON.
type SchemaRule struct {
	Keyword string
	Path    string
}

func (r SchemaRule) String() string {
	if r.Path == "" {
		return r.Keyword
	}
	return fmt.Sprintf("%s: %s", r.Path, r.Keyword)
}

// checking are the keywords that say what a value must be.
var checking = []string{"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	"minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "contains", "minProperties", "maxProperties",
	"additionalProperties", "propertyNames", "anyOf", "oneOf", "not"}

const maxRuleDepth = 32

// schemaRules lists the rules that stand plainly in a schema, in its order: a
// report can name those that hold. What references, combinations and
// conditions add is named only where it is broken.
func schemaRules(raw []byte) []SchemaRule {
	var out []SchemaRule
	var walk func(raw json.RawMessage, path string, depth int)
	walk = func(raw json.RawMessage, path string, depth int) {
		for _, m := range members(raw) {
			switch {
			case depth > maxRuleDepth:
			case m.name == "properties":
				for _, p := range members(m.value) {
					at := p.name
					if path != "" {
						at = path + "." + p.name
					}
					walk(p.value, at, depth+1)
				}
			case m.name == "items":
				walk(m.value, path+"[]", depth+1)
			case m.name == "required":
				var names []string
				_ = json.Unmarshal(m.value, &names) // anything else is refused when the schema is compiled
				for _, n := range names {
					at := n
					if path != "" {
						at = path + "." + n
					}
					out = append(out, SchemaRule{"required", at})
				}
			case m.name == "additionalProperties" && string(m.value) != "false":
			case slices.Contains(checking, m.name):
				out = append(out, SchemaRule{m.name, path})
			}
		}
	}
	walk(raw, "", 0)
	return out
}

type member struct {
	name  string
	value json.RawMessage
}

// members are those of an object in the order of the text; none of anything else.
func members(raw json.RawMessage) (out []member) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return out
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil && err != io.EOF {
			return out
		}
		out = append(out, member{name, v})
	}
	return out
}
