package compat

import (
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// node is what one schema asks of a value.
type node struct {
	id     int
	never  bool
	always bool
	opaque map[string]any // keywords that are not compared, as they stand
	doc    *document
	at     string // JSON pointer in doc

	types kinds
	enum  []any // of enum and const; nil: any value
	among map[string]bool

	low, high *bound
	multiples []number

	minLength, maxLength int // -1: no bound
	pattern              *string

	minItems, maxItems     int
	unique                 bool
	prefix                 []*node
	rest                   *node
	contains               *node
	minContain, maxContain int

	minProps, maxProps int
	required           []string
	props              map[string]*node
	patterns           []patterned
	additional         *node
	names              *node
	dependents         map[string][]*node

	ref                    *node
	allOf, anyOf, oneOf    []*node
	not, cond, then, other *node
}

type patterned struct {
	text string
	re   *regexp.Regexp
	node *node
}

// bound is a limit of numbers.
type bound struct {
	number
	open bool // the limit itself is not within
}

// document is a whole schema.
type document struct {
	raw    any
	canon  string
	draft  int
	nodes  map[string]*node // by JSON pointer
	nested bool             // parts have an id of their own, which references may be relative to
	ids    *int
}

// dialects are the drafts by the $schema that names them.
var dialects = map[string]int{
	"": 2020, "json-schema.org/draft-04/schema": 4, "json-schema.org/draft-06/schema": 6, "json-schema.org/draft-07/schema": 7,
	"json-schema.org/draft/2019-09/schema": 2019, "json-schema.org/draft/2020-12/schema": 2020,
}

func readSchema(text []byte, ids *int) (*document, *node, error) {
	raw, err := readValue(text)
	if err != nil {
		return nil, nil, err
	}
	d := &document{raw: raw, canon: canon(raw), nodes: map[string]*node{}, ids: ids}
	name := ""
	if m, ok := raw.(map[string]any); ok {
		name, _ = m["$schema"].(string)
	}
	name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "http://"), "https://"), "#")
	draft, ok := dialects[name]
	if !ok {
		return nil, nil, fmt.Errorf("its $schema %q is of no draft that can be compared", name)
	}
	d.draft = draft
	d.nested = d.nestedID(raw, true)
	return d, d.parse("", raw), nil
}

// nestedID looks for schemas inside that have an id of their own.
func (d *document) nestedID(v any, root bool) bool {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if d.nestedID(e, false) {
				return true
			}
		}
	case map[string]any:
		for k, e := range x {
			switch k {
			case "enum", "const", "default", "examples":
				continue
			case "id", "$id":
				if s, ok := e.(string); ok && !root && !strings.HasPrefix(s, "#") {
					return true
				}
			}
			if d.nestedID(e, false) {
				return true
			}
		}
	}
	return false
}

// remarks are keywords that ask nothing, in any draft.
var remarks = map[string]bool{
	"$schema": true, "$id": true, "id": true, "$comment": true, "title": true, "description": true, "default": true, "examples": true, "deprecated": true,
	"readOnly": true, "writeOnly": true, "format": true, "contentEncoding": true, "contentMediaType": true, "contentSchema": true,
	"$defs": true, "definitions": true, "$anchor": true, "$vocabulary": true, "$dynamicAnchor": true, "$recursiveAnchor": true,
	// read with others
	"then": true, "else": true, "minContains": true, "maxContains": true, "additionalItems": true,
}

var typeKinds = map[string]kinds{"null": kindNull, "boolean": kindBool, "number": kindNumber, "integer": kindInteger, "string": kindString, "array": kindArray, "object": kindObject}

// since is the draft that brought a keyword; before it the word means nothing.
var since = map[string]int{
	"const": 6, "contains": 6, "propertyNames": 6, "if": 7, "dependentRequired": 2019, "dependentSchemas": 2019, "prefixItems": 2020,
	"unevaluatedProperties": 2019, "unevaluatedItems": 2019, "$dynamicRef": 2020, "$recursiveRef": 2019,
}

func (d *document) blank(at string) *node {
	*d.ids++
	return &node{id: *d.ids, doc: d, at: at, types: kindAll, minLength: -1, maxLength: -1, minItems: -1, maxItems: -1, minProps: -1, maxProps: -1, minContain: 1, maxContain: -1}
}

// parse reads the schema at a JSON pointer, once.
func (d *document) parse(at string, raw any) *node {
	if n := d.nodes[at]; n != nil {
		return n
	}
	n := d.blank(at)
	d.nodes[at] = n
	m, ok := raw.(map[string]any)
	if !ok {
		b, isBool := raw.(bool)
		n.always, n.never = isBool && b, isBool && !b
		if !isBool {
			n.opaque = map[string]any{"schema": raw}
		}
		return n
	}
	if _, ok := m["$ref"].(string); ok && d.draft < 2019 {
		m = map[string]any{"$ref": m["$ref"]} // what stands beside it means nothing there
	}
	n.always = true
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if remarks[k] || since[k] > d.draft {
			continue
		}
		n.always = false
		if !d.keyword(n, at, k, m[k], m) {
			if n.opaque == nil {
				n.opaque = map[string]any{}
			}
			n.opaque[k] = m[k]
		}
	}
	if len(n.opaque) > 0 {
		d.unevaluated(n, at, m)
	}
	return n
}

