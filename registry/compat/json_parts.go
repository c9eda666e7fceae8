package compat

import (
	"maps"
	"math/big"
	"slices"
	"strconv"
)

func (x *comparison) numbers(f *facts, b *node, mask kinds, at string) bool {
	ok := true
	if b.low != nil && (f.low == nil || tighter(f.low, b.low, 1) != f.low && !equalBounds(f.low, b.low)) {
		ok = x.fault(at, "it has to be %s, and may be %s", limit("at least", "above", b.low), orAny(limit("as low as", "just above", f.low), f.low == nil))
	}
	if b.high != nil && (f.high == nil || tighter(f.high, b.high, -1) != f.high && !equalBounds(f.high, b.high)) {
		ok = x.fault(at, "it has to be %s, and may be %s", limit("at most", "below", b.high), orAny(limit("as high as", "just below", f.high), f.high == nil))
	}
	for _, m := range b.multiples {
		if mask&kindFraction == 0 && wholeMultiple(big.NewRat(1, 1), m.rat) {
			continue
		}
		if !slices.ContainsFunc(f.all, func(a *node) bool {
			return slices.ContainsFunc(a.multiples, func(o number) bool { return wholeMultiple(o.rat, m.rat) })
		}) {
			ok = x.fault(at, "it has to be a multiple of %s, and need not be", m.text)
		}
	}
	return ok
}

func equalBounds(a, b *bound) bool { return a.open == b.open && a.rat.Cmp(b.rat) == 0 }

func limit(closed, open string, b *bound) string {
	switch {
	case b == nil:
		return ""
	case b.open:
		return open + " " + b.text
	}
	return closed + " " + b.text
}

func orAny(s string, any bool) string {
	if any {
		return "any number"
	}
	return s
}

// count compares bounds of a count, of which the upper one is missing where it is -1.
func (x *comparison) count(least, most, wantLeast, wantMost int, what, at string) bool {
	ok := true
	if wantLeast > least {
		ok = x.fault(at, "it has to have at least %d %s, and may have %d", wantLeast, what, max(least, 0))
	}
	if wantMost >= 0 && (most < 0 || most > wantMost) {
		if most < 0 {
			return x.fault(at, "it has to have at most %d %s, and may have any number of them", wantMost, what)
		}
		return x.fault(at, "it has to have at most %d %s, and may have %d", wantMost, what, most)
	}
	return ok
}

func (x *comparison) strings(f *facts, b *node, at string) bool {
	ok := x.count(max(f.minLength, 0), f.maxLength, b.minLength, b.maxLength, "characters", at)
	if b.pattern == nil || slices.Contains([]string{"", ".*", "^", "$", "^.*"}, *b.pattern) {
		return ok
	}
	if slices.ContainsFunc(f.all, func(a *node) bool { return a.pattern != nil && *a.pattern == *b.pattern }) {
		return ok
	}
	for _, a := range f.all {
		if a.pattern != nil {
			return x.fault(at, unshown+"the pattern %q cannot be compared with %q", *b.pattern, *a.pattern)
		}
	}
	return x.fault(at, "it has to match %q, and need not", *b.pattern)
}

func (x *comparison) lists(f *facts, b *node, at string) bool {
	ok := x.count(f.minItems, f.maxItems, b.minItems, b.maxItems, "items", at)
	if b.unique && !f.unique && (f.maxItems < 0 || f.maxItems > 1) {
		ok = x.fault(at, "its items have to differ, and need not")
	}
	own := len(b.prefix)
	for _, a := range f.all {
		own = max(own, len(a.prefix))
	}
	for i := 0; i < own && (f.maxItems < 0 || i < f.maxItems); i++ {
		want := b.rest
		if i < len(b.prefix) {
			want = b.prefix[i]
		}
		if !x.inside(f.item(i), want, at+"["+strconv.Itoa(i)+"]") {
			ok = false
		}
	}
	if (f.maxItems < 0 || f.maxItems > own) && !x.inside(f.item(own), b.rest, at+"[]") {
		ok = false
	}
	if b.contains != nil && !x.quietly(func() bool { return x.contains(f, b, own) }) {
		ok = x.fault(at, unshown+"contains asks for an item that need not be there")
	}
	return ok
}

func (x *comparison) contains(f *facts, b *node, own int) bool {
	least, most := b.minContain <= 0, b.maxContain < 0 || f.maxItems >= 0 && f.maxItems <= b.maxContain
	for _, a := range f.all {
		if a.contains == nil {
			continue
		}
		least = least || a.minContain >= b.minContain && x.inside([]*node{a.contains}, b.contains, "")
		most = most || a.maxContain >= 0 && a.maxContain <= b.maxContain && x.inside([]*node{b.contains}, a.contains, "")
	}
	if !least && f.minItems >= b.minContain {
		least = true
		for i := 0; i <= own && least; i++ {
			least = x.inside(f.item(i), b.contains, "")
		}
	}
	return least && most
}

