package drift

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

const (
	// sketchK is the accuracy of the quantile sketches: a rank is within 1.33 %
	// at 99 % confidence, and a sketch of millions of values takes 5 KiB.
	sketchK = 200
	sketchM = 8
	// exactValues are kept as they are before a sketch is begun: small windows are exact
	// and cheap, and the many short-lived deltas of a flush take little memory.
	exactValues = blockValues
)

// numbers is the part of a Sketch that keeps finite numbers.
type numbers struct {
	min, max, mean, m2 float64 // m2 is the sum of squared distances from mean
	raw                []float64
	kll                *quantiles // nil until raw was full once
}

// add folds values, which must be finite; had is how many came before.
func (x *numbers) add(v []float64, had int64) {
	if len(v) == 0 {
		return
	}
	lo, hi, mean, m2 := momentsOf(v)
	x.moments(had, lo, hi, int64(len(v)), mean, m2)
	for len(v) > 0 {
		if len(x.raw) == 0 && len(v) > exactValues { // not by way of raw
			x.sketch().add((*[blockValues]float64)(v))
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

// momentsOf are the moments of some values. Sums run four abreast, for an addition waits
// for the one before.
func momentsOf(v []float64) (lo, hi, mean, m2 float64) {
	lo, hi = v[0], v[0]
	var s0, s1, s2, s3 float64
	fours := v[:len(v)&^3]
	for i := 0; i < len(fours); i += 4 {
		f := (*[4]float64)(fours[i:])
		for _, x := range f {
			if x < lo {
				lo = x
			}
			if x > hi {
				hi = x
			}
		}
		s0, s1, s2, s3 = s0+f[0], s1+f[1], s2+f[2], s3+f[3]
	}
	for _, x := range v[len(fours):] {
		lo, hi = min(lo, x), max(hi, x)
		s0 += x
	}
	mean = (s0 + s1 + s2 + s3) / float64(len(v))
	s0, s1, s2, s3 = 0, 0, 0, 0
	for i := 0; i < len(fours); i += 4 {
		f := (*[4]float64)(fours[i:])
		d0, d1, d2, d3 := f[0]-mean, f[1]-mean, f[2]-mean, f[3]-mean
		s0, s1, s2, s3 = s0+d0*d0, s1+d1*d1, s2+d2*d2, s3+d3*d3
	}
	for _, x := range v[len(fours):] {
		s0 += (x - mean) * (x - mean)
	}
	return lo, hi, mean, s0 + s1 + s2 + s3
}

// moments merges the moments of n more values into those of had.
func (x *numbers) moments(had int64, lo, hi float64, n int64, mean, m2 float64) {
	if had == 0 {
		x.min, x.max, x.mean, x.m2 = lo, hi, mean, m2
		return
	}
	if n == 0 {
		return
	}
	a, b := float64(had), float64(n)
	d := mean - x.mean
	x.min, x.max = min(x.min, lo), max(x.max, hi)
	x.mean += d * b / (a + b)
	x.m2 += m2 + d*d*a*b/(a+b)
}

// fold moves the pending values into the sketch.
func (x *numbers) fold() {
	if len(x.raw) == blockValues {
		x.sketch().add((*[blockValues]float64)(x.raw))
	} else {
		x.sketch().addFew(x.raw)
	}
	x.raw = x.raw[:0]
}

func (x *numbers) sketch() *quantiles {
	if x.kll == nil {
		x.kll = newQuantiles()
	}
	return x.kll
}

func (x *numbers) merge(o *numbers, had, n int64) {
	x.moments(had, o.min, o.max, n, o.mean, o.m2)
	switch {
	case x.kll == nil && o.kll == nil && len(x.raw)+len(o.raw) <= exactValues:
		x.raw = append(x.raw, o.raw...)
	default:
		x.fold()
		if o.kll != nil {
			x.kll.merge(o.kll)
		}
		x.raw = append(x.raw, o.raw...)
		x.fold()
	}
}

func (x *numbers) size() int64 {
	n := int64(cap(x.raw)) * 8
	if x.kll != nil {
		n += int64(x.kll.items)*8 + sketchK*8
	}
	return n
}

func (x *numbers) rankError() float64 {
	if x.kll == nil || !x.kll.estimates() {
		return 0
	}
	return x.kll.rankError()
}

func (x *numbers) datasketch() ([]byte, error) {
	x.fold()
	return x.kll.bytes(x.min, x.max), nil
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
	return x.kll.distribution()
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
	b = putFloat(putFloat(putFloat(putFloat(b, x.min), x.max), x.mean), x.m2)
	b = putUint(b, uint64(len(x.raw)))
	for _, v := range x.raw {
		b = putFloat(b, v)
	}
	if x.kll == nil || x.kll.n == 0 {
		return putUint(b, 0), nil
	}
	return putText(b, x.kll.bytes(x.min, x.max)), nil
}

func (x *numbers) read(r *reader, count int64) {
	*x = numbers{min: r.float(), max: r.float(), mean: r.float(), m2: r.float()}
	n := r.length(8)
	if n > exactValues {
		r.fail()
		return
	}
	have := int64(n)
	for range n {
		v := r.float()
		if math.IsNaN(v) || math.IsInf(v, 0) {
			r.fail()
			return
		}
		x.raw = append(x.raw, v)
	}
	if b := r.bytes(); len(b) > 0 {
		if err := checkKLL(b); err != nil {
			r.b, r.err = nil, err
			return
		}
		x.kll = readQuantiles(b)
		have += x.kll.n
	}
	if r.err == nil && have != count {
		r.fail()
	}
}

// checkKLL proves the bytes of a quantile sketch before they are read.
func checkKLL(b []byte) error {
	bad := errors.New("drift: not a quantile sketch")
	const head, data = 8, 20
	if len(b) < head || b[2] != 15 || binary.LittleEndian.Uint16(b[4:]) != sketchK || b[6] != sketchM {
		return bad
	}
	finite := func(from, to int) bool {
		for i := from; i+8 <= to; i += 8 {
			if v := math.Float64frombits(binary.LittleEndian.Uint64(b[i:])); math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
		return true
	}
	const empty, single = 1, 4
	switch {
	case b[0] == 2 && b[1] == 2 && b[3]&empty == 0 && len(b) == head+8: // one value
		if b[3]&single == 0 || !finite(head, len(b)) {
			return bad
		}
		return nil
	case b[0] == 5 && b[1] == 1 && b[3]&(empty|single) == 0 && len(b) >= data:
	default:
		return bad
	}
	n, minK, levels := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint16(b[16:]), int(b[18])
	if levels < 1 || levels > 40 || n > math.MaxInt64 || minK < sketchM || minK > sketchK || len(b) < data+4*levels+16 {
		return bad
	}
	at := make([]uint64, levels+1)
	for i := range levels {
		at[i] = uint64(binary.LittleEndian.Uint32(b[data+4*i:]))
	}
	at[levels] = uint64(capacity(levels))
	var weight uint64
	for i := range levels {
		if at[i+1] < at[i] {
			return bad
		}
		weight += (at[i+1] - at[i]) << i
	}
	items := at[levels] - at[0]
	if weight != n || n < 2 || uint64(len(b)) != uint64(data+4*levels)+8*(2+items) || !finite(data+4*levels, len(b)) {
		return bad
	}
	return nil
}

// capacity is how many items a sketch of that many levels has room for: the
// topmost level k, each one below two thirds of it, none less than m.
func capacity(levels int) int {
	total := 0
	for h := range levels {
		depth := levels - h - 1
		total += max(sketchM, levelCapacity(depth))
	}
	return total
}

func levelCapacity(depth int) int {
	if depth > 30 {
		half := depth / 2
		return scaled(scaled(sketchK, half), depth-half)
	}
	return scaled(sketchK, depth)
}

func scaled(k, depth int) int {
	twice := uint64(k) << 1
	t := (twice << depth) / pow3(depth)
	return int((t + 1) >> 1)
}

func pow3(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 3
	}
	return p
}
