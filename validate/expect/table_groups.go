package expect

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"math/rand/v2"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// groups counts how often each value of a column, or of several together, is
// there. What does not fit in memory goes to a file; no answer depends on that.
//
// It is a hash table without pointers: a slot has 32 bits of the value's hash and
// the number of its entry. The upper bits of the same 32 are the slot's place, so that
// growing needs neither values nor hashes. Entries and texts are in chunks, which
// never move.
type groups struct {
	o      *TableOptions
	cols   []int
	types  []feature.Type
	judged func(b *batch, w int) uint64
	fixed  bool // every value is 8 bytes; else entries point into texts
	keep   bool // repeats are asked for

	live, rows int64 // rows seen, and those among them with a value

	seed    maphash.Seed
	salt    [2]uint64
	slots   []uint64
	shift   uint // of the 32 bits, what is left is the place
	n       int  // entries
	entries [][]group
	texts   [][]byte
	held    int64 // bytes of texts

	repeats   keptRows // rows whose value was there before
	collected bool     // they are known, also those that only the file can tell
	file      *groupFile

	picked []int32 // scratch: the rows of a batch, their hashes and keys
	hashes []uint64
	words  []uint64
	key    []byte
}

// group is one value.
type group struct {
	key   uint64 // its word, or where its text is: the chunk, and in the lower half the place
	count int64
	first int64 // the first row with it
}

const (
	minSlots   = 1 << 9
	quickSlots = 1 << 21 // up to here the slots grow eightfold
	groupChunk = 1 << 12 // entries
	textChunk  = 1 << 18 // bytes
)

func (g *groups) at(e int) *group { return &g.entries[e/groupChunk][e%groupChunk] }

func newGroups(o *TableOptions, cols []int, types []feature.Type, judged func(*batch, int) uint64, keep bool) *groups {
	g := &groups{o: o, cols: cols, types: types, judged: judged, keep: keep, seed: maphash.MakeSeed()}
	g.fixed = len(types) == 1 && !types[0].Variable()
	g.salt = [2]uint64{rand.Uint64(), rand.Uint64() | 1}
	g.repeats.most = o.Examples
	if o.Complete {
		g.repeats.most = -1
	}
	g.reset()
	return g
}

// reset empties the table.
func (g *groups) reset() {
	g.slots, g.shift = make([]uint64, minSlots), uint(32-bits.TrailingZeros(minSlots))
	g.n, g.entries, g.texts, g.held = 0, nil, nil, 0
}

// clear empties the table for values of the same kind and keeps its memory.
func (g *groups) clear() {
	clear(g.slots)
	g.n, g.texts, g.held = 0, nil, 0
}

func (g *groups) bytes() int64 {
	return int64(len(g.slots))*8 + int64(len(g.entries))*groupChunk*24 + g.held
}

func (g *groups) add(b *batch, row int64) error {
	g.live += int64(b.liveCount)
	g.picked, g.hashes, g.words = g.picked[:0], g.hashes[:0], g.words[:0]
	for w := range validate.Words(b.rows) {
		rows := g.judged(b, w)
		if rows == ^uint64(0) {
			for i := range int32(64) {
				g.picked = append(g.picked, int32(w*64)+i)
			}
			continue
		}
		for ; rows != 0; rows &= rows - 1 {
			g.picked = append(g.picked, int32(w*64+bits.TrailingZeros64(rows)))
		}
	}
	g.rows += int64(len(g.picked))
	switch {
	case g.fixed:
		c := &b.cols[g.cols[0]]
		g.words = c.appendWords(g.words, g.picked)
		for _, k := range g.words {
			g.hashes = append(g.hashes, g.hashWord(k))
		}
		g.eachBlock(func(from, to int) {
			for i, h := range g.hashes[from:to] {
				i += from
				tag := uint32(h >> 32)
				if s := tag >> g.shift; g.slots[s] == 0 { // a new value, as a rule
					g.insert(s, tag, group{g.words[i], 1, row + int64(g.picked[i])})
					continue
				}
				g.addWord(g.words[i], h, 1, row+int64(g.picked[i]))
			}
		})
	case len(g.cols) == 1:
		c := &b.cols[g.cols[0]]
		for _, i := range g.picked {
			g.hashes = append(g.hashes, maphash.String(g.seed, c.str(int(i))))
		}
		g.eachBlock(func(from, to int) {
			for i := from; i < to; i++ {
				g.addText(c.str(int(g.picked[i])), g.hashes[i], 1, row+int64(g.picked[i]))
			}
		})
	default:
		for _, i := range g.picked {
			g.key = g.key[:0]
			for _, col := range g.cols {
				g.key = b.cols[col].appendKey(g.key, int(i))
			}
			g.addText(textOf(g.key), maphash.Bytes(g.seed, g.key), 1, row+int64(i))
		}
	}
	return nil
}

