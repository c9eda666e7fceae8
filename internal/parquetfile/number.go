package parquetfile

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"

	"github.com/parquet-go/parquet-go/format"

	"github.com/weir-ml/weir/registry/feature"
)

// numberMemory is what encoding numbers of one width needs, by their bits.
type numberMemory[B uint32 | uint64] struct {
	dense []B
	dict  []B
	table []int32 // hash table of 1<<log places: place in dict + 1, 0 for free
	log   int
	limit int
}

// pageOfCodes is a page that is to be written as places in a dictionary.
type pageOfCodes struct {
	rows, values int
	least, most  [8]byte
	bounded      bool
}

const (
	// maxDict is the most values that a dictionary of numbers has.
	maxDict = 1 << 15
	// earlyValues is how many values are looked at before a dictionary that
	// promises nothing is given up.
	earlyValues = 8192
)

// view is memory of one type as another of the same size.
func view[T, S any](s []S) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// plainBytes are numbers in plain encoding: as they stand in memory, on the
// little-endian machines that Weir is built for.
func plainBytes[B uint32 | uint64](s []B) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(B(0))))
}

// numbers are the numbers of a chunk: a place for every row, or those in its arrays.
type numbers[B uint32 | uint64] struct {
	src   []B
	valid []byte
	lists *listMemory // of arrays; then src is nil
}

func (n *numbers[B]) rows() int {
	if n.lists != nil {
		return len(n.lists.counts)
	}
	return len(n.src)
}

// total is how many numbers there are, or places for them.
func (n *numbers[B]) total() int {
	if n.lists != nil {
		return n.lists.total
	}
	return len(n.src)
}

// end is the row before which a page ends that begins with row lo, whose values take so many bytes each.
func (n *numbers[B]) end(w *chunker, lo, size int) int {
	if n.lists != nil {
		return n.lists.end(lo, w.pageRows(size))
	}
	return min(lo+w.pageRows(size), len(n.src))
}

// values are those of rows [lo, hi) that are not null.
func (n *numbers[B]) values(m *numberMemory[B], lo, hi int) []B {
	if n.lists != nil {
		m.dense = numbersIn(n.lists, m.dense, lo, hi)
		return m.dense
	}
	return m.values(n.src[lo:hi], slice(n.valid, lo, hi))
}

// sample is the first of the values, and how many places they stand for.
func (n *numbers[B]) sample(w *chunker, m *numberMemory[B]) (values []B, places int) {
	const most = 4096
	if n.lists != nil {
		values = n.values(m, 0, n.end(w, 0, width[B]()))
		values = values[:min(len(values), most)]
		return values, len(values)
	}
	places = min(len(n.src), most)
	return n.values(m, 0, places), places
}

func writeNumbers[B uint32 | uint64](w *chunker, m *numberMemory[B], c *columnEncoder, src numbers[B]) error {
	real := c.leaf == feature.Float32 || c.leaf == feature.Float64
	if !real && c.plan.trust == 0 {
		if err := tryNumbers(w, m, c, &src); err != nil {
			return err
		}
		c.plan.trust = rowsTrusted
	}
	c.plan.trust = max(0, c.plan.trust-src.total())
	if (real || c.plan.dict) && c.plan.noDict == 0 {
		if numberDict(w, m, c, &src) {
			return writeCodes(w, m, c, src.valid)
		}
		c.plan.noDict = rowsTrusted
	}
	c.plan.noDict = max(0, c.plan.noDict-src.total())
	c.data = format.Plain
	if c.plan.delta {
		c.data = format.DeltaBinaryPacked
	}
	for lo, hi := 0, 0; lo < src.rows(); lo = hi {
		hi = src.end(w, lo, width[B]())
		values := src.values(m, lo, hi)
		body := plainBytes(values)
		if c.plan.delta {
			var err error
			if body, err = deltas(w, values); err != nil {
				return err
			}
		}
		p := pageOfCodes{rows: hi - lo, values: len(values)}
		setBounds(c.leaf, &p, values)
		if err := w.page(c, p.rows, p.values, slice(src.valid, lo, hi), body, p.lo(width[B]()), p.hi(width[B]())); err != nil {
			return err
		}
	}
	return nil
}

func (m *numberMemory[B]) values(src []B, valid []byte) []B {
	if valid == nil {
		return src
	}
	m.dense = dense(m.dense, src, valid)
	return m.dense
}

func width[B uint32 | uint64]() int { return int(unsafe.Sizeof(B(0))) }

func deltas[B uint32 | uint64](w *chunker, values []B) ([]byte, error) {
	var err error
	if width[B]() == 8 {
		w.body, err = w.delta.EncodeInt64(w.body, view[int64](values))
	} else {
		w.body, err = w.delta.EncodeInt32(w.body, view[int32](values))
	}
	return w.body, err
}

// tryNumbers finds out how integers are written best, on the first of them.
func tryNumbers[B uint32 | uint64](w *chunker, m *numberMemory[B], c *columnEncoder, src *numbers[B]) error {
	values, n := src.sample(w, m)
	diffs, err := deltas(w, values)
	if err != nil {
		return err
	}
	delta := len(diffs)
	plain := width[B]() * len(values)
	if w.codec != nil {
		if w.zipped, err = w.codec.Encode(w.zipped, plainBytes(values)); err != nil {
			return err
		}
		plain = min(plain, len(w.zipped))
	}
	// Differences are several times as cheap to make as compressed numbers.
	c.plan.delta = delta <= plain+plain/10
	c.plan.dict = false
	m.startDict(len(values) / 8)
	w.codes = sized(w.codes, len(values))
	if m.limit > 0 && m.number(values, w.codes, 0) {
		d := len(m.dict)
		size := d * width[B]() * n / src.total()
		if d > 1 {
			size += bits.Len(uint(d-1)) * len(values) / 8
		}
		c.plan.dict = size < min(delta, plain)*4/5
	}
	return nil
}

