package compat

import (
	"maps"
	"math"
	"slices"
	"strings"
)

const maxInt = math.MaxInt

// same reports whether two schemas ask the same in the same words; false says nothing.
func same(a, b *node) bool { return alike(a, b, map[[2]int]bool{}) }

func sameOrNone(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return same(a, b)
}

func sameList(a, b []*node) bool { return allAlike(a, b, map[[2]int]bool{}) }

// alike follows references: what has been met is alike unless something else differs.
func alike(a, b *node, met map[[2]int]bool) bool {
	switch {
	case a == b:
		return true
	case a == nil || b == nil:
		return false
	}
	if k := [2]int{a.id, b.id}; met[k] {
		return true
	} else {
		met[k] = true
	}
	if a.never != b.never || a.always != b.always || a.types != b.types || !alikeBounds(a.low, b.low) || !alikeBounds(a.high, b.high) ||
		a.minLength != b.minLength || a.maxLength != b.maxLength || a.minItems != b.minItems || a.maxItems != b.maxItems || a.unique != b.unique ||
		a.minProps != b.minProps || a.maxProps != b.maxProps || a.minContain != b.minContain || a.maxContain != b.maxContain {
		return false
	}
	if (a.pattern == nil) != (b.pattern == nil) || a.pattern != nil && *a.pattern != *b.pattern || (a.enum == nil) != (b.enum == nil) || !maps.Equal(a.among, b.among) ||
		!slices.EqualFunc(a.multiples, b.multiples, func(m, n number) bool { return m.rat.Cmp(n.rat) == 0 }) || !sameTexts(a.required, b.required) {
		return false
	}
	for k := range a.opaque {
		if !sameWords(b, a, k) {
			return false
		}
	}
	for _, p := range [][2]*node{{a.rest, b.rest}, {a.contains, b.contains}, {a.additional, b.additional}, {a.names, b.names}, {a.ref, b.ref}, {a.not, b.not},
		{a.cond, b.cond}, {a.then, b.then}, {a.other, b.other}} {
		if !alike(p[0], p[1], met) {
			return false
		}
	}
	return len(a.opaque) == len(b.opaque) && allAlike(a.prefix, b.prefix, met) && allAlike(a.allOf, b.allOf, met) && allAlike(a.anyOf, b.anyOf, met) && allAlike(a.oneOf, b.oneOf, met) &&
		maps.EqualFunc(a.props, b.props, func(x, y *node) bool { return alike(x, y, met) }) &&
		maps.EqualFunc(a.dependents, b.dependents, func(x, y []*node) bool { return allAlike(x, y, met) }) &&
		slices.EqualFunc(a.patterns, b.patterns, func(x, y patterned) bool { return x.text == y.text && alike(x.node, y.node, met) })
}

func allAlike(a, b []*node, met map[[2]int]bool) bool {
	return slices.EqualFunc(a, b, func(x, y *node) bool { return alike(x, y, met) })
}

func alikeBounds(a, b *bound) bool {
	if a == nil || b == nil {
		return a == b
	}
	return equalBounds(a, b)
}

func sameTexts(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// sameOpaque reports whether a has a keyword that is not compared as b has it, with
// nothing in it that could mean something else where the schema around it differs.
func sameOpaque(a, b *node, k string) bool {
	if !sameWords(a, b, k) {
		return false
	}
	if !strings.HasPrefix(k, "unevaluated") {
		return true
	}
	x, y := *a, *b // what unevaluated* means hangs on all that stands beside it
	x.opaque, y.opaque = nil, nil
	return same(&x, &y)
}

// sameWords reports whether a keyword that is not compared stands in both, and refers to nothing.
func sameWords(a, b *node, k string) bool {
	v, ok := a.opaque[k]
	if !ok || a.doc.draft != b.doc.draft {
		return false
	}
	c := canon(v)
	return c == canon(b.opaque[k]) && !strings.Contains(k, "Ref") && k != "$ref" && !strings.Contains(c, `Ref"`) && !strings.Contains(c, `"$ref"`)
}
