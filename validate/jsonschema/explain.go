package jsonschema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// explainer walks like check, but goes on after a fault and writes each down.
// Inside anyOf, oneOf and not it asks check: which of several alternatives was
// meant is not known, so the keyword itself is the reason.
type explainer struct {
	c       *Checker
	reasons []feature.Reason
}

func (e *explainer) add(keyword, path string, i uint32, expected string, args ...any) {
	if len(args) > 0 {
		expected = fmt.Sprintf(expected, args...)
	}
	r := feature.Reason{Rule: "schema." + keyword, Path: path, Expected: expected}
	if int(i) < len(e.c.doc.Nodes) {
		r.Value = feature.Shorten(e.c.doc.AppendText(nil, i))
	}
	for _, o := range e.reasons {
		if o == r { // reached twice, by two references
			return
		}
	}
	e.reasons = append(e.reasons, r)
}

// none stands for "no value" in add.
const none = ^uint32(0)

// atMost bounds the reasons of one event; a broken array of a million items says enough with these.
const atMost = 100

func (e *explainer) node(n *node, i uint32, path string) {
	c := e.c
	v := &c.doc.Nodes[i]
	c.steps--
	if c.steps <= 0 || len(e.reasons) >= atMost {
		return
	}
	if n.never {
		e.add("false", path, i, "nothing here: the schema accepts no value")
		return
	}
	if n.kinds>>v.Kind&1 == 0 || n.integer && v.Kind == jsonscan.Number && !c.isInteger(n, i) {
		e.add("type", path, i, "type "+n.types)
	}
	for _, s := range n.values {
		if !c.member(s, i) {
			e.add(s.keyword, path, i, s.text)
		}
	}
	switch v.Kind {
	case jsonscan.Number:
		if n.num != nil {
			e.number(n.num, i, path)
		}
	case jsonscan.String:
		if n.str != nil {
			e.text(n.str, i, path)
		}
	case jsonscan.Array:
		if n.arr != nil {
			e.array(n.arr, i, path)
		}
	case jsonscan.Object:
		if n.obj != nil {
			e.object(n.obj, i, path)
		}
	}
	if n.logic != nil {
		e.logic(n.logic, i, path)
	}
}

func (e *explainer) number(r *numberRules, i uint32, path string) {
	c := e.c
	if r.min != nil && c.compare(i, r.min) < 0 {
		e.add("minimum", path, i, "at least "+r.min.text)
	}
	if r.max != nil && c.compare(i, r.max) > 0 {
		e.add("maximum", path, i, "at most "+r.max.text)
	}
	if r.above != nil && c.compare(i, r.above) <= 0 {
		e.add("exclusiveMinimum", path, i, "above "+r.above.text)
	}
	if r.below != nil && c.compare(i, r.below) >= 0 {
		e.add("exclusiveMaximum", path, i, "below "+r.below.text)
	}
	if r.multiple != nil && !c.multiple(i, r.multiple) {
		e.add("multipleOf", path, i, "a multiple of "+r.multiple.text)
	}
}

func (e *explainer) text(r *stringRules, i uint32, path string) {
	s := e.c.doc.AppendText(nil, i)
	n := characters(&e.c.doc.Nodes[i], s)
	if n < r.min {
		e.add("minLength", path, i, "at least %d characters", r.min)
	}
	if r.max >= 0 && n > r.max {
		e.add("maxLength", path, i, "at most %d characters", r.max)
	}
	if r.pattern != nil && !r.pattern.match(s) {
		e.add("pattern", path, i, "text that matches "+r.pattern.String())
	}
	if r.format != nil {
		if err := r.format.Validate(string(s)); err != nil {
			e.add("format", path, i, "a valid "+r.format.Name)
		}
	}
}

