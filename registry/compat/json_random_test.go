package compat_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/compat"
	"github.com/weir-ml/weir/validate/jsonschema"
)

type object = map[string]any

// schemas makes random schemas, and others that differ from them in a few places.
type schemas struct {
	*rand.Rand
	draft int
}

func one[T any](r *schemas, of ...T) T { return of[r.IntN(len(of))] }

func (r *schemas) name() string { return one(r, "a", "b", "xa", "xb") }

func (r *schemas) number() any { return one[any](r, 0, 1, 2, 3, 1.5, json.Number("2.0"), -1) }

func (r *schemas) value(depth int) any {
	switch k := r.IntN(10); {
	case k < 3:
		return r.number()
	case k < 5:
		return one(r, "", "a", "ab", "x1", "b")
	case k == 5:
		return one[any](r, true, false, nil)
	case k < 8 && depth < 3:
		out := object{}
		for range r.IntN(5) {
			out[one(r, r.name(), r.name(), "xc", "c")] = r.value(depth + 1)
		}
		return out
	case depth < 3:
		out := []any{}
		for range r.IntN(4) {
			out = append(out, r.value(depth+1))
		}
		return out
	}
	return nil
}

var keywords = []string{"type", "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
	"properties", "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties", "minItems", "maxItems", "uniqueItems",
	"items", "prefix", "contains", "allOf", "anyOf", "oneOf", "not", "if", "dependencies", "$ref", "unevaluatedProperties", "unevaluatedItems"}

func (r *schemas) schema(depth int) any {
	if depth > 3 {
		return object{"type": one(r, "integer", "string", "object", "array", "null", "number", "boolean")}
	}
	if r.draft > 4 && r.IntN(14) == 0 {
		return r.IntN(3) > 0
	}
	out := object{}
	for range 1 + r.IntN(4) {
		r.add(out, depth)
	}
	return out
}

func (r *schemas) list(depth int) (out []any) {
	for range 1 + r.IntN(3) {
		out = append(out, r.schema(depth+1))
	}
	return out
}

// add sets one keyword of a schema.
func (r *schemas) add(s object, depth int) {
	k := keywords[r.IntN(len(keywords))]
	switch k {
	case "type":
		types := []any{"integer", "number", "string", "object", "array", "null", "boolean"}
		r.Shuffle(len(types), func(i, j int) { types[i], types[j] = types[j], types[i] })
		s[k] = types[:1+r.IntN(3)]
	case "enum":
		vals := []any{}
		seen := map[string]bool{}
		for range 1 + r.IntN(5) {
			v := r.value(2)
			b, _ := json.Marshal(v)
			if id := strings.TrimSuffix(string(b), ".0"); !seen[id] && !strings.ContainsAny(id, "[{") {
				seen[id] = true
				vals = append(vals, v)
			}
		}
		if len(vals) > 0 {
			s[k] = vals
		}
	case "const":
		s[k] = r.value(1)
	case "minimum", "maximum":
		s[k] = r.number()
		if r.draft == 4 && r.IntN(2) == 0 {
			s["exclusive"+strings.ToUpper(k[:1])+k[1:]] = r.IntN(2) == 0
		}
	case "exclusiveMinimum", "exclusiveMaximum":
		if r.draft > 4 {
			s[k] = r.number()
		}
	case "multipleOf":
		s[k] = one[any](r, 1, 2, 0.5, 3)
	case "minLength", "maxLength", "minProperties", "maxProperties", "minItems", "maxItems":
		s[k] = r.IntN(4)
	case "pattern":
		s[k] = one(r, "^a", "^x", "b$", ".*")
	case "properties":
		props := object{}
		for range 1 + r.IntN(3) {
			props[r.name()] = r.schema(depth + 1)
		}
		s[k] = props
	case "required":
		s[k] = []any{r.name()}
	case "patternProperties":
		s[k] = object{one(r, "^x", "a$"): r.schema(depth + 1)}
	case "uniqueItems":
		s[k] = true
	case "additionalProperties", "unevaluatedProperties", "unevaluatedItems":
		s[k] = r.IntN(2) == 0
		if r.draft == 4 && k != "additionalProperties" || r.IntN(2) == 0 {
			s[k] = r.schema(depth + 1)
		}
	case "prefix":
		if r.draft < 2020 {
			s["items"] = r.list(depth)
			if r.IntN(2) == 0 {
				s["additionalItems"] = r.schema(depth + 1)
			}
		} else {
			s["prefixItems"] = r.list(depth)
		}
	case "contains":
		s[k] = r.schema(depth + 1)
		if r.IntN(3) == 0 {
			s["minContains"] = r.IntN(3)
		}
		if r.IntN(3) == 0 {
			s["maxContains"] = 1 + r.IntN(2)
		}
	case "allOf", "anyOf", "oneOf":
		s[k] = r.list(depth)
	case "if":
		s[k] = r.schema(depth + 1)
		s[one(r, "then", "else")] = r.schema(depth + 1)
		if r.IntN(2) == 0 {
			s["else"] = r.schema(depth + 1)
		}
	case "dependencies":
		if r.draft >= 2019 {
			k = one(r, "dependentRequired", "dependentSchemas")
		}
		if k == "dependentRequired" || k == "dependencies" && r.IntN(2) == 0 {
			s[k] = object{r.name(): []any{r.name()}}
		} else {
			s[k] = object{r.name(): r.schema(depth + 1)}
		}
	case "$ref":
		if depth > 0 {
			s[k] = "#/definitions/" + one(r, "p", "q")
		}
	default: // propertyNames, items, not
		s[k] = r.schema(depth + 1)
	}
}

