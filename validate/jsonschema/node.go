package jsonschema

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"

	full "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-ml/weir/internal/jsonscan"
)

// node is a compiled schema. What a value of one kind is never asked sits
// behind a pointer of its own, so that a plain {"type":"string"} is two loads.
type node struct {
	kinds   uint8 // bit 1<<kind for every kind accepted; 0 rejects all
	plain   bool  // nothing but kinds and integer
	integer bool  // of numbers, only integers
	written bool  // an integer is one by how it is written (draft 4)
	never   bool  // the schema false
	num     *numberRules
	str     *stringRules
	arr     *arrayRules
	obj     *objectRules
	values  []*valueSet // const, enum
	logic   *logicRules
	types   string // the type keyword for people: "string or null"
}

const allKinds = 1<<(jsonscan.Object+1) - 1

// bound is a number of the schema.
type bound struct {
	dec   jsonscan.Decimal
	rat   *big.Rat
	exact bool // dec is the number
	text  string
}

type numberRules struct {
	min, max, above, below, multiple *bound
}

type stringRules struct {
	min, max int // characters; max < 0: none
	pattern  *pattern
	format   *full.Format
}

type arrayRules struct {
	min, max   int // max < 0: none
	unique     bool
	prefix     []*node
	rest       *node // items beyond prefix; nil accepts them
	restKey    string
	contains   *node
	minC, maxC int // maxC < 0: none
}

type objectRules struct {
	min, max   int // max < 0: none
	base       int32
	table      []property // by symbol minus base
	required   []int32    // symbols
	patterns   []patternProperty
	additional *node // properties that no other keyword takes; nil accepts them
	names      *node
	depends    []dependency
}

type property struct {
	node     *node // nil when the name is only required
	required bool
}

type patternProperty struct {
	pattern *pattern
	node    *node
}

// dependency is what the presence of a property asks for: others, or a schema.
type dependency struct {
	sym     int32
	others  []int32
	node    *node
	keyword string
}

type logicRules struct {
	ref               *node
	all, any, one     []*node
	not               *node
	cond, then, other *node
}

// builder turns the engine's resolved schemas into nodes. It sets refused where
// a schema holds anything that nodes do not cover.
type builder struct {
	syms    *jsonscan.Symbols
	nodes   map[*full.Schema]*node
	refused bool
}

func (b *builder) build(s *full.Schema) *node {
	if s == nil || b.refused {
		return nil
	}
	if n, ok := b.nodes[s]; ok {
		return n
	}
	n := &node{kinds: allKinds}
	b.nodes[s] = n // before its parts: they may refer back to it
	switch {
	case s.Bool != nil:
		n.plain, n.never = true, !*s.Bool
		if n.never {
			n.kinds = 0
		}
		return n
	case s.Ref != nil && s.DraftVersion < 2019:
		// Up to draft 7 nothing beside $ref counts.
		n.logic = &logicRules{ref: b.build(s.Ref)}
		return n
	case s.RecursiveRef != nil || s.DynamicRef != nil || s.UnevaluatedItems != nil || s.UnevaluatedProperties != nil ||
		s.ContentEncoding != nil || s.ContentMediaType != nil || s.ContentSchema != nil || len(s.Extensions) > 0:
		b.refused = true
		return n
	}
	b.types(n, s)
	b.numbers(n, s)
	b.strings(n, s)
	b.arrays(n, s)
	b.objects(n, s)
	if s.Const != nil {
		n.values = append(n.values, b.valueSet("const", []any{*s.Const}))
	}
	if s.Enum != nil {
		n.values = append(n.values, b.valueSet("enum", s.Enum.Values))
	}
	b.logic(n, s)
	n.plain = n.num == nil && n.str == nil && n.arr == nil && n.obj == nil && n.values == nil && n.logic == nil
	return n
}

