package jsonscan

import (
	"bytes"
	"hash/maphash"
	"math"
)

// Limits bound what a text may hold. The zero value means the defaults.
type Limits struct {
	Depth  int // nesting of arrays and objects; 512
	Digits int // characters of a number; 1000
	Exp    int // a number's exponent, as written, in either direction; 1000
}

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 512
	}
	if l.Digits <= 0 {
		l.Digits = 1000
	}
	if l.Exp <= 0 {
		l.Exp = 1000
	}
	l.Digits, l.Exp = min(l.Digits, 10_000), min(l.Exp, 10_000) // Node.Exp is an int16
	return l
}

// How many keys a scanner takes note of beyond those it was told, and how long
// they may be. A stream of ever new keys stops being learned, not being read.
const (
	learnKeys = 512
	learnLen  = 128
)

// keepNodes is how many nodes' memory a Doc keeps for the next text: 2.6 MB.
const keepNodes = 1 << 16

// Scanner reads one text after the other. Not for concurrent use.
//
// Events of one topic have the same keys in the same order nearly always. So the
// scanner remembers which key came after which, and compares the next key with
// that one before it hashes anything. Keys without a symbol get one of the
// scanner's own, above those it was given, for the same reason.
type Scanner struct {
	limits Limits
	syms   *Symbols
	max    int // symbols may grow to here
	// follow[2*k] is the key that last came after key k, follow[2*k+1] the first
	// one of the object under k (k=0: the outermost); 0 where none is known.
	follow []int32
	frames []frame
	dup    dupSet
	key    []byte
}

type frame struct {
	mask uint64 // bit k&63 is set for each key k seen
	node uint32
	len  uint32
	ctx  int32 // the key under which this container stands, through arrays
	obj  bool
	look bool // two keys share a bit, or one has no symbol: look for duplicates at the end
}

// NewScanner returns a scanner that numbers keys as syms does.
func NewScanner(syms *Symbols, limits Limits) *Scanner {
	s := &Scanner{limits: limits.withDefaults(), syms: NewSymbols()}
	if syms != nil {
		s.syms = syms.Clone()
	}
	s.max = s.syms.Len() + learnKeys
	s.follow = make([]int32, 2*s.max)
	s.dup.seed = maphash.MakeSeed()
	return s
}

// Symbols is the scanner's table; it begins with what it was given.
func (s *Scanner) Symbols() *Symbols { return s.syms }

