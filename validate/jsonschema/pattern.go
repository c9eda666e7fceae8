package jsonschema

import "regexp/syntax"

// quickPattern matches expressions of the form ^a{2}[0-9]+...$: a sequence of
// ASCII characters and classes, each with a count. The end may be left open.
// It never looks back, which is right because a class with a variable count is
// only taken when nothing that may follow it could start with one of its
// characters: what it swallows, nobody else could have used.
type quickPattern struct {
	items []quickItem
	open  bool // no $ at the end
}

type quickItem struct {
	set      [2]uint64 // bit c is set for each ASCII character of the class
	min, max int
}

func (it *quickItem) has(c byte) bool { return c < 128 && it.set[c>>6]>>(c&63)&1 != 0 }

func (p *quickPattern) match(b []byte) bool {
	i := 0
	for k := range p.items {
		it := &p.items[k]
		n := 0
		for n < it.max && i < len(b) && it.has(b[i]) {
			i++
			n++
		}
		if n < it.min {
			return false
		}
	}
	return p.open || i == len(b)
}

// compileQuick returns nil for expressions of any other form.
func compileQuick(expr string) *quickPattern {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return nil
	}
	subs := re.Sub[1:]
	p := &quickPattern{open: true}
	if n := len(subs); n > 0 && subs[n-1].Op == syntax.OpEndText {
		p.open, subs = false, subs[:n-1]
	}
	for _, s := range subs {
		if !p.add(s) {
			return nil
		}
	}
	for k := range p.items {
		it := &p.items[k]
		if it.min == it.max {
			continue
		}
		for next := k + 1; next < len(p.items); next++ {
			o := &p.items[next]
			if it.set[0]&o.set[0]|it.set[1]&o.set[1] != 0 {
				return nil
			}
			if o.min > 0 {
				break
			}
		}
	}
	return p
}

const unbounded = int(^uint(0) >> 1)

func (p *quickPattern) add(s *syntax.Regexp) bool {
	lo, hi := 1, 1
	switch s.Op {
	case syntax.OpStar:
		lo, hi, s = 0, unbounded, s.Sub[0]
	case syntax.OpPlus:
		lo, hi, s = 1, unbounded, s.Sub[0]
	case syntax.OpQuest:
		lo, hi, s = 0, 1, s.Sub[0]
	case syntax.OpRepeat:
		lo, hi = s.Min, s.Max
		if hi < 0 {
			hi = unbounded
		}
		s = s.Sub[0]
	}
	if s.Flags&syntax.FoldCase != 0 {
		return false
	}
	switch s.Op {
	case syntax.OpLiteral:
		if len(s.Rune) != 1 && (lo != 1 || hi != 1) {
			return false
		}
		for _, r := range s.Rune {
			it := quickItem{min: lo, max: hi}
			if !it.put(r, r) {
				return false
			}
			p.items = append(p.items, it)
		}
		return true
	case syntax.OpCharClass:
		it := quickItem{min: lo, max: hi}
		for i := 0; i < len(s.Rune); i += 2 {
			if !it.put(s.Rune[i], s.Rune[i+1]) {
				return false
			}
		}
		p.items = append(p.items, it)
		return true
	}
	return false
}

func (it *quickItem) put(from, to rune) bool {
	if to >= 128 {
		return false
	}
	for r := from; r <= to; r++ {
		it.set[r>>6] |= 1 << (r & 63)
	}
	return true
}
