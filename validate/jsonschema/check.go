package jsonschema

import (
	"unicode/utf8"

	"github.com/weir-ml/weir/internal/jsonscan"
)

// check reports whether value i passes n. When the steps run out it says
// anything; the caller of all looks at steps. explainer follows the same rules
// and must be changed together with this file.
func (c *Checker) check(n *node, i uint32) bool {
	v := &c.doc.Nodes[i]
	c.steps--
	if n.kinds>>v.Kind&1 == 0 || c.steps <= 0 {
		return false
	}
	if n.integer && v.Kind == jsonscan.Number && !c.isInteger(n, i) {
		return false
	}
	if n.plain {
		return true
	}
	for _, s := range n.values {
		if !c.member(s, i) {
			return false
		}
	}
	switch v.Kind {
	case jsonscan.Number:
		if n.num != nil && !c.number(n.num, i) {
			return false
		}
	case jsonscan.String:
		if n.str != nil && !c.text(n.str, i) {
			return false
		}
	case jsonscan.Array:
		if n.arr != nil && !c.array(n.arr, i) {
			return false
		}
	case jsonscan.Object:
		if n.obj != nil && !c.object(n.obj, i) {
			return false
		}
	}
	return n.logic == nil || c.logic(n.logic, i)
}

func (c *Checker) isInteger(n *node, i uint32) bool {
	v := &c.doc.Nodes[i]
	if v.Flags&jsonscan.Fraction == 0 {
		return true
	}
	if n.written {
		return false
	}
	if d, ok := v.Decimal(); ok {
		return d.IsInteger()
	}
	return c.doc.Rat(i).IsInt()
}

func (c *Checker) number(r *numberRules, i uint32) bool {
	return (r.min == nil || c.compare(i, r.min) >= 0) &&
		(r.max == nil || c.compare(i, r.max) <= 0) &&
		(r.above == nil || c.compare(i, r.above) > 0) &&
		(r.below == nil || c.compare(i, r.below) < 0) &&
		(r.multiple == nil || c.multiple(i, r.multiple))
}

// compare is exact: 0.1+0.2 written out is above 0.3.
func (c *Checker) compare(i uint32, b *bound) int {
	if d, ok := c.doc.Nodes[i].Decimal(); ok && b.exact {
		return d.Compare(b.dec)
	}
	c.steps -= 100
	return c.doc.Rat(i).Cmp(b.rat)
}

func (c *Checker) multiple(i uint32, b *bound) bool {
	if d, ok := c.doc.Nodes[i].Decimal(); ok && b.exact {
		return d.MultipleOf(b.dec)
	}
	c.steps -= 100
	q := c.doc.Rat(i)
	return q.Quo(q, b.rat).IsInt()
}

func (c *Checker) text(r *stringRules, i uint32) bool {
	v := &c.doc.Nodes[i]
	var s []byte
	s, c.buf = c.doc.Text(i, c.buf)
	if r.min > 0 || r.max >= 0 {
		n := characters(v, s)
		if n < r.min || r.max >= 0 && n > r.max {
			return false
		}
	}
	if r.pattern != nil {
		c.steps -= len(s) >> 4
		if !r.pattern.match(s) {
			return false
		}
	}
	return r.format == nil || r.format.Validate(string(s)) == nil
}

func characters(v *jsonscan.Node, s []byte) int {
	if v.Flags&jsonscan.NonASCII == 0 {
		return len(s)
	}
	return utf8.RuneCount(s)
}

func (c *Checker) array(r *arrayRules, i uint32) bool {
	v := &c.doc.Nodes[i]
	n, end := int(v.Len), v.Next
	if n < r.min || r.max >= 0 && n > r.max {
		return false
	}
	if r.prefix != nil || r.rest != nil {
		k := 0
		for m := i + 1; m < end; m = c.doc.Nodes[m].Next {
			x := r.rest
			if k < len(r.prefix) {
				x = r.prefix[k]
			}
			if x != nil && !c.check(x, m) {
				return false
			}
			k++
		}
	}
	if r.contains != nil {
		k := 0
		for m := i + 1; m < end; m = c.doc.Nodes[m].Next {
			if c.check(r.contains, m) {
				k++
			}
		}
		if k < r.minC || r.maxC >= 0 && k > r.maxC {
			return false
		}
	}
	if r.unique {
		a, _ := c.twin(i)
		return a == 0
	}
	return true
}