func (e *explainer) array(r *arrayRules, i uint32, path string) {
	c := e.c
	n, end := int(c.doc.Nodes[i].Len), c.doc.Nodes[i].Next
	if n < r.min {
		e.add("minItems", path, i, "at least %d items", r.min)
	}
	if r.max >= 0 && n > r.max {
		e.add("maxItems", path, i, "at most %d items", r.max)
	}
	k, found := 0, 0
	for m := i + 1; m < end && len(e.reasons) < atMost; m = c.doc.Nodes[m].Next {
		x, at := r.rest, path+"["+strconv.Itoa(k)+"]"
		if k < len(r.prefix) {
			x = r.prefix[k]
		} else if x != nil && x.never {
			e.add(r.restKey, path, i, "at most %d items", len(r.prefix))
			x = nil
		}
		if x != nil {
			e.node(x, m, at)
		}
		if r.contains != nil && c.check(r.contains, m) {
			found++
		}
		k++
	}
	if k == n && r.contains != nil {
		switch {
		case found < r.minC && r.minC == 1:
			e.add("contains", path, i, "an item that matches")
		case found < r.minC:
			e.add("minContains", path, i, "at least %d items that match", r.minC)
		case r.maxC >= 0 && found > r.maxC:
			e.add("maxContains", path, i, "at most %d items that match", r.maxC)
		}
	}
	if r.unique {
		if a, b := c.twin(i); a != 0 {
			e.add("uniqueItems", path, i, "items that differ (%d and %d are equal)", c.ordinal(i, a), c.ordinal(i, b))
		}
	}
}

func (c *Checker) ordinal(i, item uint32) int {
	k := 0
	for m := i + 1; m < item; m = c.doc.Nodes[m].Next {
		k++
	}
	return k
}

func (e *explainer) object(r *objectRules, i uint32, path string) {
	c := e.c
	n, end := int(c.doc.Nodes[i].Len), c.doc.Nodes[i].Next
	if n < r.min {
		e.add("minProperties", path, i, "at least %d properties", r.min)
	}
	if r.max >= 0 && n > r.max {
		e.add("maxProperties", path, i, "at most %d properties", r.max)
	}
	for _, id := range r.required {
		if !c.has(i, id) {
			e.add("required", join(path, c.schema.syms.Name(id)), none, "to be present")
		}
	}
	for m := i + 1; m < end && len(e.reasons) < atMost; m = c.doc.Nodes[m].Next {
		x := &c.doc.Nodes[m]
		var key []byte
		key, _ = c.doc.KeyText(m, nil)
		at := join(path, string(key))
		taken := false
		if k := uint32(x.Key - r.base); k < uint32(len(r.table)) && r.table[k].node != nil {
			taken = true
			e.node(r.table[k].node, m, at)
		}
		for _, p := range r.patterns {
			if p.pattern.match(key) {
				taken = true
				e.node(p.node, m, at)
			}
		}
		if !taken && r.additional != nil {
			if r.additional.never {
				e.add("additionalProperties", at, m, "no property of this name")
			} else {
				e.node(r.additional, m, at)
			}
		}
		if r.names != nil && !c.name(r.names, m) {
			e.add("propertyNames", at, m, "a name that the schema allows")
		}
	}
	for _, d := range r.depends {
		if !c.has(i, d.sym) {
			continue
		}
		for _, o := range d.others {
			if !c.has(i, o) {
				e.add(d.keyword, join(path, c.schema.syms.Name(o)), none, "to be present where "+c.schema.syms.Name(d.sym)+" is")
			}
		}
		if d.node != nil {
			e.node(d.node, i, path)
		}
	}
}

func (e *explainer) logic(l *logicRules, i uint32, path string) {
	c := e.c
	if l.ref != nil {
		e.node(l.ref, i, path)
	}
	for _, n := range l.all {
		e.node(n, i, path)
	}
	if l.any != nil && !c.anyOf(l, i) {
		e.add("anyOf", path, i, "at least one of %d alternatives%s", len(l.any), hint(l.any))
	}
	if l.one != nil {
		switch a, b := c.oneOf(l, i); {
		case a < 0:
			e.add("oneOf", path, i, "exactly one of %d alternatives, none fits%s", len(l.one), hint(l.one))
		case b >= 0:
			e.add("oneOf", path, i, "exactly one of %d alternatives, %d and %d both fit", len(l.one), a, b)
		}
	}
	if l.not != nil && c.check(l.not, i) {
		e.add("not", path, i, "not to match the schema under not")
	}
	if l.cond != nil {
		if c.check(l.cond, i) {
			if l.then != nil {
				e.node(l.then, i, path)
			}
		} else if l.other != nil {
			e.node(l.other, i, path)
		}
	}
}

// hint says which types alternatives take, where that is all they say.
func hint(ns []*node) string {
	var types []string
	for _, n := range ns {
		if n.types == "" {
			return ""
		}
		types = append(types, n.types)
	}
	return " (" + strings.Join(types, ", ") + ")"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