func (x *comparison) objects(f *facts, b *node, at string) bool {
	ok := true
	for _, r := range b.required {
		if !f.required[r] {
			ok = x.fault(under(at, r), "it has to be there, and may be missing")
		}
	}
	most := x.mostProps(f)
	if most == maxInt {
		most = -1
	}
	if !x.count(max(f.minProps, len(f.required)), most, b.minProps, b.maxProps, "members", at) {
		ok = false
	}
	for _, name := range slices.Sorted(maps.Keys(x.named(f, b))) {
		have := x.property(f, name)
		for _, want := range b.property(name) {
			switch {
			case !want.never:
				if !x.inside(have, want, under(at, name)) {
					ok = false
				}
			case !x.empty(have...):
				ok = x.fault(under(at, name), "it has to be missing, and may be there")
			}
		}
	}
	for _, p := range b.patterns {
		if !x.matching(f, p, at) {
			ok = false
		}
	}
	if b.additional != nil && !x.additional(f, b, at) {
		ok = false
	}
	if b.names != nil && !x.names(f, b, at) {
		ok = false
	}
	for _, name := range slices.Sorted(maps.Keys(b.dependents)) {
		for _, dep := range b.dependents[name] {
			if !x.within(append(slices.Clone(f.all), x.need(name)), dep, at) {
				ok = false
			}
		}
	}
	return ok
}

// named are the members that either side speaks of by name.
func (x *comparison) named(f *facts, b *node) map[string]bool {
	names := map[string]bool{}
	for k := range b.props {
		names[k] = true
	}
	for _, a := range f.all {
		for k := range a.props {
			names[k] = true
		}
	}
	return names
}

// matching compares the members whose names match a pattern, and that nobody names.
func (x *comparison) matching(f *facts, p patterned, at string) bool {
	var have []*node
	for _, a := range f.all {
		given := slices.IndexFunc(a.patterns, func(o patterned) bool { return o.text == p.text })
		switch {
		case given >= 0:
			have = append(have, a.patterns[given].node)
		case len(a.patterns) == 0 && a.additional != nil:
			have = append(have, a.additional)
		}
	}
	return x.others(have, p.node, at, "a member whose name matches "+strconv.Quote(p.text))
}

// additional compares the members that b has neither by name nor by pattern.
func (x *comparison) additional(f *facts, b *node, at string) bool {
	var have []*node
	var perhaps [][]*node // of these one holds
	for _, a := range f.all {
		var rest []*node
		for _, p := range a.patterns {
			if !slices.ContainsFunc(b.patterns, func(o patterned) bool { return o.text == p.text }) {
				rest = append(rest, p.node)
			}
		}
		switch {
		case len(rest) == 0 && a.additional != nil:
			have = append(have, a.additional)
		case len(rest) > 0:
			if a.additional != nil {
				rest = append(rest, a.additional)
			} else {
				rest = append(rest, x.any)
			}
			perhaps = append(perhaps, rest)
		}
	}
	if x.quietly(func() bool { return x.inside(have, b.additional, at) }) {
		return true
	}
	for _, rest := range perhaps {
		if x.quietly(func() bool {
			return !slices.ContainsFunc(rest, func(n *node) bool { return !x.inside(append(slices.Clone(have), n), b.additional, at) })
		}) {
			return true
		}
	}
	return x.others(have, b.additional, at, "a member of any other name")
}

func (x *comparison) others(have []*node, want *node, at, which string) bool {
	if !want.never {
		return x.inside(have, want, under(at, "*"))
	}
	return x.empty(have...) || x.fault(at, "%s may be there, and must not", which)
}

func (x *comparison) names(f *facts, b *node, at string) bool {
	var have []*node
	for _, a := range f.all {
		if a.names != nil {
			have = append(have, a.names)
		}
	}
	if len(have) > 0 && x.quietly(func() bool { return x.inside(append(have, x.kind(kindString)), b.names, at) }) {
		return true
	}
	if names, ok := f.members(); ok {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if holds(name, b.names, kindString, 0) != yes && !x.empty(x.property(f, name)...) {
				return x.fault(under(at, name), "a member cannot be called so, and may be")
			}
		}
		return true
	}
	return x.inside([]*node{x.kind(kindString)}, b.names, under(at, "* (the name)"))
}
