package expect

import (
	"math"
	"math/big"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// counterState is a counter of a window.
type counterState struct{ c counter }

func (x *counterState) kind() byte { return counterKind }

func (x *counterState) merge(o state) {
	other := o.(*counterState)
	x.c.rows += other.c.rows
	x.c.present += other.c.present
}

func (x *counterState) size() int64 { return 32 }

func (x *counterState) append(b []byte) []byte {
	return wire.Uint(wire.Uint(b, uint64(x.c.rows)), uint64(x.c.present))
}

func readCounter(r *wire.Reader) state {
	return &counterState{counter{rows: count(r), present: count(r)}}
}

func keepCounter(col int) *keptAs {
	return &keptAs{
		begin: func(bool) state { return &counterState{counter{col: col}} },
		fold: func(st state, _ *folder, b *batch) {
			c := &st.(*counterState).c
			c.col = col
			_ = c.add(b, 0) // never an error
		},
	}
}

// momentsState is moments of a window, between whose folds no block is open.
type momentsState struct{ m moments }

func newMomentsState(whole, spread bool) *momentsState {
	return &momentsState{moments{whole: whole, spread: spread}}
}

func (x *momentsState) kind() byte { return momentsKind }

func keepMoments(col int, typ feature.Type) *keptAs {
	return &keptAs{
		more: true,
		begin: func(spread bool) state {
			return newMomentsState(typ != feature.Float32 && typ != feature.Float64, spread)
		},
		fold: func(st state, f *folder, b *batch) {
			m := &st.(*momentsState).m
			if f.block == nil {
				f.block, f.ints = make([]float64, 0, momentsBlock), make([]int64, 0, momentsBlock)
			}
			m.col, m.block, m.ints = col, f.block[:0], f.ints[:0]
			_ = m.add(b, 0) // never an error
			m.finish()
			m.block, m.ints = nil, nil
		},
	}
}

func (x *momentsState) merge(o state) {
	m, p := &x.m, &o.(*momentsState).m
	m.n += p.n
	m.up += p.up
	m.down += p.down
	m.exact.Add(&m.exact, &p.exact)
	if p.done == 0 {
		return
	}
	n, k := float64(m.done), float64(p.done)
	d := p.mean - m.mean
	m.m2 += p.m2 + d*d*n*k/(n+k)
	m.mean += d * k / (n + k)
	t := m.sum + p.sum
	if math.Abs(m.sum) >= math.Abs(p.sum) {
		m.lost += (m.sum - t) + p.sum
	} else {
		m.lost += (p.sum - t) + m.sum
	}
	m.lost += p.lost
	m.sum = t
	m.done += p.done
}

func (x *momentsState) size() int64 { return 192 + int64(x.m.exact.BitLen()/8) }

func (x *momentsState) append(b []byte) []byte {
	m := &x.m
	b = wire.Bool(wire.Bool(b, m.whole), m.spread)
	for _, n := range []int64{m.n, m.done, m.up, m.down} {
		b = wire.Uint(b, uint64(n))
	}
	for _, f := range []float64{m.sum, m.lost, m.mean, m.m2} {
		b = wire.Float(b, f)
	}
	b = wire.Bool(b, m.exact.Sign() < 0)
	abs := m.exact.Bytes()
	return wire.Text(b, abs)
}

func readMoments(r *wire.Reader) state {
	x := newMomentsState(truth(r), truth(r))
	m := &x.m
	m.n, m.done, m.up, m.down = count(r), count(r), count(r), count(r)
	for _, f := range []*float64{&m.sum, &m.lost, &m.mean, &m.m2} {
		*f = r.Float()
	}
	negative := truth(r)
	abs := r.Bytes()
	if len(abs) > 16 || m.done+m.up+m.down != m.n {
		r.Fail()
		return x
	}
	m.exact.SetBytes(abs)
	if negative {
		m.exact.Neg(&m.exact)
	}
	return x
}

// copied are the moments for an answer, which may change them.
func (x *momentsState) copied() *moments {
	m := x.m
	m.exact = *new(big.Int).Set(&x.m.exact)
	return &m
}

// extremesState is extremes of a window. Texts of more than maxExtreme bytes are cut there.
type extremesState struct {
	e   extremes
	cut bool
}

const maxExtreme = 1 << 10

func (x *extremesState) kind() byte { return extremesKind }

func keepExtremes(col int) *keptAs {
	return &keptAs{
		begin: func(bool) state { return &extremesState{} },
		fold: func(st state, _ *folder, b *batch) {
			x := st.(*extremesState)
			x.e.col = col
			_ = x.e.add(b, 0) // never an error
			x.shorten()
		},
	}
}

func (x *extremesState) shorten() {
	for _, c := range []*cell{&x.e.least, &x.e.most} {
		if len(c.s) > maxExtreme {
			c.s, x.cut = string([]byte(c.s[:maxExtreme])), true
		}
	}
}

func (x *extremesState) merge(o state) {
	other := o.(*extremesState)
	if other.e.present > 0 {
		if x.e.present == 0 || other.e.least.compare(x.e.least) < 0 {
			x.e.least = other.e.least
		}
		if x.e.present == 0 || other.e.most.compare(x.e.most) > 0 {
			x.e.most = other.e.most
		}
	}
	x.e.rows += other.e.rows
	x.e.present += other.e.present
	x.cut = x.cut || other.cut
}

func (x *extremesState) size() int64 { return 128 + int64(len(x.e.least.s)+len(x.e.most.s)) }

func (x *extremesState) append(b []byte) []byte {
	b = wire.Uint(wire.Uint(b, uint64(x.e.rows)), uint64(x.e.present))
	b = wire.Bool(b, x.cut)
	return appendCell(appendCell(b, x.e.least), x.e.most)
}

func readExtremes(r *wire.Reader) state {
	x := &extremesState{}
	x.e.rows, x.e.present, x.cut = count(r), count(r), truth(r)
	x.e.least, x.e.most = readCell(r), readCell(r)
	if (x.e.present > 0) != (x.e.least.kind != nullCell) || x.e.least.numeric() != x.e.most.numeric() || !x.e.least.numeric() && x.e.least.kind != x.e.most.kind {
		r.Fail()
	}
	return x
}

func (c cell) numeric() bool { return c.kind == intCell || c.kind == floatCell }

func appendCell(b []byte, c cell) []byte {
	b = append(b, byte(c.kind))
	switch c.kind {
	case intCell, timeCell:
		return wire.Int(b, c.i)
	case floatCell:
		return wire.Float(b, c.f)
	case textCell:
		return wire.Text(b, c.s)
	}
	return b
}

func readCell(r *wire.Reader) cell {
	c := cell{kind: cellKind(r.Byte())}
	switch c.kind {
	case nullCell:
	case intCell, timeCell:
		c.i = r.Int()
	case floatCell:
		f := r.Float()
		if c = floatOf(f); c.kind != floatCell || f != f {
			r.Fail()
		}
	case textCell:
		c.s = r.Text()
	default:
		r.Fail()
	}
	return c
}

// histogramState counts numbers in bins that are known when the suite is compiled.
type histogramState struct {
	below, above int64
	counts       []int64
}

func (x *histogramState) kind() byte { return histogramKind }

func keepHistogram(col int, bins []float64) *keptAs {
	return &keptAs{
		begin: func(bool) state { return &histogramState{counts: make([]int64, len(bins)-1)} },
		fold: func(st state, _ *folder, b *batch) {
			x, c := st.(*histogramState), &b.cols[col]
			if len(x.counts) != len(bins)-1 {
				return // read from bytes that are not of this suite
			}
			for i := range c.present.Rows() {
				v, _ := c.number(i)
				binOf(v, bins, &x.below, x.counts, &x.above)
			}
		},
	}
}

func (x *histogramState) merge(o state) {
	other := o.(*histogramState)
	if len(x.counts) != len(other.counts) {
		return // not what its key says
	}
	x.below += other.below
	x.above += other.above
	for i, n := range other.counts {
		x.counts[i] += n
	}
}

func (x *histogramState) total() int64 {
	n := x.below + x.above
	for _, c := range x.counts {
		n += c
	}
	return n
}

func (x *histogramState) size() int64 { return 64 + int64(cap(x.counts))*8 }

func (x *histogramState) append(b []byte) []byte {
	b = wire.Uint(wire.Uint(b, uint64(x.below)), uint64(x.above))
	b = wire.Uint(b, uint64(len(x.counts)))
	for _, n := range x.counts {
		b = wire.Uint(b, uint64(n))
	}
	return b
}

func readHistogram(r *wire.Reader) state {
	x := &histogramState{below: count(r), above: count(r)}
	n := r.Length(1)
	for i := 0; i < n; i++ {
		x.counts = append(x.counts, count(r))
	}
	return x
}

// finiteOf gives the number that a word of bag stands for, and whether it is finite.
func finiteOf(u uint64, floating bool) (f float64, ok bool) {
	if !floating {
		return float64(int64(u ^ 1<<63)), true
	}
	f = math.Float64frombits(u ^ (uint64(int64(^u)>>63) | 1<<63))
	return f, f-f == 0
}

// exactRanks are kept as they are before a sketch is begun.
const exactRanks = sketch.BlockValues
