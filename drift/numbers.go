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
}

// add folds values, which must be finite.
func (x *numbers) add(v []float64) {
	if len(v) == 0 {
		return
	}
	x.m.Merge(sketch.MomentsOf(v))
	for len(v) > 0 {
		if len(x.raw) == 0 && len(v) > exactValues { // not by way of raw
			x.sketch().AddBlock((*[sketch.BlockValues]float64)(v))
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
		x.sketch().AddBlock((*[sketch.BlockValues]float64)(x.raw))
	} else {
		x.sketch().AddFew(x.raw)
	}
	x.raw = x.raw[:0]
}

func (x *numbers) sketch() *sketch.KLL {
	if x.kll == nil {
		x.kll = sketch.NewKLL()
	}
	return x.kll
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
		}
		x.raw = append(x.raw, o.raw...)
		x.fold()
	}
}

func (x *numbers) size() int64 {
	n := int64(cap(x.raw)) * 8
	if x.kll != nil {
		n += x.kll.Size()
	}
	return n
}

func (x *numbers) rankError() float64 {
	if x.kll == nil || !x.kll.Estimates() {
		return 0
	}
	return x.kll.RankError()
}

func (x *numbers) datasketch() ([]byte, error) {
	x.fold()
	return x.kll.Bytes(x.m.Min, x.m.Max), nil
}

// distribution is a step function read from a sketch: cum[i] values are <= at[i].
type distribution struct {
	at  []float64 // ascending; equal neighbours are possible
	cum []float64
	n   float64
}

func (x *numbers) distribution() distribution {
	if x.kll == nil {
		slices.Sort(x.raw)
		d := distribution{at: x.raw, cum: make([]float64, len(x.raw)), n: float64(len(x.raw))}
		for i := range d.cum {
			d.cum[i] = float64(i + 1)
		}
		return d
	}
	x.fold()
	d := x.kll.Distribution()
	return distribution{at: d.At, cum: d.Cum, n: d.N}
}

// share is the share of values <= v.
func (d distribution) share(v float64) float64 {
	i, _ := slices.BinarySearchFunc(d.at, v, func(a, v float64) int {
		if a <= v {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0
	}
	return d.cum[i-1] / d.n
}

func (d distribution) quantile(rank float64) float64 {
	i, _ := slices.BinarySearch(d.cum, rank*d.n)
	return d.at[min(i, len(d.at)-1)]
}

func (x *numbers) append(b []byte) ([]byte, error) {
	if x.kll != nil {
		x.fold()
	}
	b = wire.Float(wire.Float(wire.Float(wire.Float(b, x.m.Min), x.m.Max), x.m.Mean), x.m.M2)
	b = wire.Uint(b, uint64(len(x.raw)))
	for _, v := range x.raw {
		b = wire.Float(b, v)
	}
	if x.kll == nil || x.kll.N() == 0 {
		return wire.Uint(b, 0), nil
	}
	return wire.Text(b, x.kll.Bytes(x.m.Min, x.m.Max)), nil
}

func (x *numbers) read(r *wire.Reader, count int64) {
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
	if have != count {
		r.Fail()
	}
}
