package compat

import (
	"fmt"
	"slices"
)

// JSON says why events that pass the JSON Schema w do not all pass r; nothing where all
// of them do. A sentence that begins with "it cannot be shown" tells of what is not
// compared: such an event need not be.
func JSON(w, r []byte) []string {
	x := &comparison{known: map[string]*facts{}, ways: map[*node][]*node{}, assumed: map[string]int{}, failed: map[string]bool{}, of: map[kinds]*node{}, steps: mostSteps}
	a, from, err := readSchema(w, &x.ids)
	if err != nil {
		return []string{unshown + err.Error()}
	}
	b, to, err := readSchema(r, &x.ids)
	if err != nil {
		return []string{unshown + err.Error()}
	}
	if a.canon == b.canon && a.draft == b.draft {
		return nil
	}
	x.any = a.blank("")
	x.nothing = a.blank("")
	x.nothing.never = true
	if !x.within([]*node{from}, to, "") && len(x.faults) == 0 {
		x.fault("", unshown+"the schemas are too large to be compared")
	}
	return x.faults
}

const (
	unshown = "it cannot be shown that all of them pass: "

	shown = -1

	// mostSteps bounds the work of a comparison: alternatives within alternatives multiply.
	mostSteps = 20_000
)

// comparison looks for what one schema takes and another one does not.
type comparison struct {
	ids     int
	known   map[string]*facts
	ways    map[*node][]*node
	of      map[kinds]*node // schemas that ask for a kind and nothing else
	any     *node
	nothing *node
	needs   map[string]*node // schemas that ask for a member and nothing else

	// What was shown, and what is being shown: a schema that refers to itself is within
	// another one when each step further in is, for values end.
	assumed map[string]int // shown, or the level at which it is being shown
	trail   []string
	failed  map[string]bool
	level   int // members and items further in

	depth  int // of facts
	steps  int
	quiet  int // above 0: faults are not written down
	faults []string
}

func (x *comparison) fault(at, format string, args ...any) bool {
	if x.quiet > 0 {
		return false
	}
	s := fmt.Sprintf(format, args...)
	if at != "" {
		s = at + ": " + s
	}
	if len(x.faults) < most && !slices.Contains(x.faults, s) {
		x.faults = append(x.faults, s)
	}
	return false
}

// quietly answers without writing down why not.
func (x *comparison) quietly(f func() bool) bool {
	x.quiet++
	defer func() { x.quiet-- }()
	return f()
}

// within reports whether all that passes every schema of all passes b. What it says is
// shown; when it is not shown the faults say why.
func (x *comparison) within(all []*node, b *node, at string) bool {
	if x.steps--; x.steps <= 0 {
		return x.fault(at, unshown+"the schemas are too large to be compared")
	}
	if b == nil || b.always {
		return true
	}
	f := x.facts(all)
	if f.mask == 0 || slices.ContainsFunc(f.all, func(a *node) bool { return a == b }) {
		return true
	}
	key := keyOf(f.all) + "in " + fmt.Sprint(b.id)
	if level, ok := x.assumed[key]; ok && level < x.level {
		return true
	} else if ok {
		return false // it would be shown by itself
	}
	if x.failed[key] && x.quiet > 0 {
		return false
	}
	mark := len(x.trail)
	x.assumed[key] = x.level
	x.trail = append(x.trail, key)
	if x.show(f, b, at) {
		x.assumed[key] = shown
		return true
	}
	for _, k := range x.trail[mark:] {
		delete(x.assumed, k)
	}
	x.trail = x.trail[:mark]
	x.failed[key] = true
	return false
}

// inside is within, of a part of the value.
func (x *comparison) inside(all []*node, b *node, at string) bool {
	x.level++
	defer func() { x.level-- }()
	return x.within(all, b, at)
}

func (x *comparison) show(f *facts, b *node, at string) bool {
	if vals, ok := f.values(); ok {
		return x.each(f, vals, b, at)
	}
	if x.quietly(func() bool { return x.direct(f, b, at) }) {
		return true
	}
	// Less is easier to show: kind by kind, and one alternative after the other.
	chooses := b.anyOf != nil || b.oneOf != nil || b.enum != nil || b.not != nil || b.cond != nil || b.ref != nil || b.allOf != nil
	if kinds := f.mask.each(); len(kinds) > 1 && chooses && f.mask&^b.types == 0 {
		return x.kindwise(f, kinds, b, at)
	}
	for _, group := range f.alternatives {
		if x.quietly(func() bool { return x.alternatives(f, group, b, at) }) {
			return true
		}
	}
	if len(f.alternatives) > 0 {
		return x.alternatives(f, f.alternatives[0], b, at)
	}
	return x.direct(f, b, at)
}

func (x *comparison) kindwise(f *facts, all []kinds, b *node, at string) bool {
	ok := true
	for _, k := range all {
		if !x.within(append(slices.Clone(f.all), x.kind(k)), b, at) {
			ok = false
		}
	}
	return ok
}

func (x *comparison) alternatives(f *facts, group []*node, b *node, at string) bool {
	ok := true
	for _, n := range group {
		if !x.within(append(slices.Clone(f.all), n), b, at) {
			ok = false
		}
	}
	return ok
}

// kind is a schema that asks for one kind.
func (x *comparison) kind(k kinds) *node {
	if x.of[k] == nil {
		n := x.any.doc.blank("")
		n.types = k
		x.of[k] = n
	}
	return x.of[k]
}

// need is a schema that asks for a member.
func (x *comparison) need(name string) *node {
	if x.needs[name] == nil {
		if x.needs == nil {
			x.needs = map[string]*node{}
		}
		n := x.any.doc.blank("")
		n.types, n.required = kindObject, []string{name}
		x.needs[name] = n
	}
	return x.needs[name]
}

