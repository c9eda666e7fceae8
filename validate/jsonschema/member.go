package jsonschema

import (
	"bytes"
	"math"
	"math/big"

	"github.com/weir-ml/weir/internal/jsonscan"
)

// Member is what a schema asks of one member of an event, for whoever has the
// values of many events in columns and not as JSON. Its methods mark the rows
// whose value it does not vouch for; those may be good all the same, and are
// judged as events. A row that no member marks passes the schema.
type Member struct {
	null, yes, no bool
	number        numberColumn
	text          textColumn
}

// numberColumn is the number rules of a member as ranges.
type numberColumn struct {
	none    bool // no number passes, or its rules have no form here
	written bool // an integer by how it is written: what a float column wrote is unknown
	integer bool
	low     int64 // of integers; both ends pass
	high    int64
	min     float64 // of floats
	max     float64
	ties    []float64 // where a float alone does not tell the side of a bound that its text is on
	above   []float64
	below   []float64
	steps   []int64
	sets    []numberSet
}

type numberSet struct {
	ints   []int64
	floats []float64
}

// textColumn is the string rules of a member.
type textColumn struct {
	none  bool
	rules []*stringRules
	sets  []*valueSet
}

// Flat gives what the schema asks of events that are objects with exactly these
// members, none of them an object or array, in the order of the names. False
// when it asks for more than each member on its own, or when no such event passes.
func (s *Schema) Flat(names []string) ([]*Member, bool) {
	if s.root == nil || s.steps < defaultSteps {
		return nil, false
	}
	roots, ok := s.root.of(jsonscan.Object, nil)
	if !ok {
		return nil, false
	}
	parts := make([][]*node, len(names))
	for _, r := range roots {
		if r.values != nil {
			return nil, false
		}
		o := r.obj
		if o == nil {
			continue
		}
		if o.patterns != nil || o.names != nil || o.depends != nil || len(names) < o.min || o.max >= 0 && len(names) > o.max {
			return nil, false
		}
		have := 0
		for i, name := range names {
			id := s.syms.Lookup([]byte(name))
			var p property
			if k := uint32(id - o.base); k < uint32(len(o.table)) {
				p = o.table[k]
			}
			if p.required {
				have++
			}
			if p.node == nil {
				p.node = o.additional
			}
			if p.node != nil {
				parts[i] = append(parts[i], p.node)
			}
		}
		if have < len(o.required) {
			return nil, false
		}
	}
	out := make([]*Member, len(names))
	for i, nodes := range parts {
		if out[i], ok = member(nodes); !ok {
			return nil, false
		}
	}
	return out, true
}

// of collects the nodes that judge values of one kind; false when no value of
// it passes, or when which nodes they are depends on the value.
func (n *node) of(k jsonscan.Kind, have []*node) ([]*node, bool) {
	if n.never || n.kinds>>k&1 == 0 {
		return nil, false
	}
	have = append(have, n)
	l := n.logic
	if l == nil {
		return have, true
	}
	if l.not != nil || l.cond != nil {
		return nil, false
	}
	ok := true
	if l.ref != nil {
		if have, ok = l.ref.of(k, have); !ok {
			return nil, false
		}
	}
	for _, x := range l.all {
		if have, ok = x.of(k, have); !ok {
			return nil, false
		}
	}
	for _, list := range [][]*node{l.any, l.one} {
		if list == nil {
			continue
		}
		var only *node
		for _, x := range list {
			if x.never || x.kinds>>k&1 == 0 {
				continue
			}
			if only != nil {
				return nil, false
			}
			only = x
		}
		if only == nil {
			return nil, false
		}
		if have, ok = only.of(k, have); !ok {
			return nil, false
		}
	}
	return have, true
}

func member(nodes []*node) (*Member, bool) {
	all := func(k jsonscan.Kind) ([]*node, bool) {
		var have []*node
		ok := true
		for _, n := range nodes {
			if have, ok = n.of(k, have); !ok {
				return nil, false
			}
		}
		return have, true
	}
	constant := func(k jsonscan.Kind) bool {
		have, ok := all(k)
		for _, n := range have {
			for _, s := range n.values {
				ok = ok && s.kinds>>k&1 == 1
			}
		}
		return ok
	}
	m := &Member{null: constant(jsonscan.Null), yes: constant(jsonscan.True), no: constant(jsonscan.False)}
	if have, ok := all(jsonscan.Number); !ok || !m.number.take(have) {
		m.number.none = true
	}
	if have, ok := all(jsonscan.String); ok {
		for _, n := range have {
			if n.str != nil {
				m.text.rules = append(m.text.rules, n.str)
			}
			m.text.sets = append(m.text.sets, n.values...)
		}
	} else {
		m.text.none = true
	}
	return m, m.null || m.yes || m.no || !m.number.none || !m.text.none
}

// take makes ranges of the number rules; false when one of them has no such form.
func (c *numberColumn) take(nodes []*node) bool {
	c.low, c.high, c.min, c.max = math.MinInt64, math.MaxInt64, math.Inf(-1), math.Inf(1)
	for _, n := range nodes {
		if n.integer {
			c.integer, c.written = true, c.written || n.written
		}
		for _, s := range n.values {
			set := numberSet{}
			for _, b := range s.numbers {
				f, ok := b.float()
				if !ok {
					return false
				}
				set.floats = append(set.floats, f)
				if b.rat.IsInt() && b.rat.Num().IsInt64() {
					set.ints = append(set.ints, b.rat.Num().Int64())
				}
			}
			c.sets = append(c.sets, set)
		}
		r := n.num
		if r == nil {
			continue
		}
		if r.multiple != nil {
			if !r.multiple.rat.IsInt() || !r.multiple.rat.Num().IsInt64() {
				return false
			}
			c.steps = append(c.steps, r.multiple.rat.Num().Int64())
		}
		for _, b := range []struct {
			b           *bound
			lower, open bool
		}{{r.min, true, false}, {r.above, true, true}, {r.max, false, false}, {r.below, false, true}} {
			if b.b != nil && !c.bound(b.b, b.lower, b.open) {
				return false
			}
		}
	}
	return true
}