func (b *builder) types(n *node, s *full.Schema) {
	if s.Types == nil || s.Types.IsEmpty() {
		return
	}
	names := s.Types.ToStrings()
	n.types = strings.Join(names, " or ")
	n.kinds = 0
	for _, t := range names {
		switch t {
		case "null":
			n.kinds |= 1 << jsonscan.Null
		case "boolean":
			n.kinds |= 1<<jsonscan.True | 1<<jsonscan.False
		case "number", "integer":
			n.kinds |= 1 << jsonscan.Number
		case "string":
			n.kinds |= 1 << jsonscan.String
		case "array":
			n.kinds |= 1 << jsonscan.Array
		case "object":
			n.kinds |= 1 << jsonscan.Object
		}
	}
	n.integer = slices.Contains(names, "integer") && !slices.Contains(names, "number")
	n.written = s.DraftVersion == 4
}

func (b *builder) bound(r *big.Rat) *bound {
	if r == nil {
		return nil
	}
	x := &bound{rat: r}
	x.dec, x.exact = jsonscan.DecimalOf(r)
	if f, ok := r.Float64(); ok || r.IsInt() && r.Num().BitLen() < 60 {
		x.text = jsonText(f)
	} else {
		digits, _ := r.FloatPrec()
		x.text = r.FloatString(min(digits, 20))
	}
	return x
}

func (b *builder) numbers(n *node, s *full.Schema) {
	if s.Minimum == nil && s.Maximum == nil && s.ExclusiveMinimum == nil && s.ExclusiveMaximum == nil && s.MultipleOf == nil {
		return
	}
	n.num = &numberRules{
		min: b.bound(s.Minimum), max: b.bound(s.Maximum), above: b.bound(s.ExclusiveMinimum), below: b.bound(s.ExclusiveMaximum),
		multiple: b.bound(s.MultipleOf),
	}
	if m := n.num.multiple; m != nil && m.rat.Sign() <= 0 {
		b.refused = true
	}
}

func (b *builder) strings(n *node, s *full.Schema) {
	if s.MinLength == nil && s.MaxLength == nil && s.Pattern == nil && s.Format == nil {
		return
	}
	n.str = &stringRules{min: least(s.MinLength), max: most(s.MaxLength), pattern: b.pattern(s.Pattern), format: s.Format}
}

func (b *builder) pattern(re full.Regexp) *pattern {
	if re == nil {
		return nil
	}
	p, ok := re.(*pattern)
	if !ok {
		b.refused = true
	}
	return p
}

func least(p *int) int {
	if p == nil {
		return 0
	}
	return *p
}

