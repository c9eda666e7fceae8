package pyregex

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// What stands before or after a position, as far as anchors ask.
const (
	other   uint8 = iota
	word          // a word character
	newline       // \n
	edge          // the start or the end of the text
	final         // after: a \n that ends the text
)

// machine runs a program over a set of its instructions, all at once.
type machine struct {
	now, next []uint32 // instructions that wait to be followed
	reach     []uint32 // scratch: rune instructions that they lead to
	seen      []uint32 // by instruction: the step in which it was followed
	step      uint32
}

// follow adds to reach the rune instructions that lead on from pc between
// before and after, and reports whether a match ends here.
func (re *Regexp) follow(m *machine, pc uint32, before, after uint8, reach []uint32) ([]uint32, bool) {
	if m.seen[pc] == m.step {
		return reach, false
	}
	m.seen[pc] = m.step
	in := &re.prog.Inst[pc]
	switch in.Op {
	case syntax.InstMatch:
		return reach, true
	case syntax.InstAlt, syntax.InstAltMatch:
		reach, done := re.follow(m, in.Out, before, after, reach)
		if done {
			return reach, true
		}
		return re.follow(m, in.Arg, before, after, reach)
	case syntax.InstNop, syntax.InstCapture:
		return re.follow(m, in.Out, before, after, reach)
	case syntax.InstEmptyWidth:
		if re.holds(syntax.EmptyOp(in.Arg), before, after) {
			return re.follow(m, in.Out, before, after, reach)
		}
		return reach, false
	case syntax.InstFail:
		return reach, false
	}
	return append(reach, pc), false
}

// holds evaluates one anchor with Python's meaning.
func (re *Regexp) holds(op syntax.EmptyOp, before, after uint8) bool {
	switch op {
	case syntax.EmptyBeginText:
		return before == edge
	case syntax.EmptyBeginLine:
		return before == edge || before == newline
	case syntax.EmptyEndText:
		return after == edge
	case syntax.EmptyEndLine:
		return after == edge || after == final || re.multi && after == newline
	case syntax.EmptyWordBoundary:
		return (before == word) != (after == word)
	default: // EmptyNoWordBoundary
		return (before == word) == (after == word)
	}
}

func (re *Regexp) kind(r rune, last bool) uint8 {
	switch {
	case r == '\n' && last:
		return final
	case r == '\n':
		return newline
	case isWord(r, re.ascii):
		return word
	}
	return other
}

func isWord(r rune, ascii bool) bool {
	if r < utf8.RuneSelf || ascii {
		return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// search runs the program over any text.
func (re *Regexp) search(s string) bool {
	m, _ := re.pool.Get().(*machine)
	if m == nil {
		m = &machine{seen: make([]uint32, len(re.prog.Inst))}
	}
	m.now = m.now[:0]
	reach := m.reach
	defer func() { m.reach = reach; re.pool.Put(m) }()
	before := edge
	for {
		r, size := utf8.DecodeRuneInString(s)
		after := edge
		if size > 0 {
			after = re.kind(r, size == len(s))
		}
		reach = reach[:0]
		if m.step++; m.step == 0 {
			clear(m.seen)
			m.step = 1
		}
		done := false
		for _, pc := range m.now {
			if reach, done = re.follow(m, pc, before, after, reach); done {
				return true
			}
		}
		if reach, done = re.follow(m, uint32(re.prog.Start), before, after, reach); done {
			return true
		}
		if size == 0 {
			return false
		}
		m.next = m.next[:0]
		for _, pc := range reach {
			if in := &re.prog.Inst[pc]; in.MatchRune(r) {
				m.next = append(m.next, in.Out)
			}
		}
		m.now, m.next = m.next, m.now
		s = s[size:]
		if before = after; before == final {
			before = newline
		}
	}
}
