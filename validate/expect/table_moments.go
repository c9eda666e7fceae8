package expect

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/weir-ml/weir/registry/feature"
)

// momentsBlock is how many values are summed up together. Blocks are counted from
// the first value of the table, so that no answer depends on how it came in batches.
const momentsBlock = 4096

// moments knows the number, sum, mean and variance of a column's values.
type moments struct {
	col       int
	whole     bool // values are integers or bools: the sum is exact
	spread    bool // the variance is asked for
	n         int64
	block     []float64
	ints      []int64
	sum, lost float64 // what sum has lost by rounding
	mean, m2  float64 // m2 is the sum of squared distances from the mean
	done      int64   // values in sum, mean and m2
	exact     big.Int
	up, down  int64 // infinities
}

func newMoments(col int, typ feature.Type, spread bool) *moments {
	m := &moments{col: col, spread: spread, whole: typ != feature.Float32 && typ != feature.Float64}
	m.block = make([]float64, 0, momentsBlock)
	if m.whole {
		m.ints = make([]int64, 0, momentsBlock)
	}
	return m
}

func (m *moments) bytes() int64 { return 0 }
func (m *moments) spill() error { return nil }
func (m *moments) close() error { return nil }

func (m *moments) add(b *batch, _ int64) error {
	c := &b.cols[m.col]
	m.n += int64(c.count)
	for w, rows := range c.present {
		if len(m.block)+64 > momentsBlock {
			// The block is full within this word: one value after the other.
			for ; rows != 0; rows &= rows - 1 {
				m.addOne(c, w*64+bits.TrailingZeros64(rows))
			}
			continue
		}
		if rows == ^uint64(0) && m.addWord(c, w) {
			if len(m.block) == momentsBlock {
				m.closeBlock()
			}
			continue
		}
		for ; rows != 0; rows &= rows - 1 {
			m.addOne(c, w*64+bits.TrailingZeros64(rows))
		}
	}
	return nil
}

// addWord adds 64 rows that all have a value, for the types where it is worth it.
func (m *moments) addWord(c *column, w int) bool {
	switch c.typ {
	case feature.Float64:
		m.block = append(m.block, c.f64[w*64:w*64+64]...)
		return true
	case feature.Int64:
		n := len(m.block)
		m.ints, m.block = append(m.ints, c.i64[w*64:w*64+64]...), m.block[:n+64]
		for i, v := range m.ints[n:] {
			m.block[n+i] = float64(v)
		}
		return true
	}
	return false
}

func (m *moments) addOne(c *column, i int) {
	if m.whole {
		v := int64(c.word(i))
		m.ints = append(m.ints, v)
		m.block = append(m.block, float64(v))
	} else if c.typ == feature.Float64 {
		m.block = append(m.block, c.f64[i])
	} else {
		m.block = append(m.block, float64(c.f32[i]))
	}
	if len(m.block) == momentsBlock {
		m.closeBlock()
	}
}

// closeBlock adds the block to what is known and empties it.
func (m *moments) closeBlock() {
	m.sumInts()
	block := m.block
	sum := sumOf(block)
	if sum-sum != 0 { // not finite
		block = m.finite(block)
		sum = sumOf(block)
	}
	m.block, m.ints = m.block[:0], m.ints[:0]
	if len(block) == 0 {
		return
	}
	mean := sum / float64(len(block))
	var m2 float64
	if m.spread {
		m2 = squaresFrom(block, mean)
	}
	n, k := float64(m.done), float64(len(block))
	d := mean - m.mean
	m.m2 += m2 + d*d*n*k/(n+k)
	m.mean += d * k / (n + k)
	t := m.sum + sum
	if math.Abs(m.sum) >= math.Abs(sum) {
		m.lost += (m.sum - t) + sum
	} else {
		m.lost += (sum - t) + m.sum
	}
	m.sum = t
	m.done += int64(len(block))
}

// sumOf adds in four lanes, so that one addition need not wait for the last.
func sumOf(vals []float64) float64 {
	var a, b, c, d float64
	for ; len(vals) >= 4; vals = vals[4:] {
		a += vals[0]
		b += vals[1]
		c += vals[2]
		d += vals[3]
	}
	for _, v := range vals {
		a += v
	}
	return (a + b) + (c + d)
}

// squaresFrom is the sum of squared distances from the mean.
func squaresFrom(vals []float64, mean float64) float64 {
	n := float64(len(vals))
	var a, b, off float64
	for ; len(vals) >= 2; vals = vals[2:] {
		d, e := vals[0]-mean, vals[1]-mean
		a += d * d
		b += e * e
		off += d + e
	}
	for _, v := range vals {
		a += (v - mean) * (v - mean)
		off += v - mean
	}
	return a + b - off*off/n // less what the rounding of the mean has added
}

// finite returns the finite values of a block and counts the others.
func (m *moments) finite(block []float64) []float64 {
	out := block[:0]
	for _, v := range block {
		switch {
		case math.IsInf(v, 1):
			m.up++
		case math.IsInf(v, -1):
			m.down++
		default:
			out = append(out, v)
		}
	}
	return out
}

// sumInts adds the integers of the block, which overflow 64 bits only when they are large.
func (m *moments) sumInts() {
	if len(m.ints) == 0 {
		return
	}
	var all int64 // has a bit above the 50th when some value has
	var sum int64
	for _, v := range m.ints {
		all |= v ^ v>>63
		sum += v
	}
	if all>>50 == 0 {
		m.exact.Add(&m.exact, big.NewInt(sum))
		return
	}
	for _, v := range m.ints {
		m.exact.Add(&m.exact, big.NewInt(v))
	}
}

// finish closes the last block.
func (m *moments) finish() {
	if len(m.block) > 0 {
		m.closeBlock()
	}
}

// total is the sum: an integer of columns of integers.
func (m *moments) total() number {
	m.finish()
	if m.whole {
		return number{i: &m.exact}
	}
	switch {
	case m.up > 0 && m.down > 0:
		return number{f: math.NaN()}
	case m.up > 0:
		return number{f: math.Inf(1)}
	case m.down > 0:
		return number{f: math.Inf(-1)}
	}
	return number{f: m.sum + m.lost}
}

// average is the mean, NaN of nothing.
func (m *moments) average() float64 {
	t := m.total()
	if t.i == nil {
		return t.f / float64(m.n)
	}
	if m.n == 0 {
		return math.NaN()
	}
	f, _ := new(big.Float).Quo(new(big.Float).SetPrec(200).SetInt(t.i), new(big.Float).SetPrec(200).SetInt64(m.n)).Float64()
	return f
}

// deviation is the sample standard deviation, NaN of less than two values.
func (m *moments) deviation() float64 {
	m.finish()
	if m.n < 2 || m.up+m.down > 0 {
		return math.NaN()
	}
	return math.Sqrt(max(m.m2, 0) / float64(m.n-1))
}
