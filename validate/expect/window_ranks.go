package expect

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// ranksState knows the values of a column by their ranks: all of them while they are few,
// then a sketch.
type ranksState struct {
	floating bool
	n        int64
	raw      []uint64 // words of bag that are in no sketch yet
	kll      *sketch.KLL
	up, down int64 // infinities that are in neither
	lo, hi   float64
}

func (x *ranksState) kind() byte { return ranksKind }

func keepRanks(col int, typ feature.Type) *keptAs {
	floating := typ == feature.Float32 || typ == feature.Float64
	return &keptAs{
		begin: func(bool) state { return &ranksState{floating: floating} },
		fold: func(st state, f *folder, b *batch) {
			c := &b.cols[col]
			if c.count == 0 {
				return
			}
			f.words = f.words[:0]
			for w := range c.present {
				f.words = appendRanks(f.words, c, w)
			}
			st.(*ranksState).add(f.words)
		},
	}
}

// appendRanks appends the values of word w that are present, as words of bag.
func appendRanks(dst []uint64, c *column, w int) []uint64 {
	switch c.typ {
	case feature.Float64:
		return appendWords(dst, c, w, c.f64, orderedFloat)
	case feature.Float32:
		return appendWords(dst, c, w, c.f32, func(f float32) uint64 { return orderedFloat(float64(f)) })
	case feature.Int32:
		return appendWords(dst, c, w, c.i32, func(i int32) uint64 { return orderedInt(int64(i)) })
	case feature.Bool:
		for j := range 64 {
			if i := w*64 + j; c.present[w]>>j&1 != 0 {
				dst = append(dst, orderedInt(int64(c.word(i))))
			}
		}
		return dst
	}
	return appendWords(dst, c, w, c.i64, orderedInt)
}

func (x *ranksState) add(words []uint64) {
	x.n += int64(len(words))
	for len(words) > 0 {
		if len(x.raw) == 0 && len(words) > exactRanks {
			x.fold(words[:exactRanks])
			words = words[exactRanks:]
			continue
		}
		k := min(len(words), exactRanks-len(x.raw))
		x.raw = append(x.raw, words[:k]...)
		words = words[k:]
		if len(x.raw) == exactRanks && (len(words) > 0 || x.kll != nil) {
			x.flush()
		}
	}
}

func (x *ranksState) flush() {
	x.fold(x.raw)
	x.raw = x.raw[:0]
}

// fold moves at most exactRanks words into the sketch.
func (x *ranksState) fold(words []uint64) {
	var block [exactRanks]float64
	k := 0
	for _, u := range words {
		f, ok := finiteOf(u, x.floating)
		switch {
		case ok:
			block[k] = f
			k++
		case f > 0:
			x.up++
		default:
			x.down++
		}
	}
	if x.kll == nil {
		x.kll = sketch.NewKLL()
	}
	if k == 0 {
		return
	}
	x.within(slices.Min(block[:k]), slices.Max(block[:k]))
	if k == exactRanks {
		x.kll.AddBlock(&block)
	} else {
		x.kll.AddFew(block[:k])
	}
}

// within widens the range of what is in the sketch, before that is added.
func (x *ranksState) within(lo, hi float64) {
	if x.kll.N() == 0 {
		x.lo, x.hi = lo, hi
	}
	x.lo, x.hi = min(x.lo, lo), max(x.hi, hi)
}

func (x *ranksState) merge(o state) {
	p := o.(*ranksState)
	x.n += p.n
	if x.kll == nil && p.kll == nil && len(x.raw)+len(p.raw) <= exactRanks {
		x.raw = append(x.raw, p.raw...)
		return
	}
	x.flush()
	if p.kll != nil && p.kll.N() > 0 {
		x.within(p.lo, p.hi)
		x.kll.Merge(p.kll)
	}
	x.up += p.up
	x.down += p.down
	x.fold(p.raw)
}

// exact tells whether all values are there as they are.
func (x *ranksState) exact() bool { return x.kll == nil }

func (x *ranksState) size() int64 {
	n := int64(96 + cap(x.raw)*8)
	if x.kll != nil {
		n += x.kll.Size()
	}
	return n
}

