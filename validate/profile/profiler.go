package profile

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// Options bound what a profiler keeps.
type Options struct {
	// Memory is how many bytes may be kept to tell whether all values of a column
	// differ; 0 for 128 MiB.
	Memory int64
	// JSONText tells that text may be JSON of nested values, as that of JSON lines files.
	JSONText bool
	// Nested names columns of text that are JSON of lists and objects, which an event has as they are.
	Nested map[string]bool
	// Masked names columns of whose values nothing is to be said.
	Masked map[string]bool
	// Unordered tells that the order of the rows means nothing.
	Unordered bool
}

const defaultMemory = 128 << 20

// Profiler looks at a table, batch by batch. It belongs to one goroutine.
type Profiler struct {
	o     Options
	rows  int64
	cols  []*column
	pairs *pairs
	order *order
	seed  maphash.Seed
}

// New starts a profile of tables of a schema whose columns are of feature types.
func New(schema *arrow.Schema, types []feature.Type, o Options) *Profiler {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	p := &Profiler{o: o, seed: maphash.MakeSeed()}
	for i, f := range schema.Fields() {
		c := &column{name: f.Name, typ: types[i], rising: !o.Unordered, falling: !o.Unordered, strict: true, nested: o.Nested[f.Name], min: math.Inf(1), max: math.Inf(-1)}
		switch {
		case c.typ.IsArray() || c.typ == feature.Bytes || o.Masked[f.Name]:
			// only its nulls are counted
		case c.typ == feature.String:
			c.text, c.values = newText(), newValues()
		default:
			c.values = newValues()
		}
		p.cols = append(p.cols, c)
	}
	p.pairs, p.order = newPairs(), newOrder(p.cols)
	return p
}

// Rows is the number of rows seen.
func (p *Profiler) Rows() int64 { return p.rows }

// Add looks at the next rows. Nothing of the record is kept.
func (p *Profiler) Add(rec arrow.RecordBatch) error {
	if int(rec.NumCols()) != len(p.cols) {
		return feature.Errorf(feature.Invalid, "profile.add", "", "the batch has %d columns, the profile %d", rec.NumCols(), len(p.cols))
	}
	for i, c := range p.cols {
		if err := c.add(rec.Column(i), p.seed); err != nil {
			return err
		}
	}
	p.pairs.add(p.cols, int(rec.NumRows()))
	p.order.add(p.cols, int(rec.NumRows()))
	p.rows += rec.NumRows()
	p.fit()
	return nil
}

// fit gives up the largest sets of values when all of them take too much.
func (p *Profiler) fit() {
	for {
		var total, most int64
		var largest *column
		for _, c := range p.cols {
			if c.values == nil {
				continue
			}
			n := c.values.bytes()
			if total += n; n > most {
				most, largest = n, c
			}
		}
		if total <= p.o.Memory || largest == nil {
			return
		}
		largest.values.giveUp()
	}
}

// column is what is known of a column.
type column struct {
	name                    string
	typ                     feature.Type
	nulls                   int64
	present                 int64
	min, max                float64 // of numbers, times in microseconds
	lo, hi                  int64   // of whole numbers and times, exactly
	mean, m2                float64 // Welford's
	last                    float64
	rising, falling, strict bool
	infinite                bool
	nested                  bool // the text is JSON of lists and objects
	odd                     bool // NaN or infinite: JSON has no number for some of the values
	text                    *text
	values                  *values
	codes                   []uint8   // of the batch: index in values.list; noCode where null
	floats                  []float64 // of the batch, NaN where null; only of numbers and times
}

const noCode = math.MaxUint8

func (c *column) add(a arrow.Array, seed maphash.Seed) error {
	n := a.Len()
	c.codes, c.floats = c.codes[:0], c.floats[:0]
	if c.values == nil {
		c.nulls, c.present = c.nulls+int64(a.NullN()), c.present+int64(n-a.NullN())
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		for i := range n {
			if a.IsNull(i) {
				c.null()
				continue
			}
			v := a.Value(i)
			c.present++
			code, fresh, lost := c.values.see(maphash.String(seed, v), func() any { return string([]byte(v)) })
			c.codes = append(c.codes, code)
			if !fresh && !lost && code != noCode {
				continue // one of few: its text has been looked at
			}
			c.text.see(v)
		}
	case *array.Boolean:
		for i := range n {
			if a.IsNull(i) {
				c.null()
				continue
			}
			v := a.Value(i)
			h := uint64(1)
			if v {
				h = 2
			}
			c.present++
			code, _, _ := c.values.see(h, func() any { return v })
			c.codes = append(c.codes, code)
		}
	case *array.Int32:
		for i, v := range a.Int32Values() {
			c.whole(int64(v), a.IsValid(i))
		}
	case *array.Int64:
		for i, v := range a.Int64Values() {
			c.whole(v, a.IsValid(i))
		}
	case *array.Timestamp:
		for i, v := range a.TimestampValues() {
			c.whole(int64(v), a.IsValid(i))
		}
	case *array.Float32:
		for i, v := range a.Float32Values() {
			c.float(float64(v), a.IsValid(i))
		}
	case *array.Float64:
		for i, v := range a.Float64Values() {
			c.float(v, a.IsValid(i))
		}
	default:
		return fmt.Errorf("profile: no column can be %s", a.DataType())
	}
	return nil
}

func (c *column) null() {
	c.nulls++
	c.codes = append(c.codes, noCode)
	if c.text == nil {
		c.floats = append(c.floats, math.NaN())
	}
}

func (c *column) whole(v int64, valid bool) {
	if !valid {
		c.null()
		return
	}
	if c.present == 0 {
		c.lo, c.hi = v, v
	}
	c.lo, c.hi = min(c.lo, v), max(c.hi, v)
	c.number(float64(v))
	code, _, _ := c.values.see(mix(uint64(v)), func() any { return v })
	c.codes = append(c.codes, code)
}

func (c *column) float(v float64, valid bool) {
	if valid && v-v != 0 {
		c.odd = true
	}
	if !valid || v != v {
		c.null() // NaN is null, as expectations have it
		return
	}
	c.number(v)
	code, _, _ := c.values.see(mix(math.Float64bits(v)), func() any { return v })
	c.codes = append(c.codes, code)
}

func (c *column) number(v float64) {
	if c.present > 0 {
		c.rising = c.rising && v >= c.last
		c.falling = c.falling && v <= c.last
		c.strict = c.strict && v != c.last
	}
	c.present++
	c.last = v
	c.min, c.max = min(c.min, v), max(c.max, v)
	if math.IsInf(v, 0) {
		c.infinite = true
	} else {
		d := v - c.mean
		c.mean += d / float64(c.present)
		c.m2 += d * (v - c.mean)
	}
	c.floats = append(c.floats, v)
}

func (c *column) stdev() float64 {
	if c.present < 2 {
		return 0
	}
	return math.Sqrt(c.m2 / float64(c.present-1))
}

// mix spreads the bits of a number, one to one.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// few reports whether the column has a known, small set of values.
func (c *column) few() bool {
	return c.values != nil && !c.values.many && len(c.values.list) > 0
}

// sorted are the few values with their counts, in their order.
func (c *column) sorted() []valueCount {
	return slices.SortedFunc(slices.Values(c.values.list), func(a, b valueCount) int { return compareValues(a.value, b.value) })
}
