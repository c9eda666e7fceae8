package profile

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// object is a JSON object whose members keep their order.
type object []Kwarg

func (o object) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := encode(m.Name)
		if err != nil {
			return nil, err
		}
		v, err := encode(m.Value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", k, v)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// Schema is a JSON Schema (2020-12) that every row passes as the event it would
// be, with the evidence as $comment.
func (p *Profiler) Schema(source string) ([]byte, error) {
	var required []string
	props := object{}
	for _, c := range p.cols {
		if !p.o.JSONText && strings.Contains(c.name, ".") {
			continue // as an event it is a member of a member
		}
		if c.nulls == 0 && p.rows > 0 {
			required = append(required, c.name)
		}
		props = append(props, Kwarg{c.name, c.schema(p.rows, p.o.JSONText)})
	}
	s := object{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$comment", fmt.Sprintf("Proposed by a look at %s of %s. It holds for all of them: edit it.", plural(p.rows, "row"), source)},
		{"type", "object"}}
	if len(required) > 0 {
		s = append(s, Kwarg{"required", required})
	}
	s = append(s, Kwarg{"properties", props})
	raw, err := encode(s)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err = e.Encode(raw)
	return []byte(out.String()), err
}

func (c *column) schema(rows int64, jsonText bool) object {
	out := object{{"$comment", c.about(rows).About}}
	typ := ""
	switch c.typ {
	case feature.Bool:
		typ = "boolean"
	case feature.Int32, feature.Int64:
		typ = "integer"
	case feature.Float32, feature.Float64:
		typ = "number"
	case feature.String, feature.Bytes, feature.Timestamp:
		typ = "string"
	}
	if c.nested {
		typ = c.text.container()
	}
	if c.present == 0 || typ == "" || c.odd || jsonText && c.typ == feature.String {
		return out // the text of JSON lines may have been an object or a number: nothing is known of its type
	}
	if c.nested {
		if c.nulls > 0 {
			return append(out, Kwarg{"type", []string{typ, "null"}})
		}
		return append(out, Kwarg{"type", typ})
	}
	nullable := c.nulls > 0 || c.text != nil && c.text.empty // an empty text of a CSV is null in the event
	if nullable {
		out = append(out, Kwarg{"type", []string{typ, "null"}})
	} else {
		out = append(out, Kwarg{"type", typ})
	}
	for _, r := range c.rules(rows) {
		if r.Whole {
			continue
		}
		for _, k := range r.Kwargs {
			switch r.Type + " " + k.Name {
			case "expect_column_values_to_be_in_set value_set":
				vals := k.Value.([]any)
				if nullable {
					vals = append(append([]any{}, vals...), nil)
				}
				out = append(out, Kwarg{"enum", vals})
			case "expect_column_values_to_be_between min_value":
				if c.typ.Numeric() {
					out = append(out, Kwarg{"minimum", k.Value})
				}
			case "expect_column_values_to_be_between max_value":
				if c.typ.Numeric() {
					out = append(out, Kwarg{"maximum", k.Value})
				}
			case "expect_column_value_lengths_to_be_between min_value":
				out = append(out, Kwarg{"minLength", k.Value})
			case "expect_column_value_lengths_to_be_between max_value":
				out = append(out, Kwarg{"maxLength", k.Value})
			case "expect_column_values_to_match_regex regex":
				out = append(out, Kwarg{"pattern", k.Value})
			case "expect_column_values_to_match_strftime_format strftime_format":
				if k.Value == "%Y-%m-%d" {
					out = append(out, Kwarg{"format", "date"})
				}
			}
		}
	}
	if c.typ == feature.Timestamp {
		out = append(out, Kwarg{"format", "date-time"})
	}
	return out
}