// root is a whole schema. What is referred to refers on from within a part of the value only.
func (r *schemas) root() object {
	s := object{"type": []any{"object", one(r, "array", "string", "null")}}
	props := object{}
	for range 3 {
		props[r.name()] = r.schema(1)
	}
	s["properties"] = props
	if r.IntN(3) == 0 {
		s["additionalProperties"] = false
	}
	for range r.IntN(3) {
		r.add(s, 0)
	}
	part := func() object {
		return object{"type": []any{"object", "integer"}, "properties": object{r.name(): r.schema(1)}}
	}
	s["definitions"] = object{"p": part(), "q": r.schema(4)}
	return s
}

func copied(v any) any {
	switch x := v.(type) {
	case object:
		out := object{}
		for k, e := range x {
			out[k] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = copied(e)
		}
		return out
	}
	return v
}

// changed is a copy that differs in a few places.
func (r *schemas) changed(s object) object {
	out := copied(s).(object)
	var places []object
	var find func(v any)
	find = func(v any) {
		switch x := v.(type) {
		case object:
			places = append(places, x)
			for _, k := range slices.Sorted(maps.Keys(x)) {
				switch k {
				case "const", "enum", "dependentRequired":
				case "properties", "patternProperties", "definitions", "dependentSchemas", "dependencies":
					if m, ok := x[k].(object); ok {
						for _, n := range []string{"a", "b", "xa", "xb", "^x", "a$", "p", "q"} {
							find(m[n])
						}
					}
				default:
					find(x[k])
				}
			}
		case []any:
			for _, e := range x {
				find(e)
			}
		}
	}
	find(out)
	if raw, _ := json.Marshal(s); !strings.Contains(string(raw), "$ref") { // nobody looks at the definitions
		delete(out, "definitions")
		places = places[:0]
		find(out)
	}
	for range 1 + r.IntN(2) {
		at := places[r.IntN(len(places))]
		if r.IntN(2) == 0 {
			at = places[r.IntN(1+len(places)/2)] // further out
		}
		if r.IntN(3) > 0 {
			r.add(at, 2)
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(at)) {
			if k != "definitions" && k != "type" && k != "$ref" && (len(at) == 1 || r.IntN(2) == 0) {
				delete(at, k)
				break
			}
		}
	}
	return out
}

// TestJSONAgreesWithTheEngine: where one schema is said to be within another one, no
// value passes the one and not the other. Many values are tried, as the engine judges them.
func TestJSONAgreesWithTheEngine(t *testing.T) {
	seed := testseed.For(t)
	rounds := 250
	if testing.Short() {
		rounds = 50
	}
	pairs, within, unshown, tried, witnessed, plain := 0, 0, 0, 0, 0, 0
	for _, draft := range []int{4, 6, 7, 2019, 2020} {
		r := &schemas{rand.New(rand.NewPCG(seed, uint64(draft))), draft}
		for range rounds {
			a := r.root()
			b := r.changed(a)
			name := map[int]string{4: "http://json-schema.org/draft-04/schema#", 6: "http://json-schema.org/draft-06/schema#", 7: "http://json-schema.org/draft-07/schema#",
				2019: "https://json-schema.org/draft/2019-09/schema", 2020: "https://json-schema.org/draft/2020-12/schema"}[draft]
			a["$schema"], b["$schema"] = name, name
			if draft < 2020 && r.IntN(8) == 0 { // the same words in a newer draft
				b["$schema"] = map[int]string{4: "http://json-schema.org/draft-06/schema#", 6: "http://json-schema.org/draft-07/schema#", 7: "https://json-schema.org/draft/2019-09/schema",
					2019: "http://json-schema.org/draft-07/schema#"}[draft]
			}
			if r.IntN(2) == 0 {
				a, b = b, a
			}
			was, _ := json.Marshal(a)
			now, _ := json.Marshal(b)
			x, err1 := jsonschema.Compile(was, jsonschema.Options{})
			y, err2 := jsonschema.Compile(now, jsonschema.Options{})
			if err1 != nil || err2 != nil {
				continue // among others schemas that refer to themselves
			}
			pairs++
			why := compat.JSON(was, now)
			sure := !strings.Contains(strings.Join(why, " "), "cannot be shown")
			switch {
			case len(why) == 0:
				within++
			case !sure:
				unshown++
			default:
				plain++
			}
			if len(why) > 0 && r.IntN(4) > 0 {
				continue
			}
			cx, cy, found := x.NewChecker(), y.NewChecker(), false
			for range 100 {
				v, _ := json.Marshal(r.value(r.IntN(2)))
				tried++
				if !cx.Valid(v) || cy.Valid(v) {
					continue
				}
				if found = true; len(why) == 0 {
					t.Fatalf("draft %d: said to be within, but %s\npasses %s\nnot    %s", draft, v, was, now)
				}
			}
			if found {
				witnessed++
			}
		}
	}
	t.Logf("%d pairs: %d within, %d not shown, %d not within; %d values; of those not within that were tried, %d had one that shows it", pairs, within, unshown, plain, tried, witnessed)
	if within < pairs/20 || plain < pairs/20 {
		t.Errorf("the pairs say little: %d of %d within, %d not", within, pairs, plain)
	}
}