// startDict empties the dictionary, which is given up beyond so many values.
func (m *numberMemory[B]) startDict(limit int) {
	m.limit, m.dict = limit, m.dict[:0]
	m.log = bits.Len(uint(2 * limit))
	m.table = sized(m.table, 1<<m.log)
	clear(m.table)
}

// number finds the values' places in the dictionary, seen values having been
// there before; false when it is given up.
func (m *numberMemory[B]) number(values []B, codes []int32, seen int) bool {
	shift, mask := 64-m.log, 1<<m.log-1
	table, codes := m.table[:mask+1], codes[:len(values)]
	var last B
	code := int32(-1)
	for i, v := range values {
		if code >= 0 && v == last {
			codes[i] = code
			continue
		}
		for h := int(uint64(v) * 0x9e3779b97f4a7c15 >> shift); ; h++ {
			k := table[h&mask]
			if k == 0 {
				d := len(m.dict)
				if d == m.limit || d >= earlyValues && 8*d > 7*(seen+i) {
					return false
				}
				m.dict = append(m.dict, v)
				k = int32(d + 1)
				table[h&mask] = k
			} else if m.dict[k-1] != v {
				continue
			}
			last, code = v, k-1
			codes[i] = code
			break
		}
	}
	return true
}

// numberDict makes the chunk's dictionary and codes; false where its values are too many.
func numberDict[B uint32 | uint64](w *chunker, m *numberMemory[B], c *columnEncoder, src *numbers[B]) bool {
	m.startDict(min(maxDict, src.total()/4))
	if m.limit == 0 {
		return false
	}
	w.pages = w.pages[:0]
	if src.lists == nil {
		w.codes = sized(w.codes, src.total())
	}
	n := 0
	for lo, hi := 0, 0; lo < src.rows(); lo = hi {
		hi = src.end(w, lo, 4)
		values := src.values(m, lo, hi)
		if src.lists != nil && !w.moreCodes(n, len(values)) {
			return false
		}
		if !m.number(values, w.codes[n:], n) {
			return false
		}
		n += len(values)
		p := pageOfCodes{rows: hi - lo, values: len(values)}
		setBounds(c.leaf, &p, values)
		w.pages = append(w.pages, p)
	}
	return true
}

// writeCodes writes a chunk as its dictionary and the places in it.
func writeCodes[B uint32 | uint64](w *chunker, m *numberMemory[B], c *columnEncoder, valid []byte) error {
	if err := w.dictionary(c, len(m.dict), plainBytes(m.dict)); err != nil {
		return err
	}
	return w.pagesOfCodes(c, valid, func(p *pageOfCodes) ([]byte, []byte) { return p.lo(width[B]()), p.hi(width[B]()) })
}

// pagesOfCodes writes the pages that w.pages and w.codes describe.
func (w *chunker) pagesOfCodes(c *columnEncoder, valid []byte, bounds func(*pageOfCodes) (least, most []byte)) error {
	c.data = format.RLEDictionary
	row, k := 0, 0
	for i := range w.pages {
		p := &w.pages[i]
		var err error
		if w.body, err = w.runs.EncodeInt32(w.body, w.codes[k:k+p.values]); err != nil {
			return err
		}
		least, most := bounds(p)
		if err := w.page(c, p.rows, p.values, slice(valid, row, row+p.rows), w.body, least, most); err != nil {
			return err
		}
		row, k = row+p.rows, k+p.values
	}
	return nil
}

func (p *pageOfCodes) lo(n int) []byte { return p.bound(&p.least, n) }
func (p *pageOfCodes) hi(n int) []byte { return p.bound(&p.most, n) }

func (p *pageOfCodes) bound(b *[8]byte, n int) []byte {
	if !p.bounded {
		return nil
	}
	return b[:n]
}

// setBounds finds the least and the greatest value.
func setBounds[B uint32 | uint64](t feature.Type, p *pageOfCodes, values []B) {
	if len(values) == 0 {
		return
	}
	put := func(lo, hi uint64) {
		p.bounded = true
		binary.LittleEndian.PutUint64(p.least[:], lo)
		binary.LittleEndian.PutUint64(p.most[:], hi)
	}
	switch t {
	case feature.Int32:
		lo, hi := intBounds(view[int32](values))
		put(uint64(uint32(lo)), uint64(uint32(hi)))
	case feature.Float32:
		if lo, hi := realBounds(view[float32](values)); lo <= hi {
			put(uint64(math.Float32bits(lo)), uint64(math.Float32bits(hi)))
		}
	case feature.Float64:
		if lo, hi := realBounds(view[float64](values)); lo <= hi {
			put(math.Float64bits(lo), math.Float64bits(hi))
		}
	default:
		lo, hi := intBounds(view[int64](values))
		put(uint64(lo), uint64(hi))
	}
}

func intBounds[T int32 | int64](s []T) (lo, hi T) {
	lo, hi = s[0], s[0]
	for _, v := range s {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// realBounds leaves NaN out; nothing but NaN makes lo greater than hi. A zero is
// taken as the zero further out: readers may tell them apart or not.
func realBounds[T float32 | float64](s []T) (lo, hi T) {
	lo, hi = T(math.Inf(1)), T(math.Inf(-1))
	for _, v := range s {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	if lo == 0 {
		lo = T(math.Copysign(0, -1))
	}
	if hi == 0 {
		hi = 0
	}
	return lo, hi
}
