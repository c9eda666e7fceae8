package expect

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// groups counts how often each value of a column, or of several together, is
// there. What does not fit in memory goes to a file; no answer depends on that.
//
// It is a hash table without pointers: a slot has 32 bits of the value's hash and
// the number of its entry, whose parts are in slices. The upper bits of the same 32
// are the slot's place, so that growing needs neither values nor hashes.
type groups struct {
	o      *TableOptions
	cols   []int
	types  []feature.Type
	judged func(b *batch, w int) uint64
	fixed  bool // every value is 8 bytes: keys; else they are in arena
	keep   bool // repeats are asked for

	live, rows int64 // rows seen, and those among them with a value

	seed   maphash.Seed
	slots  []uint64
	shift  uint // of the 32 bits, what is left is the place
	keys   []uint64
	ends   []int // where the entry's key ends in arena
	arena  []byte
	counts []int64
	firsts []int64 // the first row with it

	repeats   keptRows // rows whose value was there before
	collected bool     // they are known, also those that only the file can tell
	file      *groupFile

	at     []int32 // scratch: the rows of a batch, their hashes and keys
	hashes []uint64
	words  []uint64
	key    []byte
}

const minSlots = 1 << 8

func newGroups(o *TableOptions, cols []int, types []feature.Type, judged func(*batch, int) uint64, keep bool) *groups {
	g := &groups{o: o, cols: cols, types: types, judged: judged, keep: keep, seed: maphash.MakeSeed()}
	g.fixed = len(types) == 1 && !types[0].Variable()
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
	g.keys, g.ends, g.arena, g.counts, g.firsts = nil, nil, nil, nil, nil
}

func (g *groups) bytes() int64 {
	return int64(cap(g.slots)+cap(g.keys)+cap(g.ends)+cap(g.counts)+cap(g.firsts))*8 + int64(cap(g.arena))
}

func (g *groups) add(b *batch, row int64) error {
	g.live += int64(b.liveCount)
	g.at, g.hashes, g.words = g.at[:0], g.hashes[:0], g.words[:0]
	for w := range validate.Words(b.rows) {
		for rows := g.judged(b, w); rows != 0; rows &= rows - 1 {
			g.at = append(g.at, int32(w*64+bits.TrailingZeros64(rows)))
		}
	}
	g.rows += int64(len(g.at))
	switch {
	case g.fixed:
		c := &b.cols[g.cols[0]]
		for _, i := range g.at {
			g.words = append(g.words, c.word(int(i)))
		}
		for _, k := range g.words {
			g.hashes = append(g.hashes, hashWord(k))
		}
		g.eachBlock(func(from, to int) {
			for i := from; i < to; i++ {
				g.addWord(g.words[i], g.hashes[i], 1, row+int64(g.at[i]))
			}
		})
	case len(g.cols) == 1:
		c := &b.cols[g.cols[0]]
		for _, i := range g.at {
			g.hashes = append(g.hashes, maphash.String(g.seed, c.str(int(i))))
		}
		g.eachBlock(func(from, to int) {
			for i := from; i < to; i++ {
				g.addText(c.str(int(g.at[i])), g.hashes[i], 1, row+int64(g.at[i]))
			}
		})
	default:
		for _, i := range g.at {
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

// hashWord spreads a word over 64 bits.
func hashWord(k uint64) uint64 {
	hi, lo := bits.Mul64(k^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo^k, 0xa0761d6478bd642f)
	return hi ^ lo
}

func (g *groups) addWord(k, hash uint64, n, row int64) {
	tag := uint32(hash >> 32)
	mask := uint32(len(g.slots) - 1)
	for s := tag >> g.shift; ; s = (s + 1) & mask {
		slot := g.slots[s]
		if slot == 0 {
			g.keys = append(g.keys, k)
			g.insert(s, tag, n, row)
			return
		}
		if uint32(slot>>32) == tag {
			if e := int(uint32(slot)) - 1; g.keys[e] == k {
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
			g.arena = append(g.arena, k...)
			g.ends = append(g.ends, len(g.arena))
			g.insert(s, tag, n, row)
			return
		}
		if uint32(slot>>32) == tag {
			if e := int(uint32(slot)) - 1; string(g.bytesOf(e)) == k {
				g.again(e, n, row)
				return
			}
		}
	}
}

// bytesOf is the key of an entry where keys are in arena.
func (g *groups) bytesOf(e int) []byte {
	from := 0
	if e > 0 {
		from = g.ends[e-1]
	}
	return g.arena[from:g.ends[e]]
}

func (g *groups) insert(s, tag uint32, n, row int64) {
	g.counts = append(g.counts, n)
	g.firsts = append(g.firsts, row)
	g.slots[s] = uint64(tag)<<32 | uint64(uint32(len(g.counts)))
	if len(g.counts)*4 > len(g.slots)*3 && g.shift > 0 {
		g.grow()
	}
}

// again counts an entry that is there. The later of the two rows is a repeat.
func (g *groups) again(e int, n, row int64) {
	g.counts[e] += n
	if !g.keep {
		return
	}
	later := max(row, g.firsts[e])
	g.firsts[e] = min(row, g.firsts[e])
	if g.repeats.wants(later) {
		g.repeats.add(Example{later, g.value(e)})
	}
}

func (g *groups) grow() {
	old := g.slots
	g.slots = make([]uint64, 2*len(old))
	g.shift--
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
func (g *groups) value(e int) any {
	if g.fixed {
		return wordValue(g.types[0], g.keys[e])
	}
	k := g.bytesOf(e)
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