func most(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

func (b *builder) arrays(n *node, s *full.Schema) {
	a := &arrayRules{min: least(s.MinItems), max: most(s.MaxItems), unique: s.UniqueItems, maxC: -1}
	if s.DraftVersion >= 2020 {
		a.prefix, a.rest, a.restKey = b.list(s.PrefixItems), b.build(s.Items2020), "items"
	} else {
		switch items := s.Items.(type) {
		case *full.Schema:
			a.rest, a.restKey = b.build(items), "items"
		case []*full.Schema:
			a.prefix, a.restKey = b.list(items), "additionalItems"
			a.rest = b.additional(s.AdditionalItems)
		}
	}
	if s.Contains != nil {
		a.contains, a.minC, a.maxC = b.build(s.Contains), 1, most(s.MaxContains)
		if s.MinContains != nil {
			a.minC = *s.MinContains
		}
	}
	if a.min > 0 || a.max >= 0 || a.unique || a.prefix != nil || a.rest != nil || a.contains != nil {
		n.arr = a
	}
}

func (b *builder) list(ss []*full.Schema) []*node {
	var ns []*node
	for _, s := range ss {
		ns = append(ns, b.build(s))
	}
	return ns
}

// additional is the form that additionalProperties and additionalItems share.
func (b *builder) additional(v any) *node {
	switch v := v.(type) {
	case bool:
		if !v {
			return &node{plain: true, never: true}
		}
	case *full.Schema:
		return b.build(v)
	}
	return nil
}

func (b *builder) objects(n *node, s *full.Schema) {
	o := &objectRules{min: least(s.MinProperties), max: most(s.MaxProperties)}
	// In the order of their names: numbering must not depend on a map's order.
	names := sortedKeys(s.Properties)
	syms := make([]int32, 0, len(names)+len(s.Required))
	for _, name := range names {
		syms = append(syms, b.syms.Intern(name))
	}
	for _, name := range s.Required {
		if id := b.syms.Intern(name); !slices.Contains(o.required, id) {
			o.required = append(o.required, id)
			syms = append(syms, id)
		}
	}
	if len(syms) > 0 {
		o.base = slices.Min(syms)
		o.table = make([]property, slices.Max(syms)-o.base+1)
	}
	for i, name := range names {
		o.table[syms[i]-o.base].node = b.build(s.Properties[name])
	}
	for _, id := range o.required {
		o.table[id-o.base].required = true
	}
	for re, x := range s.PatternProperties {
		o.patterns = append(o.patterns, patternProperty{b.pattern(re), b.build(x)})
	}
	slices.SortFunc(o.patterns, func(x, y patternProperty) int {
		return strings.Compare(x.pattern.String(), y.pattern.String())
	})
	o.additional = b.additional(s.AdditionalProperties)
	o.names = b.build(s.PropertyNames)
	for _, name := range sortedKeys(s.Dependencies) {
		d := dependency{sym: b.syms.Intern(name), keyword: "dependencies"}
		switch v := s.Dependencies[name].(type) {
		case []string:
			d.others = b.internAll(v)
		case *full.Schema:
			d.node = b.build(v)
		}
		o.depends = append(o.depends, d)
	}
	for _, name := range sortedKeys(s.DependentRequired) {
		o.depends = append(o.depends, dependency{sym: b.syms.Intern(name), others: b.internAll(s.DependentRequired[name]), keyword: "dependentRequired"})
	}
	for _, name := range sortedKeys(s.DependentSchemas) {
		o.depends = append(o.depends, dependency{sym: b.syms.Intern(name), node: b.build(s.DependentSchemas[name]), keyword: "dependentSchemas"})
	}
	if o.min > 0 || o.max >= 0 || o.table != nil || o.patterns != nil || o.additional != nil || o.names != nil || o.depends != nil {
		n.obj = o
	}
}

func (b *builder) internAll(names []string) []int32 {
	ids := make([]int32, len(names))
	for i, n := range names {
		ids[i] = b.syms.Intern(n)
	}
	return ids
}

func (b *builder) logic(n *node, s *full.Schema) {
	l := &logicRules{
		ref: b.build(s.Ref), all: b.list(s.AllOf), any: b.list(s.AnyOf), one: b.list(s.OneOf),
		not: b.build(s.Not), cond: b.build(s.If), then: b.build(s.Then), other: b.build(s.Else),
	}
	if l.cond != nil && l.then == nil && l.other == nil {
		l.cond = nil
	}
	if l.ref != nil || l.all != nil || l.any != nil || l.one != nil || l.not != nil || l.cond != nil {
		n.logic = l
	}
}

// same calls f for every node that n applies to the value itself.
func (n *node) same(f func(*node)) {
	if l := n.logic; l != nil {
		for _, x := range []*node{l.ref, l.not, l.cond, l.then, l.other} {
			if x != nil {
				f(x)
			}
		}
		for _, list := range [][]*node{l.all, l.any, l.one} {
			for _, x := range list {
				f(x)
			}
		}
	}
	if n.obj != nil {
		for _, d := range n.obj.depends {
			if d.node != nil {
				f(d.node)
			}
		}
	}
}

// cyclic reports whether a schema comes back to itself on the same value; a walk
// of it would not end. Coming back on a part of the value is fine: values end.
func cyclic(nodes map[*full.Schema]*node) bool {
	const (
		open = 1
		done = 2
	)
	state := make(map[*node]int, len(nodes))
	found := false
	var visit func(n *node)
	visit = func(n *node) {
		switch state[n] {
		case open:
			found = true
		case 0:
			state[n] = open
			n.same(visit)
			state[n] = done
		}
	}
	for _, n := range nodes {
		visit(n)
	}
	return found
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "a number"
	}
	return string(b)
}