func (c *Checker) object(r *objectRules, i uint32) bool {
	v := &c.doc.Nodes[i]
	n, end := int(v.Len), v.Next
	if n < r.min || r.max >= 0 && n > r.max {
		return false
	}
	if len(r.table) > 0 || r.patterns != nil || r.additional != nil || r.names != nil {
		have := 0
		for m := i + 1; m < end; {
			x := &c.doc.Nodes[m]
			taken := false
			if k := uint32(x.Key - r.base); k < uint32(len(r.table)) {
				p := &r.table[k]
				if p.required {
					have++
				}
				if p.node != nil {
					if !c.check(p.node, m) {
						return false
					}
					taken = true
				}
			}
			if !taken || r.patterns != nil || r.names != nil {
				if !c.beyond(r, m, taken) {
					return false
				}
			}
			m = x.Next
		}
		// No key stands twice, so counting is enough.
		if have < len(r.required) {
			return false
		}
	}
	for k := range r.depends {
		if d := &r.depends[k]; c.has(i, d.sym) {
			for _, o := range d.others {
				if !c.has(i, o) {
					return false
				}
			}
			if d.node != nil && !c.check(d.node, i) {
				return false
			}
		}
	}
	return true
}

// beyond checks what properties does not say about member m.
func (c *Checker) beyond(r *objectRules, m uint32, taken bool) bool {
	if r.patterns != nil {
		var key []byte
		key, c.buf = c.doc.KeyText(m, c.buf)
		c.steps -= len(r.patterns)
		for k := range r.patterns {
			p := &r.patterns[k]
			if !p.pattern.match(key) {
				continue
			}
			taken = true
			if !c.check(p.node, m) {
				return false
			}
			if k+1 < len(r.patterns) { // the check may have used the buffer
				key, c.buf = c.doc.KeyText(m, c.buf)
			}
		}
	}
	if !taken && r.additional != nil && !c.check(r.additional, m) {
		return false
	}
	return r.names == nil || c.name(r.names, m)
}

// name checks the key of member m as a value: it becomes a node of its own for as long as that takes.
func (c *Checker) name(n *node, m uint32) bool {
	ok := c.check(n, c.pushName(m))
	c.doc.Nodes = c.doc.Nodes[:len(c.doc.Nodes)-1]
	return ok
}

func (c *Checker) pushName(m uint32) uint32 {
	at := uint32(len(c.doc.Nodes))
	x := &c.doc.Nodes[m]
	k := jsonscan.Node{Kind: jsonscan.String, Flags: jsonscan.NonASCII, Start: x.KeyStart, End: x.KeyEnd, Next: at + 1}
	if x.Flags&jsonscan.KeyEscaped != 0 {
		k.Flags |= jsonscan.Escaped
	}
	c.doc.Nodes = append(c.doc.Nodes, k)
	return at
}

// has reports whether object i has a key with this symbol.
func (c *Checker) has(i uint32, sym int32) bool {
	end := c.doc.Nodes[i].Next
	for m := i + 1; m < end; {
		x := &c.doc.Nodes[m]
		c.steps--
		if x.Key == sym {
			return true
		}
		m = x.Next
	}
	return false
}

func (c *Checker) logic(l *logicRules, i uint32) bool {
	if l.ref != nil && !c.check(l.ref, i) {
		return false
	}
	for _, n := range l.all {
		if !c.check(n, i) {
			return false
		}
	}
	if l.any != nil && !c.anyOf(l, i) {
		return false
	}
	if l.one != nil {
		if a, b := c.oneOf(l, i); a < 0 || b >= 0 {
			return false
		}
	}
	if l.not != nil && c.check(l.not, i) {
		return false
	}
	if l.cond != nil {
		x := l.other
		if c.check(l.cond, i) {
			x = l.then
		}
		return x == nil || c.check(x, i)
	}
	return true
}

func (c *Checker) anyOf(l *logicRules, i uint32) bool {
	for _, n := range l.any {
		if c.check(n, i) {
			return true
		}
	}
	return false
}

// oneOf returns the first two alternatives that match, -1 for none.
func (c *Checker) oneOf(l *logicRules, i uint32) (a, b int) {
	a, b = -1, -1
	for k, n := range l.one {
		if c.check(n, i) {
			if a >= 0 {
				return a, k
			}
			a = k
		}
	}
	return a, b
}