func (c *numberColumn) bound(b *bound, lower, open bool) bool {
	f, ok := b.float()
	if !ok {
		return false
	}
	c.ties = append(c.ties, f)
	floor := new(big.Int).Div(b.rat.Num(), b.rat.Denom())
	whole := b.rat.IsInt()
	switch {
	case !floor.IsInt64() || floor.Int64() == math.MaxInt64 || floor.Int64() == math.MinInt64: // beyond all integers, or at their end
		if lower == (b.rat.Sign() > 0) {
			c.low, c.high = 1, 0
		}
	case lower && whole && !open:
		c.low = max(c.low, floor.Int64())
	case lower:
		c.low = max(c.low, floor.Int64()+1)
	case whole && open:
		c.high = min(c.high, floor.Int64()-1)
	default:
		c.high = min(c.high, floor.Int64())
	}
	switch {
	case lower && open:
		c.above = append(c.above, f)
	case lower:
		c.min = max(c.min, f)
	case open:
		c.below = append(c.below, f)
	default:
		c.max = min(c.max, f)
	}
	return true
}

// float is the bound as the one float that its text, of at most 15 digits,
// shares with no other text as short: floats and their shortest texts then
// compare with it alike.
func (b *bound) float() (float64, bool) {
	if !b.exact || b.dec.Normal().Mant >= 1e15 {
		return 0, false
	}
	f, _ := b.rat.Float64()
	return f, !math.IsInf(f, 0) && (f == 0 || math.Abs(f) > 1e-300)
}

// Null and Bool report whether that value passes.
func (m *Member) Null() bool       { return m.null }
func (m *Member) Bool(v bool) bool { return v && m.yes || !v && m.no }

// Texts reports whether every text passes.
func (m *Member) Texts() bool { return !m.text.none && m.text.rules == nil && m.text.sets == nil }

// Lengths reports whether every ASCII text passes that has between low and high characters.
func (m *Member) Lengths(low, high int) bool {
	if m.text.none || m.text.sets != nil {
		return false
	}
	for _, r := range m.text.rules {
		if r.pattern != nil || r.format != nil || r.min > low || r.max >= 0 && r.max < high {
			return false
		}
	}
	return true
}

// Numbers reports whether a number can pass at all.
func (m *Member) Numbers() bool { return !m.number.none }

// Int reports whether an integer passes.
func (m *Member) Int(v int64) bool {
	c := &m.number
	if c.none || v < c.low || v > c.high {
		return false
	}
	for _, s := range c.steps {
		if v%s != 0 {
			return false
		}
	}
	for _, s := range c.sets {
		if !contains(s.ints, v) {
			return false
		}
	}
	return true
}

// Range is the integers that pass, both ends included; plain tells that all of them do.
func (m *Member) Range() (low, high int64, plain bool) {
	c := &m.number
	return c.low, c.high, !c.none && c.steps == nil && c.sets == nil
}

// Float reports whether a number passes that is written as the shortest text of
// v, or with at most 15 digits. long tells that it has more: then what is exactly
// a bound is not vouched for.
func (m *Member) Float(v float64, long bool) bool {
	c := &m.number
	if c.none || c.written || c.steps != nil || !(v >= c.min && v <= c.max) || c.integer && (long || v != math.Trunc(v)) {
		return false
	}
	for _, b := range c.above {
		if v <= b {
			return false
		}
	}
	for _, b := range c.below {
		if v >= b {
			return false
		}
	}
	if long && contains(c.ties, v) {
		return false
	}
	for _, s := range c.sets {
		if long || !contains(s.floats, v) {
			return false
		}
	}
	return true
}

// Interval is two numbers between which, themselves excluded, all pass however
// they are written; low is not below high where there is nothing between.
func (m *Member) Interval() (low, high float64) {
	c := &m.number
	if c.none || c.integer || c.steps != nil || c.sets != nil {
		return math.Inf(1), math.Inf(-1)
	}
	low, high = c.min, c.max
	for _, b := range c.above {
		low = max(low, b)
	}
	for _, b := range c.below {
		high = min(high, b)
	}
	return low, high
}

// Text reports whether a text passes. It must be UTF-8.
func (m *Member) Text(v []byte) bool {
	if m.text.none {
		return false
	}
	for _, s := range m.text.sets {
		if !s.hasText(v) {
			return false
		}
	}
	for _, r := range m.text.rules {
		if r.min > 0 || r.max >= 0 {
			n := characters(&jsonscan.Node{Flags: jsonscan.NonASCII}, v)
			if n < r.min || r.max >= 0 && n > r.max {
				return false
			}
		}
		if r.pattern != nil && !r.pattern.match(v) || r.format != nil && r.format.Validate(string(v)) != nil {
			return false
		}
	}
	return true
}

func (s *valueSet) hasText(v []byte) bool {
	if s.lookup != nil {
		_, ok := s.lookup[string(v)]
		return ok
	}
	for _, x := range s.texts {
		if bytes.Equal(x, v) {
			return true
		}
	}
	return false
}

func contains[T comparable](list []T, v T) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}