// eachBlock has the slots of a few rows fetched from memory together, before the
// rows are looked up one after the other.
func (g *groups) eachBlock(look func(from, to int)) {
	const block = 32
	for from := 0; from < len(g.hashes); from += block {
		to := min(from+block, len(g.hashes))
		var sum uint64
		for _, h := range g.hashes[from:to] {
			sum ^= g.slots[uint32(h>>32)>>g.shift]
		}
		if sum == 1 { // never, or nearly so, and harmless; it keeps the loads
			g.key = g.key[:0]
		}
		look(from, to)
	}
}

// hashWord spreads a word over 64 bits, in a way that no one who makes values can know.
func (g *groups) hashWord(k uint64) uint64 {
	hi, lo := bits.Mul64(k^g.salt[0], g.salt[1])
	return hi ^ lo
}

func (g *groups) addWord(k, hash uint64, n, row int64) {
	tag := uint32(hash >> 32)
	mask := uint32(len(g.slots) - 1)
	for s := tag >> g.shift; ; s = (s + 1) & mask {
		slot := g.slots[s]
		if slot == 0 {
			g.insert(s, tag, group{k, n, row})
			return
		}
		if uint32(slot>>32) == tag {
			if e := g.at(int(uint32(slot)) - 1); e.key == k {
				g.again(e, n, row)
				return
			}
		}
	}
}

func (g *groups) addText(k string, hash uint64, n, row int64) {
	tag := uint32(hash >> 32)
	mask := uint32(len(g.slots) - 1)
	for s := tag >> g.shift; ; s = (s + 1) & mask {
		slot := g.slots[s]
		if slot == 0 {
			g.insert(s, tag, group{g.keepText(k), n, row})
			return
		}
		if uint32(slot>>32) == tag {
			if e := g.at(int(uint32(slot)) - 1); string(g.text(e)) == k {
				g.again(e, n, row)
				return
			}
		}
	}
}

// keepText copies a text and returns where it is.
func (g *groups) keepText(k string) uint64 {
	need := len(k) + binary.MaxVarintLen64
	if n := len(g.texts); n == 0 || cap(g.texts[n-1])-len(g.texts[n-1]) < need {
		g.texts = append(g.texts, make([]byte, 0, max(textChunk, need)))
		g.held += int64(max(textChunk, need))
	}
	c := len(g.texts) - 1
	at := len(g.texts[c])
	g.texts[c] = append(binary.AppendUvarint(g.texts[c], uint64(len(k))), k...)
	return uint64(c)<<32 | uint64(at)
}

// text is an entry's key where entries point into texts.
func (g *groups) text(e *group) []byte {
	c := g.texts[e.key>>32][uint32(e.key):]
	if n := int(c[0]); n < 0x80 {
		return c[1 : 1+n]
	}
	n, used := binary.Uvarint(c)
	return c[used : used+int(n)]
}

