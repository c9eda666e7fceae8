package drift

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

// Folding rows [from, to) of an Arrow column into a sketch: one loop for each
// type, values gathered into a buffer so that moments and the quantile sketch
// see many at once. Nulls are skipped by the validity bitmap, which is counted
// first: most columns have none.

// folder holds the buffer that a run of updates shares. Not for parallel use.
type folder struct{ buf []float64 }

// foldRows is how many rows of a column are folded at a time.
const foldRows = 2048

func shapeOfArrow(t arrow.DataType) Shape {
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64,
		arrow.FLOAT32, arrow.FLOAT64:
		return Numbers
	case arrow.STRING, arrow.LARGE_STRING, arrow.BOOL:
		return Categories
	}
	return NullsOnly
}

// update folds rows [from, to) of col. A column of another shape than the
// sketch's counts only its nulls.
func (f *folder) update(s *Sketch, col arrow.Array, from, to int) {
	if from >= to {
		return
	}
	switch s.Shape {
	case Numbers:
		if to-from > foldRows { // what is gathered stays in the cache until it is folded
			for lo := from; lo < to; lo += foldRows {
				f.update(s, col, lo, min(lo+foldRows, to))
			}
			return
		}
		switch c := col.(type) {
		case *array.Float64:
			gather(f, s, c, c.Float64Values(), from, to)
		case *array.Int64:
			gather(f, s, c, c.Int64Values(), from, to)
		case *array.Int32:
			gather(f, s, c, c.Int32Values(), from, to)
		case *array.Float32:
			gather(f, s, c, c.Float32Values(), from, to)
		case *array.Int16:
			gather(f, s, c, c.Int16Values(), from, to)
		case *array.Int8:
			gather(f, s, c, c.Int8Values(), from, to)
		case *array.Uint64:
			gather(f, s, c, c.Uint64Values(), from, to)
		case *array.Uint32:
			gather(f, s, c, c.Uint32Values(), from, to)
		case *array.Uint16:
			gather(f, s, c, c.Uint16Values(), from, to)
		case *array.Uint8:
			gather(f, s, c, c.Uint8Values(), from, to)
		default:
			s.nulls(col, from, to)
			return
		}
		s.num.add(f.buf)
		s.Count += int64(len(f.buf))
	case Categories:
		switch c := col.(type) {
		case *array.String:
			countTexts(s, c, from, to)
		case *array.LargeString:
			countTexts(s, c, from, to)
		case *array.Boolean:
			countBools(s, c, from, to)
		default:
			s.nulls(col, from, to)
		}
	default:
		s.nulls(col, from, to)
	}
}

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// gather fills the buffer with the finite values and counts the others. Whether a value is
// kept moves the end of the buffer and nothing else: there is no branch to guess wrong.
func gather[T number](f *folder, s *Sketch, col arrow.Array, v []T, from, to int) {
	n := to - from
	if cap(f.buf) < n {
		f.buf = make([]float64, foldRows)
	}
	buf, k := f.buf[:n], 0
	switch there := present(col, from, to); there {
	case n:
		for _, x := range v[from:to] {
			buf[k] = float64(x)
			k += finite(float64(x))
		}
		s.Odd += int64(n - k)
	case 0: // there may be no values to look at
		s.Nulls += int64(n)
	default:
		bits, at := col.NullBitmapBytes(), col.Data().Offset()+from
		for i, x := range v[from:to] {
			valid := int(bits[(at+i)>>3]>>((at+i)&7)) & 1
			buf[k] = float64(x)
			k += valid & finite(float64(x))
		}
		s.Nulls += int64(n - there)
		s.Odd += int64(there - k)
	}
	f.buf = buf[:k]
}

// present is how many of the rows are not null. col.NullN would count when first asked, and
// keep that: several sinks may look at one batch.
func present(col arrow.Array, from, to int) int {
	if col.DataType().ID() == arrow.NULL {
		return 0
	}
	if bits := col.NullBitmapBytes(); len(bits) > 0 {
		return bitutil.CountSetBits(bits, col.Data().Offset()+from, to-from)
	}
	return to - from
}

// finite is 1 where x is a number, 0 where it is NaN or infinite: its exponent is all ones.
func finite(x float64) int {
	return 1 - int((math.Float64bits(x)>>52&0x7ff+1)>>11)
}

type texts interface {
	arrow.Array
	Value(int) string
}

func countTexts[C texts](s *Sketch, c C, from, to int) {
	there := present(c, from, to)
	for i := from; i < to; i++ {
		if there == to-from || !c.IsNull(i) {
			s.cat.add(c.Value(i), 1)
		}
	}
	s.Count += int64(there)
	s.Nulls += int64(to - from - there)
}

func countBools(s *Sketch, c *array.Boolean, from, to int) {
	var yes, no int64
	for i := from; i < to; i++ {
		switch {
		case c.IsNull(i):
			s.Nulls++
		case c.Value(i):
			yes++
		default:
			no++
		}
	}
	if yes > 0 {
		s.cat.add("true", yes)
	}
	if no > 0 {
		s.cat.add("false", no)
	}
	s.Count += yes + no
}

// nulls counts nulls and values alone.
func (s *Sketch) nulls(col arrow.Array, from, to int) {
	nulls := to - from - present(col, from, to)
	s.Nulls += int64(nulls)
	if s.Shape == NullsOnly {
		s.Count += int64(to - from - nulls)
	} else {
		s.Odd += int64(to - from - nulls)
	}
}
