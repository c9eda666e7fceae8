package pyregex

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
)

// table decides ASCII text in one look-up a byte. A state is a set of
// instructions that wait to be followed, and what stood before (edge, word, ...).
// Anchors look at one character on both sides, so following waits for the next
// byte: the state reached by "a" in the pattern ^ab$ is {b} after a word character;
// on "b" it leads to {$}, which the end of the text, or a newline that ends
// it, turns into found.
//
//	state   bytes 0-127        128-255   the end   a last \n
//	row     next state         bail      found?    state before the end
//
// Two results are states of their own: found, and lost, from which nothing can
// match any more (the pattern is bound to the start).
type table struct {
	next  []uint16 // 256 a state
	end   []bool   // by state: the end of the text makes it a match
	final []bool   // by state: so does the rest, when it is "\n" and the end
	start uint16
}

const (
	found uint16 = iota
	lost
	bail // a byte above 127: the table cannot tell
	states
)

// maxStates bounds a table to 128 KiB and its making to a few milliseconds.
const maxStates = 256

// match reports whether s matches; ok is false when the table cannot tell.
func (t *table) match(s string) (match, ok bool) {
	n := len(s)
	tail := n > 0 && s[n-1] == '\n'
	if tail {
		n--
	}
	next, st := t.next, t.start
	for i := 0; i < n; i++ {
		if st = next[uint(st)<<8|uint(s[i])]; st < states {
			return st == found, st != bail
		}
	}
	if tail {
		return t.final[st], true
	}
	return t.end[st], true
}

// builder makes a table from a program.
type builder struct {
	re     *Regexp
	m      machine
	t      *table
	ids    map[string]uint16
	queue  []state
	anchor bool // the pattern is bound to the start of the text
}

type state struct {
	pcs    []uint32
	before uint8
}

// newTable returns nil when the table would be too large.
func newTable(re *Regexp) *table {
	if len(re.prog.Inst) > 2000 {
		return nil
	}
	b := builder{re: re, t: &table{}, ids: map[string]uint16{}}
	b.m.seen = make([]uint32, len(re.prog.Inst))
	b.anchor = re.prog.StartCond()&syntax.EmptyBeginText != 0
	b.t.next = make([]uint16, int(states)*256)
	b.t.end, b.t.final = make([]bool, states), make([]bool, states)
	b.t.start = b.state(state{before: edge})
	for i := 0; i < len(b.queue); i++ {
		if len(b.queue) > maxStates {
			return nil
		}
		b.fill(states+uint16(i), b.queue[i])
	}
	return b.t
}

// state returns the number of a state, a new one when it was not seen before.
func (b *builder) state(s state) uint16 {
	if b.anchor && len(s.pcs) == 0 && s.before != edge {
		return lost
	}
	slices.Sort(s.pcs)
	s.pcs = slices.Compact(s.pcs)
	key := []byte{s.before}
	for _, pc := range s.pcs {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	id, ok := b.ids[string(key)]
	if !ok {
		id = states + uint16(len(b.queue))
		b.ids[string(key)] = id
		b.queue = append(b.queue, s)
		b.t.next = append(b.t.next, make([]uint16, 256)...)
		b.t.end, b.t.final = append(b.t.end, false), append(b.t.final, false)
	}
	return id
}

// fill makes the row of a state.
func (b *builder) fill(id uint16, s state) {
	row := make([]uint16, 256)
	for c := range 128 {
		row[c] = b.step(s, rune(c), false)
	}
	for c := 128; c < 256; c++ {
		row[c] = bail
	}
	copy(b.t.next[int(id)*256:], row)
	_, b.t.end[id] = b.reach(s, edge)
	rest, done := b.reach(s, final)
	if !done {
		_, done = b.reach(b.over(rest, '\n'), edge)
	}
	b.t.final[id] = done
}

// reach follows a state, and the start of the pattern, up to the next character.
func (b *builder) reach(s state, after uint8) (out []uint32, done bool) {
	b.m.step++
	for _, pc := range append(slices.Clone(s.pcs), uint32(b.re.prog.Start)) {
		if out, done = b.re.follow(&b.m, pc, s.before, after, out); done {
			return nil, true
		}
	}
	return out, false
}

// over is the state after a character.
func (b *builder) over(reach []uint32, r rune) state {
	s := state{before: b.re.kind(r, false)}
	for _, pc := range reach {
		if in := &b.re.prog.Inst[pc]; in.MatchRune(r) {
			s.pcs = append(s.pcs, in.Out)
		}
	}
	return s
}

func (b *builder) step(s state, r rune, last bool) uint16 {
	out, done := b.reach(s, b.re.kind(r, last))
	if done {
		return found
	}
	return b.state(b.over(out, r))
}