func (g *groups) insert(s, tag uint32, e group) {
	if g.n == len(g.entries)*groupChunk {
		g.entries = append(g.entries, make([]group, groupChunk))
	}
	*g.at(g.n) = e
	g.n++
	g.slots[s] = uint64(tag)<<32 | uint64(uint32(g.n))
	if g.n*4 > len(g.slots)*3 {
		g.grow()
	}
}

// again counts an entry that is there. The later of the two rows is a repeat.
func (g *groups) again(e *group, n, row int64) {
	e.count += n
	if !g.keep {
		return
	}
	later := max(row, e.first)
	e.first = min(row, e.first)
	if g.repeats.wants(later) {
		g.repeats.add(Example{Row: later, Value: g.value(e)})
	}
}

func (g *groups) grow() {
	old := g.slots
	by := uint(1)
	if len(old) < quickSlots {
		by = 3
	}
	g.slots = make([]uint64, len(old)<<by)
	g.shift -= by
	mask := uint32(len(g.slots) - 1)
	for _, slot := range old {
		if slot != 0 {
			s := uint32(slot>>32) >> g.shift
			for g.slots[s] != 0 {
				s = (s + 1) & mask
			}
			g.slots[s] = slot
		}
	}
}

// word is a row's value in 8 bytes: values are equal when their words are. Only for
// types of fixed size.
func (c *column) word(i int) uint64 {
	switch c.typ {
	case feature.Bool:
		if c.bools.Get(i) {
			return 1
		}
		return 0
	case feature.Int32:
		return uint64(int64(c.i32[i]))
	case feature.Float32:
		return math.Float64bits(float64(c.f32[i]) + 0) // -0 is 0
	case feature.Float64:
		return math.Float64bits(c.f64[i] + 0)
	}
	return uint64(c.i64[i])
}

// appendWords appends the words of the picked rows.
func (c *column) appendWords(dst []uint64, picked []int32) []uint64 {
	if (c.typ == feature.Int64 || c.typ == feature.Timestamp) && len(picked) == len(c.i64) {
		for _, v := range c.i64 {
			dst = append(dst, uint64(v))
		}
		return dst
	}
	for _, i := range picked {
		dst = append(dst, c.word(int(i)))
	}
	return dst
}

// wordValue is what word was made of, as Result has values.
func wordValue(t feature.Type, w uint64) any {
	switch t {
	case feature.Bool:
		return w == 1
	case feature.Float32, feature.Float64:
		return math.Float64frombits(w)
	case feature.Timestamp:
		return feature.Time(int64(w))
	}
	return int64(w)
}

// value is the value of an entry: a []any where it is of several columns.
func (g *groups) value(e *group) any {
	if g.fixed {
		return wordValue(g.types[0], e.key)
	}
	k := g.text(e)
	if len(g.cols) == 1 {
		if g.types[0] == feature.String {
			return string(k)
		}
		return append([]byte{}, k...)
	}
	vs := make([]any, len(g.types))
	for i, t := range g.types {
		vs[i], k = readKey(t, k)
	}
	return vs
}

// readKey reads what appendKey has written of one column.
func readKey(t feature.Type, k []byte) (v any, rest []byte) {
	kind, k := cellKind(k[0]), k[1:]
	switch kind {
	case nullCell:
		return nil, k
	case textCell:
		n, used := binary.Uvarint(k)
		k = k[used:]
		if t == feature.String {
			return string(k[:n]), k[n:]
		}
		return append([]byte{}, k[:n]...), k[n:]
	}
	w, k := binary.LittleEndian.Uint64(k), k[8:]
	switch {
	case kind == floatCell:
		return math.Float64frombits(w), k
	case t == feature.Float32 || t == feature.Float64:
		return float64(int64(w)), k
	case t == feature.Bool:
		return w == 1, k
	case kind == timeCell:
		return feature.Time(int64(w)), k
	}
	return int64(w), k
}