func blank(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// Scan reads data into d. On an error (always an *Error) d holds nothing of use.
func (s *Scanner) Scan(d *Doc, data []byte) error {
	if err := s.scan(d, data); err != nil {
		return err
	}
	return nil
}

// scan is one function with labels, because it is the hottest code of ingest:
// all state stays in registers, and a value costs no call.
func (s *Scanner) scan(d *Doc, data []byte) *Error {
	if uint64(len(data)) > math.MaxUint32-1 {
		return fault(0, "longer than 4 GiB")
	}
	var (
		nodes          = d.Nodes[:0]
		frames         = s.frames[:0]
		n              = len(data)
		i              = 0
		key            int32
		kStart, kEnd   int
		flags          Flags // of the key, until a value takes it along
		ctx            int32
		from           int32 // index into follow that should predict the next key
		c              byte
		start, e, left int
	)
	d.Data = data
	if cap(nodes) > keepNodes {
		nodes = nil
	}
	if n == 0 {
		return fault(0, "the text is empty")
	}
	if n >= 3 && data[0] == 0xef && data[1] == 0xbb && data[2] == 0xbf {
		return fault(0, "a byte order mark is not JSON")
	}

value:
	for {
		if i >= n {
			return fault(i, "the text ends where a value should be")
		}
		if c = data[i]; c > ' ' || !blank(c) {
			break
		}
		i++
	}
	start = i
	switch c {
	case '"':
		i = plain(data, i+1)
		if i >= n || data[i] != '"' {
			at, f, err := text(data, start+1, i)
			if err != nil {
				return err
			}
			i = at
			flags |= f
		}
		nodes = append(nodes, Node{Kind: String, Flags: flags, Key: key, KeyStart: uint32(kStart), KeyEnd: uint32(kEnd),
			Start: uint32(start + 1), End: uint32(i), Next: uint32(len(nodes) + 1)})
		i++
		goto after

	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if c == '-' {
			flags |= Negative
			i++
		}
		var mant uint64
		var exp int
		left = i
		for i < n && data[i]-'0' < 10 {
			mant = mant*10 + uint64(data[i]-'0')
			i++
		}
		e = i - left // digits so far
		if e == 0 || e > 1 && data[left] == '0' {
			return fault(start, "not a number")
		}
		if i < n && (data[i] == '.' || data[i]|0x20 == 'e') {
			flags |= Fraction
			if data[i] == '.' {
				i++
				left = i
				for i < n && data[i]-'0' < 10 {
					mant = mant*10 + uint64(data[i]-'0')
					i++
				}
				if i == left {
					return fault(start, "not a number")
				}
				exp = left - i
				e -= exp
			}
			if i < n && data[i]|0x20 == 'e' {
				var x int
				var err *Error
				if x, i, err = s.exponent(data, start, i+1); err != nil {
					return err
				}
				exp += x
			}
		}
		if e > 19 {
			if i-start > s.limits.Digits {
				return fault(start, "a number of %d characters; %d are accepted", i-start, s.limits.Digits)
			}
			if significant(data[start:i]) > 19 {
				flags |= Big
				mant, exp = 0, 0
			}
		}
		if mant == 0 {
			exp = 0
		}
		nodes = append(nodes, Node{Kind: Number, Flags: flags, Key: key, KeyStart: uint32(kStart), KeyEnd: uint32(kEnd),
			Start: uint32(start), End: uint32(i), Next: uint32(len(nodes) + 1), Mant: mant, Exp: int16(exp)})
		goto after

	case 't':
		if n-i < 4 || string(data[i:i+4]) != "true" {
			return fault(i, "not a JSON value")
		}
		i += 4
		nodes = append(nodes, Node{Kind: True, Flags: flags, Key: key, KeyStart: uint32(kStart), KeyEnd: uint32(kEnd),
			Start: uint32(start), End: uint32(i), Next: uint32(len(nodes) + 1)})
		goto after

	case 'f':
		if n-i < 5 || string(data[i:i+5]) != "false" {
			return fault(i, "not a JSON value")
		}
		i += 5
		nodes = append(nodes, Node{Kind: False, Flags: flags, Key: key, KeyStart: uint32(kStart), KeyEnd: uint32(kEnd),
			Start: uint32(start), End: uint32(i), Next: uint32(len(nodes) + 1)})
		goto after

	case 'n':
		if n-i < 4 || string(data[i:i+4]) != "null" {
			return fault(i, "not a JSON value")
		}
		i += 4
		nodes = append(nodes, Node{Kind: Null, Flags: flags, Key: key, KeyStart: uint32(kStart), KeyEnd: uint32(kEnd),
			Start: uint32(start), End: uint32(i), Next: uint32(len(nodes) + 1)})
		goto after

	case '{', '[':
		if len(frames) >= s.limits.Depth {
			return fault(i, "nested deeper than %d levels", s.limits.Depth)
		}
		i++
		if key != 0 {
			ctx = key
		}
		k := Object
		if c == '[' {
			k = Array
		}
		frames = append(frames, frame{node: uint32(len(nodes)), obj: c == '{', ctx: ctx})
		nodes = append(nodes, Node{Kind: k, Flags: flags, Key: key, KeyStart: uint32(kStart), KeyEnd: uint32(kEnd), Start: uint32(start)})
		key, kStart, kEnd, flags = 0, 0, 0, 0
		for i < n && blank(data[i]) {
			i++
		}
		if i < n && data[i] == c+2 { // ']' and '}' stand two after '[' and '{'
			goto closing
		}
		if c == '[' {
			goto value
		}
		from = 2*ctx + 1
		goto member

	default:
		return fault(i, "not a JSON value")
	}

member:
	for i < n && blank(data[i]) {
		i++
	}
	if i >= n || data[i] != '"' {
		return fault(i, "a key in quotes is expected")
	}
	i++
	kStart = i
	key = s.follow[from]
	if key != 0 {
		name := s.syms.names[key]
		kEnd = i + len(name)
		if kEnd < n && data[kEnd] == '"' && string(data[i:kEnd]) == name {
			i = kEnd + 1
			goto known
		}
	}
	{
		var err *Error
		if key, kEnd, flags, err = s.slowKey(data, i, from); err != nil {
			return err
		}
		i = kEnd + 1
	}
known:
	{
		f := &frames[len(frames)-1]
		bit := uint64(1) << (uint(key) & 63)
		if f.mask&bit != 0 || key == 0 {
			f.look = true
		}
		f.mask |= bit
	}
	if i < n && data[i] == ':' {
		i++
		goto value
	}
	for i < n && blank(data[i]) {
		i++
	}
	if i >= n || data[i] != ':' {
		return fault(i, "a colon is expected after the key")
	}
	i++
	goto value

after:
	if len(frames) == 0 {
		goto end
	}
	{
		f := &frames[len(frames)-1]
		f.len++
		for i < n && blank(data[i]) {
			i++
		}
		if i >= n {
			return fault(i, "the text ends inside an array or object")
		}
		c = data[i]
		if f.obj {
			if c == ',' {
				i++
				from = 2 * key
				flags = 0
				goto member
			}
			if c == '}' {
				goto closing
			}
			return fault(i, "a comma or } is expected")
		}
		if c == ',' {
			i++
			key, flags, ctx = 0, 0, f.ctx
			goto value
		}
		if c == ']' {
			goto closing
		}
		return fault(i, "a comma or ] is expected")
	}

closing:
	i++
	{
		f := &frames[len(frames)-1]
		at := &nodes[f.node]
		at.End, at.Next, at.Len = uint32(i), uint32(len(nodes)), f.len
		if f.look {
			d.Nodes = nodes
			if err := s.duplicate(d, f.node); err != nil {
				return err
			}
		}
		key, kStart, kEnd, flags = at.Key, 0, 0, 0
		frames = frames[:len(frames)-1]
	}
	goto after

end:
	for i < n && blank(data[i]) {
		i++
	}
	if i < n {
		return fault(i, "something follows the JSON value")
	}
	d.Nodes, s.frames = nodes, frames
	return nil
}

// significant counts a number's digits without leading zeros and without its exponent.
func significant(tok []byte) int {
	count := 0
	for _, c := range tok {
		switch {
		case c|0x20 == 'e':
			return count
		case c >= '1' && c <= '9' || c == '0' && count > 0:
			count++
		}
	}
	return count
}

// exponent reads the part after the e, at i. It stops long before a number
// could cost anything.
func (s *Scanner) exponent(data []byte, start, i int) (exp, end int, err *Error) {
	neg := false
	if i < len(data) && (data[i] == '+' || data[i] == '-') {
		neg = data[i] == '-'
		i++
	}
	from := i
	for i < len(data) && data[i]-'0' < 10 {
		exp = min(exp*10+int(data[i]-'0'), 1_000_000)
		i++
	}
	if i == from {
		return 0, 0, fault(start, "not a number")
	}
	if exp > s.limits.Exp {
		return 0, 0, fault(start, "a number whose exponent is beyond %d", s.limits.Exp)
	}
	if i-start > s.limits.Digits {
		return 0, 0, fault(start, "a number of %d characters; %d are accepted", i-start, s.limits.Digits)
	}
	if neg {
		exp = -exp
	}
	return exp, i, nil
}

// slowKey reads a key that was not predicted, and remembers it for the next time.
func (s *Scanner) slowKey(data []byte, i int, from int32) (key int32, end int, f Flags, err *Error) {
	end, f, err = text(data, i, i)
	if err != nil {
		return 0, 0, 0, err
	}
	raw := data[i:end]
	if f&Escaped != 0 {
		s.key = Unescape(s.key[:0], raw)
		return s.syms.Lookup(s.key), end, KeyEscaped, nil
	}
	key = s.syms.Lookup(raw)
	if key == 0 && s.syms.Len() < s.max && len(raw) <= learnLen {
		key = s.syms.Intern(string(raw))
	}
	// A name that holds a backslash (it came from a schema) never stands here: raw has none.
	s.follow[from] = key
	return key, end, 0, nil
}

// duplicate looks for a key that object i has twice.
func (s *Scanner) duplicate(d *Doc, i uint32) *Error {
	end := d.Nodes[i].Next
	s.dup.reset(int(d.Nodes[i].Len))
	for m := i + 1; m < end; m = d.Nodes[m].Next {
		var text []byte
		text, s.key = d.KeyText(m, s.key)
		h := s.dup.hash(text)
		for slot := h; ; slot++ {
			o := s.dup.at(slot)
			if *o == 0 {
				*o = m
				break
			}
			var other []byte
			other, s.dup.key = d.KeyText(*o, s.dup.key)
			if bytes.Equal(text, other) {
				return fault(int(d.Nodes[m].KeyStart), "the key %.64q stands twice in one object", text)
			}
		}
	}
	return nil
}

// dupSet is a hash table of node numbers, used again and again.
type dupSet struct {
	seed  maphash.Seed
	table []uint32
	mask  uint64
	key   []byte
}

func (s *dupSet) reset(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	if cap(s.table) < size {
		s.table = make([]uint32, size)
	}
	s.table = s.table[:size]
	clear(s.table)
	s.mask = uint64(size - 1)
}

func (s *dupSet) hash(b []byte) uint64   { return maphash.Bytes(s.seed, b) }
func (s *dupSet) at(slot uint64) *uint32 { return &s.table[slot&s.mask] }