// empty reports whether nothing passes all of some schemas.
func (x *comparison) empty(all ...*node) bool { return x.facts(all).mask == 0 }

// values are all that there can be, where they are few.
func (f *facts) values() ([]any, bool) {
	if f.finite {
		return f.enum, true
	}
	if f.mask&^(kindNull|kindBool) != 0 {
		return nil, false
	}
	var out []any
	if f.mask&kindNull != 0 {
		out = append(out, nil)
	}
	if f.mask&kindBool != 0 {
		out = append(out, true, false)
	}
	return out, true
}

// each asks one value after the other.
func (x *comparison) each(f *facts, vals []any, b *node, at string) bool {
	ok := true
	for _, v := range vals {
		x.steps--
		k := kindsOf(v) & f.mask
		if k == 0 || slices.ContainsFunc(f.all, func(n *node) bool { return holds(v, n, k, 0) == no }) {
			continue // it is none of them after all
		}
		switch holds(v, b, k, 0) {
		case no:
			ok = x.fault(at, "%s is not allowed, and is without it", show(v))
		case unknown:
			if !x.quietly(func() bool { return x.direct(f, b, at) }) {
				ok = x.fault(at, unshown+"whether %s does", show(v))
			}
		}
		if !ok && x.quiet > 0 {
			return false
		}
	}
	return ok
}

// direct goes through the keywords of b.
func (x *comparison) direct(f *facts, b *node, at string) bool {
	if slices.ContainsFunc(f.all, func(a *node) bool { return same(a, b) }) {
		return true
	}
	if b.never {
		return x.fault(at, "nothing is allowed here any more")
	}
	ok := true
	for k, v := range b.opaque {
		if !slices.ContainsFunc(f.all, func(a *node) bool { return sameOpaque(a, b, k) }) {
			ok = x.fault(at, unshown+"%s is not compared (%s)", k, show(v))
		}
	}
	if extra := f.mask &^ b.types; extra != 0 {
		may := extra.String()
		if len(extra.each()) > 4 {
			may = "anything else"
		}
		ok = x.fault(at, "it has to be %s, and may be %s", b.types, may)
	}
	if b.enum != nil {
		ok = x.fault(at, "it has to be %s, and may be something else", listed(b.enum))
	}
	if b.ref != nil && !x.within(f.all, b.ref, at) {
		ok = false
	}
	for _, n := range b.allOf {
		if !x.within(f.all, n, at) {
			ok = false
		}
	}
	if !x.logic(f, b, at) {
		ok = false
	}
	mask := f.mask & b.types
	if mask&kindNumber != 0 && !x.numbers(f, b, mask, at) {
		ok = false
	}
	if mask&kindString != 0 && !x.strings(f, b, at) {
		ok = false
	}
	if mask&kindArray != 0 && !x.lists(f, b, at) {
		ok = false
	}
	if mask&kindObject != 0 && !x.objects(f, b, at) {
		ok = false
	}
	return ok
}

func (x *comparison) logic(f *facts, b *node, at string) bool {
	ok := true
	has := func(pair func(a *node) bool) bool { return slices.ContainsFunc(f.all, pair) }
	if b.anyOf != nil && !has(func(a *node) bool { return sameList(a.anyOf, b.anyOf) }) && !x.quietly(func() bool {
		return slices.ContainsFunc(b.anyOf, func(n *node) bool { return x.within(f.all, n, at) })
	}) {
		if len(b.anyOf) == 1 {
			ok = x.within(f.all, b.anyOf[0], at)
		} else {
			ok = x.fault(at, "none of the %d alternatives of anyOf takes all that may be %s", len(b.anyOf), f.mask)
		}
	}
	if b.oneOf != nil && !has(func(a *node) bool { return sameList(a.oneOf, b.oneOf) }) && !x.quietly(func() bool { return x.one(f, b, at) }) {
		ok = x.fault(at, unshown+"none of the %d alternatives of oneOf takes all that may be %s, and no other of them some of it", len(b.oneOf), f.mask)
	}
	if b.not != nil && !x.empty(append(slices.Clone(f.all), b.not)...) && !has(func(a *node) bool {
		return a.not != nil && x.quietly(func() bool { return x.within([]*node{b.not}, a.not, at) })
	}) {
		ok = x.fault(at, unshown+"not forbids some of it, perhaps")
	}
	if b.cond != nil && !has(func(a *node) bool {
		return a.cond != nil && same(a.cond, b.cond) && sameOrNone(a.then, b.then) && sameOrNone(a.other, b.other)
	}) {
		with := append(slices.Clone(f.all), b.cond)
		then := x.quietly(func() bool { return x.within(with, b.then, at) })
		other := x.quietly(func() bool { return x.within(f.all, b.other, at) || x.within(f.all, b.cond, at) })
		if !then || !other {
			ok = x.fault(at, unshown+"if, then and else are compared where both ways take it")
		}
	}
	return ok
}

func (x *comparison) one(f *facts, b *node, at string) bool {
	for i, n := range b.oneOf {
		if !x.within(f.all, n, at) {
			continue
		}
		alone := true
		for j, o := range b.oneOf {
			if i != j && !x.empty(append(slices.Clone(f.all), n, o)...) {
				alone = false
				break
			}
		}
		if alone {
			return true
		}
	}
	return false
}

func listed(vals []any) string {
	out := ""
	for i, v := range vals {
		if i == 8 {
			return out + fmt.Sprintf(" or one of %d more", len(vals)-i)
		}
		if i > 0 {
			out += " or "
		}
		out += show(v)
	}
	return out
}
