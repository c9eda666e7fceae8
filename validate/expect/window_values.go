package expect

import (
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// valuesState counts the different values of a column, or of several together. Beyond
// its bound it counts a sample of them, and estimates how many there are.
type valuesState struct {
	texted     bool
	live, rows int64
	v          *sketch.Values
	hll        *sketch.HLL // nil while all values are in v
}

func newValuesState(texted bool) *valuesState {
	return &valuesState{texted: texted, v: sketch.NewValues(sketch.Sample, texted)}
}

func (x *valuesState) kind() byte { return valuesKind }

// textedTypes tells whether values of these types are known by a text, not by 8 bytes.
func textedTypes(types []feature.Type) bool { return len(types) > 1 || types[0].Variable() }

func keepValues(cols []int, types []feature.Type, judged func(b *batch, w int) uint64) *keptAs {
	texted := textedTypes(types)
	return &keptAs{
		begin: func(bool) state { return newValuesState(texted) },
		fold: func(st state, f *folder, b *batch) {
			x := st.(*valuesState)
			picked := f.pick(b, judged)
			x.live += int64(b.liveCount)
			x.rows += int64(len(picked))
			if !texted {
				f.words = b.cols[cols[0]].appendWords(f.words[:0], picked)
				for _, w := range f.words {
					x.add(sketch.Mix(w), "", 1)
				}
				return
			}
			eachText(f, b, cols, picked, func(text string) { x.add(xxhash.Sum64String(text), text, 1) })
		},
	}
}

// eachText calls fn with what stands for each of the rows: the text of a column, or
// the values of several as appendKey writes them.
func eachText(f *folder, b *batch, cols []int, picked []int32, fn func(text string)) {
	if len(cols) == 1 {
		c := &b.cols[cols[0]]
		for _, i := range picked {
			fn(c.str(int(i)))
		}
		return
	}
	for _, i := range picked {
		f.key = f.key[:0]
		for _, c := range cols {
			f.key = b.cols[c].appendKey(f.key, int(i))
		}
		fn(textOf(f.key))
	}
}

func (x *valuesState) add(hash uint64, text string, n int64) {
	if x.hll != nil {
		x.hll.Add(hash)
	} else if x.v.Full() {
		x.estimate()
		x.hll.Add(hash)
	}
	if x.v.Wants(hash) {
		x.v.Add(hash, text, n)
	}
}

// estimate begins to estimate how many values there are, before any is left out.
func (x *valuesState) estimate() {
	if x.hll != nil {
		return
	}
	x.hll = &sketch.HLL{}
	x.v.Each(func(hash uint64, _ []byte, _ int64) { x.hll.Add(hash) })
}

func (x *valuesState) merge(o state) {
	p := o.(*valuesState)
	if x.texted != p.texted {
		return // not what its key says
	}
	x.live += p.live
	x.rows += p.rows
	if p.hll != nil {
		x.estimate()
		x.hll.Merge(p.hll)
		x.v.Merge(p.v)
		return
	}
	p.v.Each(func(hash uint64, text []byte, count int64) { x.add(hash, string(text), count) })
}

// exact tells whether all values are there.
func (x *valuesState) exact() bool { return x.v.Whole() }

func (x *valuesState) size() int64 {
	n := 64 + x.v.Size()
	if x.hll != nil {
		n += 8 << 10
	}
	return n
}

func (x *valuesState) append(b []byte) []byte {
	b = wire.Bool(b, x.texted)
	b = wire.Uint(wire.Uint(b, uint64(x.live)), uint64(x.rows))
	if b = wire.Text(b, x.v.AppendBinary(nil)); !x.exact() {
		b = wire.Text(b, x.hll.AppendBinary(nil))
	}
	return b
}

func readValues(r *wire.Reader) state {
	x := &valuesState{texted: truth(r), live: count(r), rows: count(r)}
	v, rest, err := sketch.ReadValues(r.Bytes())
	if err != nil || len(rest) > 0 || v.Texted() != x.texted || v.Policy() != sketch.Sample {
		r.Fail()
		return x
	}
	if x.v = v; !x.exact() {
		if x.hll, rest, err = sketch.ReadHLL(r.Bytes()); err != nil || len(rest) > 0 {
			r.Fail()
			return x
		}
	}
	if x.rows > x.live || x.counted() > x.rows || x.exact() && x.counted() != x.rows {
		r.Fail()
	}
	return x
}

// counted is how many rows have one of the values that are kept.
func (x *valuesState) counted() int64 {
	var n int64
	x.v.Each(func(_ uint64, _ []byte, count int64) {
		if n += count; n < 0 {
			n = math.MaxInt64
		}
	})
	return n
}

// distinct is how many different values there are, and how far that may be off as a share of it.
func (x *valuesState) distinct() (n, off float64) {
	if x.exact() {
		return float64(x.v.Len()), 0
	}
	return max(math.Round(x.hll.Estimate()), float64(x.v.Len())), sketch.HLLError
}

// groupsFrom are the values of one column as tables have them.
func groupsFrom(v *sketch.Values, typ feature.Type, rows int64) *groups {
	g := newGroups(&TableOptions{Examples: windowExamples}, []int{0}, []feature.Type{typ}, nil, false)
	g.rows = rows
	v.Each(func(hash uint64, text []byte, count int64) {
		if g.fixed {
			w := sketch.Unmix(hash)
			g.addWord(w, g.hashWord(w), count, 0)
			return
		}
		g.addText(string(text), xxhash.Sum64(text), count, 0)
	})
	return g
}

// frequentState knows the most frequent values of a column: all values with their counts while they are few.
type frequentState struct {
	texted bool
	rows   int64
	v      *sketch.Values
}

func newFrequentState(texted bool) *frequentState {
	return &frequentState{texted: texted, v: sketch.NewValues(sketch.Frequent, texted)}
}

func (x *frequentState) kind() byte { return frequentKind }

func keepFrequent(col int, typ feature.Type) *keptAs {
	texted := typ.Variable()
	return &keptAs{
		begin: func(bool) state { return newFrequentState(texted) },
		fold: func(st state, f *folder, b *batch) {
			x := st.(*frequentState)
			picked := f.pick(b, func(b *batch, w int) uint64 { return b.cols[col].present[w] })
			x.rows += int64(len(picked))
			if !texted {
				f.words = b.cols[col].appendWords(f.words[:0], picked)
				for _, w := range f.words {
					x.v.Add(sketch.Mix(w), "", 1)
				}
				return
			}
			eachText(f, b, []int{col}, picked, func(text string) { x.v.Add(xxhash.Sum64String(text), text, 1) })
		},
	}
}

func (x *frequentState) merge(o state) {
	p := o.(*frequentState)
	if x.texted != p.texted {
		return // not what its key says
	}
	x.rows += p.rows
	x.v.Merge(p.v)
}

func (x *frequentState) size() int64 { return 64 + x.v.Size() }

func (x *frequentState) append(b []byte) []byte {
	return wire.Text(wire.Uint(wire.Bool(b, x.texted), uint64(x.rows)), x.v.AppendBinary(nil))
}

func readFrequent(r *wire.Reader) state {
	x := &frequentState{texted: truth(r), rows: count(r)}
	v, rest, err := sketch.ReadValues(r.Bytes())
	if err != nil || len(rest) > 0 || v.Texted() != x.texted || v.Policy() != sketch.Frequent {
		r.Fail()
		return x
	}
	x.v = v
	return x
}