// unevaluated reads unevaluated* where nothing else is applied to the same value: then
// they are additionalProperties and the items after the first ones.
func (d *document) unevaluated(n *node, at string, m map[string]any) {
	if n.ref != nil || n.allOf != nil || n.anyOf != nil || n.oneOf != nil || n.not != nil || n.cond != nil || n.dependents != nil || m["$dynamicRef"] != nil || m["$recursiveRef"] != nil || m["$ref"] != nil {
		return
	}
	if s, ok := n.opaque["unevaluatedProperties"]; ok {
		if n.additional == nil {
			n.additional = d.parse(at+"/unevaluatedProperties", s)
		}
		delete(n.opaque, "unevaluatedProperties")
	}
	if s, ok := n.opaque["unevaluatedItems"]; ok && n.contains == nil {
		if n.rest == nil {
			n.rest = d.parse(at+"/unevaluatedItems", s)
		}
		delete(n.opaque, "unevaluatedItems")
	}
}

// keyword reads one; false where it is not known how to compare it.
func (d *document) keyword(n *node, at, k string, v any, m map[string]any) bool {
	sub := func(k string) *node { return d.parse(at+"/"+escape(k), m[k]) }
	list := func() (out []*node, ok bool) {
		l, ok := v.([]any)
		for i, x := range l {
			out = append(out, d.parse(at+"/"+k+"/"+strconv.Itoa(i), x))
		}
		return out, ok && len(l) > 0
	}
	count := func(to *int) (ok bool) {
		*to, ok = countOf(v)
		return ok
	}
	ok := true
	switch k {
	case "$ref":
		n.ref = d.resolve(v)
		return n.ref != nil
	case "type":
		return d.types(n, v)
	case "enum":
		l, ok := v.([]any)
		n.choose(l)
		return ok && len(l) > 0
	case "const":
		n.choose([]any{v})
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		return d.limit(n, k, v, m)
	case "multipleOf":
		x, ok := v.(number)
		if !ok || x.rat.Sign() <= 0 {
			return false
		}
		n.multiples = append(n.multiples, x)
	case "minLength":
		return count(&n.minLength)
	case "maxLength":
		return count(&n.maxLength)
	case "pattern":
		s, ok := v.(string)
		n.pattern = &s
		return ok
	case "minItems":
		return count(&n.minItems)
	case "maxItems":
		return count(&n.maxItems)
	case "uniqueItems":
		n.unique, ok = v.(bool)
		return ok
	case "items":
		if _, isList := v.([]any); isList && d.draft < 2020 {
			n.prefix, _ = list()
			if m["additionalItems"] != nil {
				n.rest = sub("additionalItems")
			}
			return true
		}
		n.rest = sub("items")
	case "prefixItems":
		n.prefix, ok = list()
		return ok
	case "contains":
		n.contains = sub("contains")
		if d.draft >= 2019 {
			if x, is := m["minContains"]; is {
				n.minContain, ok = countOf(x)
			}
			if x, is := m["maxContains"]; is && ok {
				n.maxContain, ok = countOf(x)
			}
		}
		return ok
	case "minProperties":
		return count(&n.minProps)
	case "maxProperties":
		return count(&n.maxProps)
	case "required":
		n.required, ok = texts(v)
		return ok
	case "properties":
		all, ok := v.(map[string]any)
		n.props = map[string]*node{}
		for name, x := range all {
			n.props[name] = d.parse(at+"/properties/"+escape(name), x)
		}
		return ok
	case "patternProperties":
		all, ok := v.(map[string]any)
		for _, p := range slices.Sorted(maps.Keys(all)) {
			re, err := regexp.Compile(p)
			if err != nil {
				return false
			}
			n.patterns = append(n.patterns, patterned{p, re, d.parse(at+"/patternProperties/"+escape(p), all[p])})
		}
		return ok
	case "additionalProperties":
		n.additional = sub(k)
	case "propertyNames":
		n.names = sub(k)
	case "dependentRequired", "dependentSchemas":
		return d.dependents(n, at, k, v)
	case "dependencies":
		return d.draft < 2019 && d.dependents(n, at, k, v)
	case "allOf":
		n.allOf, ok = list()
		return ok
	case "anyOf":
		n.anyOf, ok = list()
		return ok
	case "oneOf":
		n.oneOf, ok = list()
		return ok
	case "not":
		n.not = sub(k)
	case "if":
		n.cond = sub(k)
		if m["then"] != nil {
			n.then = sub("then")
		}
		if m["else"] != nil {
			n.other = sub("else")
		}
	default:
		return !asks[k] // a word that no draft knows asks nothing
	}
	return true
}

// asks are keywords that ask something and are not read.
var asks = map[string]bool{"unevaluatedProperties": true, "unevaluatedItems": true, "$dynamicRef": true, "$recursiveRef": true}

