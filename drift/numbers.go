package drift

import (
	"math"
	"slices"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
)

// exactValues are kept as they are before a sketch is begun: small windows are exact
// and cheap, and the many short-lived deltas of a flush take little memory.
const exactValues = sketch.BlockValues

// numbers is the part of a Sketch that keeps finite numbers.
type numbers struct {
	m   sketch.Moments
	raw []float64
	kll *sketch.KLL // nil until raw was full once
	// distinct has seen what kll has; nil beside a kll that was stored before values were told apart.
	distinct *sketch.Distinct
}

// add folds values, which must be finite.
func (x *numbers) add(v []float64) {
	if len(v) == 0 {
		return
	}
	x.m.Merge(sketch.MomentsOf(v))
	for len(v) > 0 {
		if len(x.raw) == 0 && len(v) > exactValues { // not by way of raw
			x.block((*[sketch.BlockValues]float64)(v))
			v = v[exactValues:]
			continue
		}
		k := min(len(v), exactValues-len(x.raw))
		x.raw = append(x.raw, v[:k]...)
		v = v[k:]
		if len(x.raw) == exactValues && (len(v) > 0 || x.kll != nil) {
			x.fold()
		}
	}
}

// fold moves the pending values into the sketch.
func (x *numbers) fold() {
	if len(x.raw) == sketch.BlockValues {
		x.block((*[sketch.BlockValues]float64)(x.raw))
	} else {
		x.begin()
		x.kll.AddFew(x.raw)
		if x.distinct != nil {
			x.distinct.AddNumbers(x.raw)
		}
	}
	x.raw = x.raw[:0]
}

func (x *numbers) block(v *[sketch.BlockValues]float64) {
	x.begin()
	x.kll.AddBlock(v)
	if x.distinct != nil {
		x.distinct.AddNumbers(v[:])
	}
}

func (x *numbers) begin() {
	if x.kll == nil {
		x.kll, x.distinct = sketch.NewKLL(), &sketch.Distinct{}
	}
}

func (x *numbers) merge(o *numbers) {
	x.m.Merge(o.m)
	switch {
	case x.kll == nil && o.kll == nil && len(x.raw)+len(o.raw) <= exactValues:
		x.raw = append(x.raw, o.raw...)
	default:
		x.fold()
		if o.kll != nil {
			x.kll.Merge(o.kll)
			if x.distinct != nil && o.distinct != nil {
				x.distinct.Merge(o.distinct)
			} else {
				x.distinct = nil
			}
		}
		x.raw = append(x.raw, o.raw...)
		x.fold()
	}
}

// different is how many different values there are, and by how much of it that may be wrong.
func (x *numbers) different() (n, within float64, ok bool) {
	if x.kll == nil {
		slices.Sort(x.raw)
		for i, v := range x.raw {
			if i == 0 || v != x.raw[i-1] {
				n++
			}
		}
		return n, 0, true
	}
	if x.distinct == nil {
		return 0, 0, false
	}
	x.fold()
	return x.distinct.Estimate(), sketch.DistinctError, true
}

// hll is the sketch of distinct values, made where there was no need for one; nil where nobody knows.
func (x *numbers) hll() *sketch.Distinct {
	if x.kll == nil {
		d := &sketch.Distinct{}
		d.AddNumbers(x.raw)
		return d
	}
	x.fold()
	return x.distinct
}

func (x *numbers) size() int64 {
	n := int64(cap(x.raw)) * 8
	if x.kll != nil {
		n += x.kll.Size() + 2<<10
	}
	return n
}

func (x *numbers) rankError() float64 {
	if x.kll == nil || !x.kll.Estimates() {
		return 0
	}
	return x.kll.RankError()
}

func (x *numbers) datasketch() []byte {
	if x.kll == nil { // and x stays exact
		few := sketch.NewKLL()
		few.AddFew(slices.Clone(x.raw))
		return few.Bytes(x.m.Min, x.m.Max)
	}
	x.fold()
	return x.kll.Bytes(x.m.Min, x.m.Max)
}

// distribution is what the tests read.
type distribution struct{ sketch.Distribution }

func (x *numbers) distribution() distribution {
	if x.kll != nil {
		x.fold()
		return distribution{x.kll.Distribution()}
	}
	slices.Sort(x.raw)
	d := sketch.Distribution{At: x.raw, Cum: make([]float64, len(x.raw)), N: float64(len(x.raw))}
	for i := range d.Cum {
		d.Cum[i] = float64(i + 1)
	}
	return distribution{d}
}

// append writes the moments, the values or the quantiles, and the distinct values.
func (x *numbers) append(b []byte) []byte {
	if x.kll != nil {
		x.fold()
	}
	b = wire.Float(wire.Float(wire.Float(wire.Float(b, x.m.Min), x.m.Max), x.m.Mean), x.m.M2)
	b = wire.Uint(b, uint64(len(x.raw)))
	for _, v := range x.raw {
		b = wire.Float(b, v)
	}
	if x.kll == nil || x.kll.N() == 0 {
		return wire.Bool(wire.Uint(b, 0), false)
	}
	b = wire.Bool(wire.Text(b, x.kll.Bytes(x.m.Min, x.m.Max)), x.distinct != nil)
	if x.distinct != nil {
		b = x.distinct.AppendBinary(b)
	}
	return b
}

// read reads what append has written; the first version did so without distinct values.
func (x *numbers) read(r *wire.Reader, count int64, first bool) {
	*x = numbers{m: sketch.Moments{N: count, Min: r.Float(), Max: r.Float(), Mean: r.Float(), M2: r.Float()}}
	n := r.Length(8)
	if n > exactValues {
		r.Fail()
		return
	}
	have := int64(n)
	for range n {
		v := r.Float()
		if math.IsNaN(v) || math.IsInf(v, 0) {
			r.Fail()
			return
		}
		x.raw = append(x.raw, v)
	}
	if b := r.Bytes(); len(b) > 0 {
		if err := sketch.CheckKLL(b); err != nil {
			r.Refuse(err)
			return
		}
		x.kll = sketch.ReadKLL(b)
		have += x.kll.N()
	}
	if !first && r.Bool() {
		registers := make([]byte, sketch.DistinctBytes)
		r.Fixed(registers)
		d, err := sketch.ReadDistinct(registers)
		if err != nil || x.kll == nil {
			r.Fail()
			return
		}
		x.distinct = d
	}
	if have != count {
		r.Fail()
	}
}
