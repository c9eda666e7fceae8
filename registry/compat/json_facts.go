package compat

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// facts are what holds for every value that passes all of some schemas.
type facts struct {
	all       []*node // these, those that they refer to, and all of allOf; each once
	mask      kinds   // kinds that such a value can have; 0: there is none
	enum      []any   // the only values, where finite
	finite    bool
	low, high *bound

	minLength, maxLength int // -1: no bound, of the upper ones
	minItems, maxItems   int
	minProps, maxProps   int
	unique               bool
	required             map[string]bool
	alternatives         [][]*node // of each at least one holds
}

// deepest is how far emptiness of parts is looked for.
const deepest = 5

// facts of a conjunction of schemas.
func (x *comparison) facts(all []*node) *facts {
	key := keyOf(all)
	if f := x.known[key]; f != nil {
		return f
	}
	f := &facts{mask: kindAll, maxLength: -1, maxItems: -1, maxProps: -1, required: map[string]bool{}}
	in := map[int]bool{}
	for _, n := range all {
		x.gather(f, in, n)
	}
	for again := true; again; {
		again = false
		for _, n := range f.all {
			for name, deps := range n.dependents {
				for _, dep := range deps {
					if f.required[name] && !in[dep.id] {
						x.gather(f, in, dep)
						again = true
						break
					}
				}
			}
			if again {
				break // gather has made f.all longer
			}
		}
	}
	slices.SortFunc(f.all, func(a, b *node) int { return a.id - b.id })
	for _, n := range f.all {
		for _, group := range [][]*node{n.anyOf, n.oneOf, x.branches(n)} {
			if len(group) > 0 && !slices.ContainsFunc(group, func(b *node) bool { return in[b.id] }) {
				f.alternatives = append(f.alternatives, group)
			}
		}
	}
	if cut := x.narrow(f); !cut || x.depth == 0 {
		x.known[key] = f
	}
	return f
}

// branches are the two ways through if, then and else.
func (x *comparison) branches(n *node) []*node {
	if n.cond == nil || n.other == nil {
		return nil // the second way says nothing
	}
	if x.ways[n] == nil {
		yes := n.doc.blank(n.at)
		yes.allOf = []*node{n.cond}
		if n.then != nil {
			yes.allOf = append(yes.allOf, n.then)
		}
		x.ways[n] = []*node{yes, n.other}
	}
	return x.ways[n]
}

func (x *comparison) gather(f *facts, in map[int]bool, n *node) {
	if n == nil || in[n.id] {
		return
	}
	in[n.id] = true
	f.all = append(f.all, n)
	if n.never {
		f.mask = 0
	}
	f.mask &= n.types
	if n.not != nil && onlyTypes(n.not) {
		f.mask &^= n.not.types
	}
	if n.enum != nil {
		if f.finite {
			f.enum = slices.DeleteFunc(slices.Clone(f.enum), func(v any) bool { return !n.among[canon(v)] })
		} else {
			f.enum, f.finite = n.enum, true
		}
	}
	f.low, f.high = tighter(f.low, n.low, 1), tighter(f.high, n.high, -1)
	f.minLength, f.maxLength = max(f.minLength, n.minLength), least(f.maxLength, n.maxLength)
	f.minItems, f.maxItems = max(f.minItems, n.minItems), least(f.maxItems, n.maxItems)
	if n.rest != nil && n.rest.never {
		f.maxItems = least(f.maxItems, len(n.prefix))
	}
	f.minProps, f.maxProps = max(f.minProps, n.minProps), least(f.maxProps, n.maxProps)
	f.unique = f.unique || n.unique
	for _, r := range n.required {
		f.required[r] = true
	}
	x.gather(f, in, n.ref)
	for _, a := range n.allOf {
		x.gather(f, in, a)
	}
	if len(n.anyOf) == 1 {
		x.gather(f, in, n.anyOf[0])
	}
	if len(n.oneOf) == 1 {
		x.gather(f, in, n.oneOf[0])
	}
}

// onlyTypes reports whether a schema asks for types and nothing else.
func onlyTypes(n *node) bool {
	return n.types != kindAll && !n.never && n.opaque == nil && n.enum == nil && n.low == nil && n.high == nil && n.multiples == nil && n.minLength < 0 && n.maxLength < 0 &&
		n.pattern == nil && n.minItems < 0 && n.maxItems < 0 && !n.unique && n.prefix == nil && n.rest == nil && n.contains == nil && n.minProps < 0 && n.maxProps < 0 &&
		n.required == nil && n.props == nil && n.patterns == nil && n.additional == nil && n.names == nil && n.dependents == nil && n.ref == nil && n.allOf == nil && n.anyOf == nil &&
		n.oneOf == nil && n.not == nil && n.cond == nil
}

func least(a, b int) int {
	if a < 0 || b >= 0 && b < a {
		return b
	}
	return a
}