func (x *ranksState) append(b []byte) []byte {
	b = wire.Bool(b, x.floating)
	b = wire.Uint(b, uint64(x.n))
	slices.Sort(x.raw)
	b = wire.Uint(b, uint64(len(x.raw)))
	for _, u := range x.raw {
		b = binary.LittleEndian.AppendUint64(b, u)
	}
	if b = wire.Bool(b, x.kll != nil); x.kll == nil {
		return b
	}
	b = wire.Uint(wire.Uint(b, uint64(x.up)), uint64(x.down))
	if x.kll.N() == 0 {
		return wire.Uint(b, 0)
	}
	k := x.kll.Bytes(x.lo, x.hi)
	return wire.Text(b, k)
}

func readRanks(r *wire.Reader) state {
	x := &ranksState{floating: truth(r), n: count(r)}
	n := r.Length(8)
	if n > exactRanks {
		r.Fail()
	}
	for i := 0; i < n; i++ {
		u := word(r)
		if f, ok := finiteOf(u, x.floating); !ok && f != f {
			r.Fail()
		}
		x.raw = append(x.raw, u)
	}
	have := int64(n)
	if truth(r) {
		x.up, x.down = count(r), count(r)
		have += x.up + x.down
		x.kll = sketch.NewKLL()
		if k := r.Bytes(); len(k) > 0 {
			if sketch.CheckKLL(k) != nil {
				r.Fail()
				return x
			}
			x.kll = sketch.ReadKLL(k)
			d := x.kll.Distribution()
			x.lo, x.hi = d.At[0], d.At[len(d.At)-1]
			if x.kll.N() > 1 { // a lone value is its own least and greatest
				levels := int(k[18])
				at := 20 + 4*levels
				x.lo, x.hi = floatAt(k, at), floatAt(k, at+8)
				if !(x.lo <= d.At[0] && x.hi >= d.At[len(d.At)-1]) {
					r.Fail()
				}
			}
			have += x.kll.N()
		}
	}
	if have != x.n {
		r.Fail()
	}
	return x
}

func floatAt(b []byte, at int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b[at:]))
}

// bag is the state as tables have it, while it is exact.
func (x *ranksState) bag(typ feature.Type) *bag {
	return &bag{typ: typ, n: x.n, words: [][]uint64{slices.Clone(x.raw)}}
}

// rankError is how far a rank may be off, as a share of all values.
func (x *ranksState) rankError() float64 {
	if x.kll == nil || !x.kll.Estimates() {
		return 0
	}
	return x.kll.RankError()
}

// ranks answers about the values of a sketch.
type ranks struct {
	x *ranksState
	d sketch.Distribution
}

// read moves what is pending into a copy of the sketch and reads it.
func (x *ranksState) read() ranks {
	c := &ranksState{floating: x.floating, n: x.n, kll: sketch.NewKLL(), up: x.up, down: x.down}
	if x.kll != nil && x.kll.N() > 0 {
		c.within(x.lo, x.hi)
		c.kll.Merge(x.kll)
	}
	c.fold(x.raw)
	return ranks{c, c.kll.Distribution()}
}

// at is the value at a share of the sorted values, to be had of a state that has values.
func (r ranks) at(share float64) float64 {
	n := float64(r.x.n)
	switch finite := float64(r.x.kll.N()); {
	case share*n < float64(r.x.down) || finite == 0 && r.x.up == 0:
		return math.Inf(-1)
	case share*n > float64(r.x.down)+finite || finite == 0:
		return math.Inf(1)
	case share*n <= float64(r.x.down):
		return r.x.lo
	case share*n >= float64(r.x.down)+finite:
		return r.x.hi
	default:
		return r.d.Quantile((share*n - float64(r.x.down)) / finite)
	}
}

// below is how many values are <= v, about.
func (r ranks) below(v float64) float64 {
	if v == math.Inf(1) {
		return float64(r.x.n)
	}
	n := float64(r.x.down)
	switch {
	case r.x.kll.N() == 0 || v < r.x.lo:
	case v >= r.x.hi:
		n += float64(r.x.kll.N())
	default:
		n += r.d.Share(v) * float64(r.x.kll.N())
	}
	return n
}
