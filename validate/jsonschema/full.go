package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	full "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// fullValid asks the full engine. The event has passed the scanner's bounds, so
// no number of it is dear and no nesting of it is deep.
func (c *Checker) fullValid() error {
	v, _ := c.tree(0)
	return c.schema.engine.Validate(v)
}

func (c *Checker) fullReasons() []feature.Reason {
	var ve *full.ValidationError
	if !errors.As(c.fullValid(), &ve) {
		return nil
	}
	return reasonsOf(ve, false, func(at []string) string {
		i := uint32(0)
		for _, tok := range at {
			n := &c.doc.Nodes[i]
			if n.Kind == jsonscan.Array {
				k, err := strconv.Atoi(tok)
				if err != nil || k < 0 || k >= int(n.Len) {
					return ""
				}
				for i++; k > 0; k-- {
					i = c.doc.Nodes[i].Next
				}
			} else if i = c.doc.Find(i, tok); i == 0 {
				return ""
			}
		}
		return feature.Shorten(c.doc.AppendText(nil, i))
	})
}

// tree builds what the full engine works on.
func (c *Checker) tree(i uint32) (any, uint32) {
	n := c.doc.Nodes[i]
	switch n.Kind {
	case jsonscan.False, jsonscan.True:
		return n.Kind == jsonscan.True, n.Next
	case jsonscan.Number:
		return json.Number(c.doc.Raw(i)), n.Next
	case jsonscan.String:
		return string(c.doc.AppendText(nil, i)), n.Next
	case jsonscan.Array:
		a := make([]any, 0, n.Len)
		for m := i + 1; m < n.Next; {
			var v any
			v, m = c.tree(m)
			a = append(a, v)
		}
		return a, n.Next
	case jsonscan.Object:
		o := make(map[string]any, n.Len)
		for m := i + 1; m < n.Next; {
			key, _ := c.doc.KeyText(m, nil)
			o[string(key)], m = c.tree(m)
		}
		return o, n.Next
	}
	return nil, n.Next
}

// reasonsOf flattens the engine's error into its failing keywords, in the terms
// explainer uses. For the author of a schema, deep says more about alternatives.
func reasonsOf(ve *full.ValidationError, deep bool, value func(at []string) string) []feature.Reason {
	printer := message.NewPrinter(language.English)
	var out []feature.Reason
	add := func(r feature.Reason) {
		for _, o := range out {
			if o == r {
				return
			}
		}
		if len(out) < atMost {
			out = append(out, r)
		}
	}
	var walk func(e *full.ValidationError)
	walk = func(e *full.ValidationError) {
		path := dotted(e.InstanceLocation)
		r := feature.Reason{Path: path, Value: value(e.InstanceLocation)}
		switch k := e.ErrorKind.(type) {
		case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
			if len(e.Causes) > 0 {
				for _, x := range e.Causes {
					walk(x)
				}
				return
			}
			r.Rule, r.Expected = "schema.allOf", "to match the schema"
		case *kind.Required:
			for _, name := range k.Missing {
				add(feature.Reason{Rule: "schema.required", Path: join(path, name), Expected: "to be present"})
			}
			return
		case *kind.DependentRequired:
			for _, name := range k.Missing {
				add(feature.Reason{Rule: "schema.dependentRequired", Path: join(path, name), Expected: "to be present where " + k.Prop + " is"})
			}
			return
		case *kind.Dependency:
			for _, name := range k.Missing {
				add(feature.Reason{Rule: "schema.dependencies", Path: join(path, name), Expected: "to be present where " + k.Prop + " is"})
			}
			return
		case *kind.AdditionalProperties:
			for _, name := range k.Properties {
				at := append(append([]string(nil), e.InstanceLocation...), name)
				add(feature.Reason{Rule: "schema.additionalProperties", Path: join(path, name), Value: value(at), Expected: "no property of this name"})
			}
			return
		case *kind.Type:
			r.Rule, r.Expected = "schema.type", "type "+strings.Join(k.Want, " or ")
		case *kind.FalseSchema:
			r.Rule, r.Expected = "schema.false", "nothing here: the schema accepts no value"
		case *kind.RefCycle:
			r.Rule, r.Expected = "schema.$ref", "a schema without a circle of references"
		case *kind.Not:
			r.Rule, r.Expected = "schema.not", "not to match the schema under not"
		case *kind.AnyOf:
			r.Rule, r.Expected = "schema.anyOf", "at least one of the alternatives"
			if deep {
				r.Expected = alternatives(e)
			}
		case *kind.OneOf:
			r.Rule, r.Expected = "schema.oneOf", "exactly one of the alternatives"
		case *kind.Format:
			r.Rule, r.Expected = "schema.format", "a valid "+k.Want
			if deep {
				r.Expected += ": " + k.Err.Error()
			}
		case *kind.PropertyNames:
			r.Rule, r.Path, r.Expected = "schema.propertyNames", join(path, k.Property), "a name that the schema allows"
		default:
			r.Rule = "schema." + keywordOf(e.ErrorKind)
			if r.Expected = expected(k); r.Expected == "" {
				r.Expected = k.LocalizedString(printer)
			}
		}
		add(r)
	}
	walk(ve)
	return out
}

// alternatives says what each alternative wanted.
func alternatives(e *full.ValidationError) string {
	var all []string
	for _, c := range e.Causes {
		var one []string
		for _, r := range reasonsOf(c, true, func([]string) string { return "" }) {
			one = append(one, r.Expected)
		}
		all = append(all, strings.Join(one, " and "))
	}
	return strings.Join(all, "; or ")
}

// expected puts the plain keywords in the words that explainer uses.
func expected(k full.ErrorKind) string {
	number := func(r *big.Rat) string { return new(builder).bound(r).text }
	switch k := k.(type) {
	case *kind.Minimum:
		return "at least " + number(k.Want)
	case *kind.Maximum:
		return "at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "above " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "below " + number(k.Want)
	case *kind.MultipleOf:
		return "a multiple of " + number(k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("at most %d characters", k.Want)
	case *kind.Pattern:
		return "text that matches " + k.Want
	case *kind.MinItems:
		return fmt.Sprintf("at least %d items", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("at most %d items", k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("items that differ (%d and %d are equal)", k.Duplicates[0], k.Duplicates[1])
	case *kind.MinProperties:
		return fmt.Sprintf("at least %d properties", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("at most %d properties", k.Want)
	case *kind.Enum:
		return listed(k.Want)
	case *kind.Const:
		return listed([]any{k.Want})
	}
	return ""
}

// keywordOf is the keyword of an error kind; the kinds are named after them.
func keywordOf(k full.ErrorKind) string {
	if p := k.KeywordPath(); len(p) > 0 {
		return p[0]
	}
	name := reflect.TypeOf(k).Elem().Name()
	return strings.ToLower(name[:1]) + name[1:]
}

// dotted writes a location as events' paths are written: items[2].price.
func dotted(at []string) string {
	var b strings.Builder
	for _, tok := range at {
		switch _, err := strconv.Atoi(tok); {
		case err == nil && b.Len() > 0:
			b.WriteString("[" + tok + "]")
		case b.Len() > 0:
			b.WriteString("." + tok)
		default:
			b.WriteString(tok)
		}
	}
	return b.String()
}
