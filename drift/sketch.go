package drift

import (
	"fmt"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// Shape is what a sketch keeps of a feature. The values are stored, so they never change.
type Shape uint8

const (
	Numbers    Shape = 1 // int32, int64, float32, float64: quantiles, moments, min and max
	Categories Shape = 2 // string, bool: counts of distinct values
	NullsOnly  Shape = 3 // timestamp, bytes, arrays: how many were null
)

var shapeNames = [...]string{"invalid", "numbers", "categories", "nulls"}

func (s Shape) String() string {
	if int(s) < len(shapeNames) {
		return shapeNames[s]
	}
	return fmt.Sprintf("shape(%d)", uint8(s))
}

// ShapeOf is the shape of a feature type's sketch.
func ShapeOf(t feature.Type) Shape {
	switch {
	case t.Numeric():
		return Numbers
	case t == feature.String, t == feature.Bool:
		return Categories
	default:
		return NullsOnly
	}
}

// Sketch is a bounded, mergeable summary of one feature's values. It is for one
// goroutine at a time, reading included: reading a quantile folds what is pending.
type Sketch struct {
	Shape Shape
	Count int64 // values that are neither null nor odd
	Nulls int64
	Odd   int64 // NaN and infinities: counted, in no statistic
	num   numbers
	cat   categories
}

// NewSketch returns an empty sketch.
func NewSketch(s Shape) *Sketch { return &Sketch{Shape: s} }

// Rows is how many rows the sketch has seen.
func (s *Sketch) Rows() int64 { return s.Count + s.Nulls + s.Odd }

// NullShare is the share of rows that were null, 0 of none.
func (s *Sketch) NullShare() float64 {
	if n := s.Rows(); n > 0 {
		return float64(s.Nulls) / float64(n)
	}
	return 0
}

// Merge adds what o has seen; o stays as it is. Sketches of different shapes do not merge.
func (s *Sketch) Merge(o *Sketch) error {
	if s.Shape != o.Shape {
		return feature.Errorf(feature.Invalid, "drift.merge", "sketch", "%s into %s", o.Shape, s.Shape).
			WithHint("the feature's type has changed: the windows of the monitor start anew")
	}
	switch s.Shape {
	case Numbers:
		s.num.merge(&o.num)
	case Categories:
		s.cat.merge(&o.cat)
	}
	s.Count += o.Count
	s.Nulls += o.Nulls
	s.Odd += o.Odd
	return nil
}

// Size is about how many bytes of memory the sketch takes.
func (s *Sketch) Size() int64 { return 160 + s.num.size() + s.cat.size() }

// Moments are exact up to the rounding of float64.
type Moments struct {
	Min, Max, Mean float64
	Variance       float64 // of the sample (n-1)
}

// Moments returns the moments of a Numbers sketch; ok is false when it has no values.
func (s *Sketch) Moments() (m Moments, ok bool) {
	if s.Shape != Numbers || s.Count == 0 {
		return m, false
	}
	m = Moments{Min: s.num.m.Min, Max: s.num.m.Max, Mean: s.num.m.Mean}
	if s.Count > 1 {
		m.Variance = s.num.m.M2 / float64(s.Count-1)
	}
	return m, true
}

// Category is a value of a Categories sketch and how often it came.
type Category struct {
	Value string
	Count int64
}

// Categories returns the counted values, most frequent first, and how many rows
// are in none of their counts: 0 as long as there are no more than fit (MaxCategories).
// Where there are more, each count may be too low by CategoryError.
func (s *Sketch) Categories() (top []Category, other int64) {
	top = s.cat.sorted()
	if s.cat.exact() {
		return top, 0
	}
	other = s.cat.total()
	for _, c := range top {
		other -= c.Count
	}
	return top, other
}

// CategoryError is by how many rows the count of a category may be too low. One that is
// not listed has come at most so often. 0 while all are counted.
func (s *Sketch) CategoryError() int64 {
	if s.cat.labels == nil {
		return s.cat.other
	}
	return s.cat.labels.Off() + s.cat.other
}

// Distinct is how many different values there are, and by how much of that the number may
// be off (with 99 % confidence; 0 when it is exact). ok is false of a NullsOnly sketch, and
// of one that was stored before values were told apart.
func (s *Sketch) Distinct() (n, within float64, ok bool) {
	switch s.Shape {
	case Numbers:
		return s.num.different()
	case Categories:
		return s.cat.distinct()
	}
	return 0, 0, false
}

// Quantile returns the value at a rank in [0, 1] of a Numbers sketch, within
// RankError; ok is false when it has no values.
func (s *Sketch) Quantile(rank float64) (v float64, ok bool) {
	if s.Shape != Numbers || s.Count == 0 {
		return 0, false
	}
	return s.num.distribution().Quantile(rank), true
}

// RankError is how far, as a share of all values, a rank read from the sketch
// may be off (with 99 % confidence); 0 while the sketch is exact.
func (s *Sketch) RankError() float64 { return s.num.rankError() }

// KLL returns the quantiles of a Numbers sketch in the format of Apache DataSketches
// (kll, doubles), for other tools to read; nil of another.
func (s *Sketch) KLL() []byte {
	if s.Shape != Numbers {
		return nil
	}
	return s.num.datasketch()
}

// HLL returns the distinct values in that format (hll), nil where they are not known. It does not
// merge with what other tools make of the same values: they hash them in another way.
func (s *Sketch) HLL() []byte {
	var d *sketch.Distinct
	switch {
	case s.Shape == Numbers:
		d = s.num.hll()
	case s.Shape == Categories && s.cat.other == 0:
		d = s.cat.hll()
	}
	if d == nil {
		return nil
	}
	return d.Datasketch()
}

// FrequentItems returns the categories in that format (frequent items, strings); nil of another shape.
func (s *Sketch) FrequentItems() []byte {
	if s.Shape != Categories {
		return nil
	}
	return s.cat.frequent()
}

// secondFormat is set in the first byte of an encoded sketch, which was the shape alone
// before there were distinct values.
const secondFormat = 0x10

// AppendBinary appends the sketch's encoding: shape, counts, then what the shape keeps.
func (s *Sketch) AppendBinary(b []byte) []byte {
	b = append(b, byte(s.Shape)|secondFormat)
	b = wire.Uint(b, uint64(s.Count))
	b = wire.Uint(b, uint64(s.Nulls))
	b = wire.Uint(b, uint64(s.Odd))
	switch s.Shape {
	case Numbers:
		return s.num.append(b)
	case Categories:
		return s.cat.append(b)
	}
	return b
}

func (s *Sketch) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil), nil }

// UnmarshalBinary makes the sketch the one that was encoded, in this format or the first. It keeps nothing of b.
func (s *Sketch) UnmarshalBinary(b []byte) error {
	r := wire.Read(b)
	kind := r.Byte()
	first := kind&secondFormat == 0
	*s = Sketch{Shape: Shape(kind &^ secondFormat), Count: r.Count(), Nulls: r.Count(), Odd: r.Count()}
	switch s.Shape {
	case Numbers:
		s.num.read(&r, s.Count, first)
	case Categories:
		if first {
			s.cat.readFirst(&r, s.Count)
		} else {
			s.cat.read(&r, s.Count)
		}
	case NullsOnly:
	default:
		r.Fail()
	}
	if err := r.Done(); err != nil {
		return feature.Errorf(feature.Internal, "drift.decode", "sketch", "%w", err)
	}
	return nil
}