// narrow takes the kinds away of which there is no value. cut tells that it did not look to the end.
func (x *comparison) narrow(f *facts) (cut bool) {
	if x.depth >= deepest || x.steps <= 0 {
		return true
	}
	x.depth++
	defer func() { x.depth-- }()
	empty := func(conj []*node) bool {
		x.steps--
		if len(conj) == 0 {
			return false
		}
		if x.depth >= deepest {
			cut = true
			return slices.ContainsFunc(conj, func(n *node) bool { return n.never })
		}
		return x.facts(conj).mask == 0
	}
	if f.finite {
		var mask kinds
		f.enum = slices.DeleteFunc(slices.Clone(f.enum), func(v any) bool {
			k := kindsOf(v) & f.mask
			for _, n := range f.all {
				if k == 0 || holds(v, n, k, 0) == no {
					return true
				}
			}
			mask |= k
			return false
		})
		f.mask &= mask
	}
	if f.low != nil && f.high != nil {
		c := f.low.rat.Cmp(f.high.rat)
		if c > 0 || c == 0 && (f.low.open || f.high.open) {
			f.mask &^= kindNumber
		} else if c == 0 && f.low.rat.IsInt() {
			f.mask &^= kindFraction
		} else if new(big.Int).Add(floor(f.low.rat), big.NewInt(1)).Cmp(new(big.Int).Add(floor(f.high.rat), big.NewInt(1))) == 0 && !f.low.rat.IsInt() {
			f.mask &^= kindInteger // no whole number lies between
		}
	}
	if f.maxLength >= 0 && f.minLength > f.maxLength {
		f.mask &^= kindString
	}
	if f.mask&kindArray != 0 {
		bad := f.maxItems >= 0 && f.minItems > f.maxItems
		for i := 0; i < min(f.minItems, 8) && !bad; i++ {
			bad = empty(f.item(i))
		}
		if bad {
			f.mask &^= kindArray
		}
	}
	if f.mask&kindObject != 0 {
		bad := f.maxProps >= 0 && (f.minProps > f.maxProps || len(f.required) > f.maxProps)
		for name := range f.required {
			if bad {
				break
			}
			bad = empty(x.property(f, name))
		}
		if bad {
			f.mask &^= kindObject
		}
	}
	for _, group := range f.alternatives {
		if f.mask == 0 || x.depth >= 2 {
			break
		}
		if !slices.ContainsFunc(group, func(n *node) bool { return !empty(append(slices.Clone(f.all), n)) }) {
			f.mask = 0
		}
	}
	return cut
}

func floor(r *big.Rat) *big.Int {
	return new(big.Int).Div(r.Num(), r.Denom()) // Euclid's: down for negative numbers too
}

// item is what an item of a list has to pass.
func (f *facts) item(i int) (out []*node) {
	for _, n := range f.all {
		if i < len(n.prefix) {
			out = append(out, n.prefix[i])
		} else if n.rest != nil {
			out = append(out, n.rest)
		}
	}
	return out
}

// property is what a member of an object has to pass.
func (x *comparison) property(f *facts, name string) (out []*node) {
	for _, n := range f.all {
		out = append(out, n.property(name)...)
		if n.names != nil && holds(name, n.names, kindString, 0) == no {
			out = append(out, x.nothing)
		}
	}
	return out
}

// property is what one schema asks of a member; its names aside.
func (n *node) property(name string) (out []*node) {
	if p := n.props[name]; p != nil {
		out = append(out, p)
	}
	for _, p := range n.patterns {
		if p.re.MatchString(name) {
			out = append(out, p.node)
		}
	}
	if len(out) == 0 && n.additional != nil {
		out = append(out, n.additional)
	}
	return out
}

// members are the names that a closed object can have; ok is false for an open one.
func (f *facts) members() (names map[string]bool, ok bool) {
	for _, n := range f.all {
		if n.additional == nil || !n.additional.never || len(n.patterns) > 0 {
			continue
		}
		if names == nil || len(n.props) < len(names) {
			names = map[string]bool{}
			for k := range n.props {
				names[k] = true
			}
		}
		ok = true
	}
	return names, ok
}

// mostProps is how many members an object can have.
func (x *comparison) mostProps(f *facts) int {
	most := math.MaxInt
	if f.maxProps >= 0 {
		most = f.maxProps
	}
	if names, ok := f.members(); ok {
		n := 0
		for name := range names {
			if x.facts(x.property(f, name)).mask != 0 {
				n++
			}
		}
		most = min(most, n)
	}
	return most
}

func keyOf(all []*node) string {
	ids := make([]int, 0, len(all))
	for _, n := range all {
		ids = append(ids, n.id)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(strconv.Itoa(id))
		b.WriteByte(' ')
	}
	return b.String()
}
