package stats

import "math"

// Merged is what one pass over two samples tells.
type Merged struct {
	KS          float64 // the greatest distance between the two step functions
	Wasserstein float64 // the area between them, in the unit of the values
	// How many different values there are in either and in both together.
	DistinctA, DistinctB, Distinct int
}

// Merge walks two samples in order. Of samples without values it is the zero Merged.
func Merge(a, b Sample) Merged {
	var m Merged
	if len(a.At) == 0 || len(b.At) == 0 {
		return m
	}
	x, y := walker{s: a, n: a.N()}, walker{s: b, n: b.N()}
	last := min(a.At[0], b.At[0])
	both := 0
	for x.i < len(a.At) && y.i < len(b.At) {
		v, w := a.At[x.i], b.At[y.i]
		switch {
		case v < w:
			last = m.run(&x, y.share, last, w)
		case v > w:
			last = m.run(&y, x.share, last, v)
		default: // ties are one step
			m.area(x.share-y.share, last, v)
			x.past(v)
			y.past(v)
			both++
			last = v
			m.KS = max(m.KS, math.Abs(x.share-y.share))
		}
	}
	last = m.run(&x, y.share, last, math.Inf(1))
	m.run(&y, x.share, last, math.Inf(1))
	m.DistinctA, m.DistinctB, m.Distinct = x.distinct, y.distinct, x.distinct+y.distinct-both
	return m
}

// walker is how far one sample has been walked.
type walker struct {
	s        Sample
	n        float64
	i        int
	share    float64 // of the values passed
	distinct int
}

func (w *walker) past(v float64) {
	for w.i < len(w.s.At) && w.s.At[w.i] == v {
		w.i++
	}
	w.share = w.s.cum(w.i) / w.n
	w.distinct++
}

// run walks one sample up to before a value of the other, whose share stays meanwhile. It
// returns the last value.
func (m *Merged) run(w *walker, other, last, end float64) float64 {
	at, i, share := w.s.At, w.i, w.share
	ks, area, distinct := m.KS, 0.0, w.distinct
	for i < len(at) && at[i] < end {
		v := at[i]
		if step := math.Abs(share-other) * (v - last); step <= math.MaxFloat64 {
			area += step
		} else {
			area += math.Abs(share-other)*v - math.Abs(share-other)*last
		}
		last = v
		for i++; i < len(at) && at[i] == v; i++ {
		}
		if w.s.Cum == nil {
			share = float64(i) / w.n
		} else {
			share = w.s.Cum[i-1] / w.n
		}
		distinct++
		if d := math.Abs(share - other); d > ks {
			ks = d
		}
	}
	w.i, w.share, w.distinct = i, share, distinct
	m.KS, m.Wasserstein = ks, m.Wasserstein+area
	return last
}

// area adds what lies between the step functions from one value to the next. The
// difference of two values may be more than the largest number.
func (m *Merged) area(d, from, to float64) {
	if w := math.Abs(d) * (to - from); w <= math.MaxFloat64 {
		m.Wasserstein += w
	} else {
		m.Wasserstein += math.Abs(d)*to - math.Abs(d)*from
	}
}

// Normed is a Wasserstein distance in standard deviations of the reference, as Evidently
// has it: divided by them, or by 0.001 where they are less.
func Normed(distance, std float64) float64 { return distance / max(std, 0.001) }