// choose keeps the values that are equal to one of vals, also where const and enum stand together.
func (n *node) choose(vals []any) {
	among := map[string]bool{}
	var enum []any
	for _, v := range vals {
		if c := canon(v); !among[c] && (n.enum == nil || n.among[c]) {
			among[c] = true
			enum = append(enum, v)
		}
	}
	if n.among = among; len(enum) == 0 {
		n.never = true
		return
	}
	n.enum = enum
}

func (d *document) types(n *node, v any) bool {
	l, ok := v.([]any)
	if !ok {
		l = []any{v}
	}
	n.types = 0
	for _, x := range l {
		name, _ := x.(string)
		k, ok := typeKinds[name]
		if !ok {
			n.types = kindAll
			return false
		}
		if name == "integer" && d.draft == 4 {
			k = kindWritten
		}
		n.types |= k
	}
	return true
}

func (d *document) limit(n *node, k string, v any, m map[string]any) bool {
	to, way := &n.low, 1
	if strings.HasSuffix(k, "aximum") {
		to, way = &n.high, -1
	}
	open := strings.HasPrefix(k, "exclusive")
	if d.draft == 4 {
		if _, ok := v.(bool); open && ok {
			return true // it belongs to minimum or maximum
		}
		if open {
			return false
		}
		open, _ = m["exclusive"+strings.ToUpper(k[:1])+k[1:]].(bool)
	}
	x, ok := v.(number)
	if !ok {
		return false
	}
	*to = tighter(*to, &bound{x, open}, way)
	return true
}

// tighter is the bound that leaves less; way is 1 for lower bounds, -1 for upper ones.
func tighter(a, b *bound, way int) *bound {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	if c := way * a.rat.Cmp(b.rat); c > 0 || c == 0 && a.open {
		return a
	}
	return b
}

func (d *document) dependents(n *node, at, k string, v any) bool {
	all, ok := v.(map[string]any)
	if n.dependents == nil {
		n.dependents = map[string][]*node{}
	}
	for name, x := range all {
		where := at + "/" + k + "/" + escape(name)
		if _, isList := x.([]any); isList && k != "dependentSchemas" {
			needs, good := texts(x)
			if !good {
				return false
			}
			r := d.blank(where)
			r.required = needs
			n.dependents[name] = append(n.dependents[name], r)
			continue
		}
		if k == "dependentRequired" {
			return false
		}
		n.dependents[name] = append(n.dependents[name], d.parse(where, x))
	}
	return ok
}

// resolve finds what a reference names inside of the document; nil where that is not known.
func (d *document) resolve(v any) *node {
	ref, _ := v.(string)
	if m, ok := d.raw.(map[string]any); ok && !strings.HasPrefix(ref, "#") {
		id, _ := m["$id"].(string)
		if id == "" {
			id, _ = m["id"].(string)
		}
		id = strings.TrimSuffix(id, "#")
		rest, ok := strings.CutPrefix(ref, id)
		if id == "" || !ok || rest != "" && rest[0] != '#' {
			return nil
		}
		if ref = rest; ref == "" {
			ref = "#"
		}
	}
	if d.nested || !strings.HasPrefix(ref, "#") {
		return nil
	}
	at, err := url.PathUnescape(ref[1:])
	if err != nil {
		return nil
	}
	if at != "" && at[0] != '/' {
		at, ok := d.anchor(d.raw, "", at)
		if !ok {
			return nil
		}
		return d.parseAt(at)
	}
	return d.parseAt(at)
}

func (d *document) parseAt(at string) *node {
	v := d.raw
	for _, tok := range strings.Split(at, "/")[1:] {
		tok = strings.NewReplacer("~1", "/", "~0", "~").Replace(tok)
		switch x := v.(type) {
		case map[string]any:
			e, ok := x[tok]
			if !ok {
				return nil
			}
			v = e
		case []any:
			i, err := strconv.Atoi(tok)
			if err != nil || i < 0 || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return d.parse(at, v)
}

// anchor finds the one schema with a plain name.
func (d *document) anchor(v any, at, name string) (string, bool) {
	switch x := v.(type) {
	case []any:
		for i, e := range x {
			if p, ok := d.anchor(e, at+"/"+strconv.Itoa(i), name); ok {
				return p, true
			}
		}
	case map[string]any:
		if d.draft >= 2019 && x["$anchor"] == name || d.draft == 2020 && x["$dynamicAnchor"] == name || d.draft > 4 && d.draft < 2019 && x["$id"] == "#"+name || d.draft == 4 && x["id"] == "#"+name {
			return at, true
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			if k == "enum" || k == "const" || k == "default" || k == "examples" {
				continue
			}
			if p, ok := d.anchor(x[k], at+"/"+escape(k), name); ok {
				return p, true
			}
		}
	}
	return "", false
}

func escape(tok string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(tok) }

func texts(v any) (out []string, ok bool) {
	l, ok := v.([]any)
	for _, x := range l {
		s, is := x.(string)
		if !is {
			return nil, false
		}
		out = append(out, s)
	}
	return out, ok
}

// wholeMultiple reports whether every multiple of a is one of b.
func wholeMultiple(a, b *big.Rat) bool { return new(big.Rat).Quo(a, b).IsInt() }
