package parquetfile

import (
	"encoding/binary"
	"slices"

	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"

	"github.com/weir-ml/weir/registry/feature"
)

// listMemory is a chunk of arrays. Their elements are written as the values of any
// other column are; beside them stand levels, which say where a row begins and
// whether it is empty or null. Pages end with a row.
type listMemory struct {
	data       *Data
	valid      []byte
	counts     []uint32 // elements by row, none where it is null
	total      int
	reps, defs []byte
	encoded    []byte
}

const (
	// maxArray is the most bytes that an array takes: its page has to be described in 31 bits.
	maxArray = 1 << 30
	// maxListCodes is how many elements of a chunk may be places in a dictionary; each takes memory.
	maxListCodes = 1 << 23
	// maxListRows is how many rows a page of arrays has, however empty they are.
	maxListRows = 1 << 16
)

// listColumn writes a column of arrays.
func (w *chunker) listColumn(c *columnEncoder, d *Data, rows int, valid []byte) error {
	l := &w.lists
	if err := l.begin(c, d, rows, valid); err != nil {
		return err
	}
	if l.total == 0 {
		return w.emptyLists(c, rows)
	}
	switch c.physical() {
	case format.Boolean:
		return w.listsOfBools(c)
	case format.Int32, format.Float:
		return writeNumbers(w, &w.narrow, c, numbers[uint32]{lists: l})
	case format.Int64, format.Double:
		return writeNumbers(w, &w.wide, c, numbers[uint64]{lists: l})
	}
	if c.plan.noDict == 0 {
		if w.listTextDict() {
			return w.textCodes(c, nil)
		}
		c.plan.noDict = rowsTrusted
	}
	c.plan.noDict = max(0, c.plan.noDict-l.total)
	return w.listsOfTexts(c)
}

// begin counts the elements; it refuses what is no packed array.
func (l *listMemory) begin(c *columnEncoder, d *Data, rows int, valid []byte) error {
	l.data, l.valid, l.total = d, valid, 0
	l.counts = sized(l.counts, rows)
	for i := range l.counts {
		packed := l.at(i)
		n, err := feature.Elements(c.col.Type, packed)
		switch {
		case err != nil:
			return c.bad("row %d: %w", i, err)
		case len(packed) > maxArray:
			return c.bad("the array of row %d takes %d bytes, more than 1 GiB", i, len(packed))
		}
		l.counts[i] = uint32(n)
		l.total += n
	}
	return nil
}

// at is the array of row i, nil where it is null.
func (l *listMemory) at(i int) []byte {
	if l.valid != nil && l.valid[i] == 0 {
		return nil
	}
	return l.data.at(i)
}

// end is the row before which a page ends that begins with row lo and is to have so many elements.
func (l *listMemory) end(lo, elements int) int {
	n := 0
	for i, k := range l.counts[lo:min(len(l.counts), lo+maxListRows)] {
		if n += int(k); n > elements && i > 0 {
			return lo + i
		}
	}
	return min(len(l.counts), lo+maxListRows)
}

// endBytes is end for so many bytes.
func (l *listMemory) endBytes(lo, size int) int {
	most := min(len(l.counts), lo+maxListRows)
	n := 0
	for i := lo; i < most; i++ {
		if n += len(l.at(i)) + 3*int(l.counts[i]); n > size && i > lo {
			return i
		}
	}
	return most
}

// numbersIn are the elements of rows [lo, hi), in dst's memory. Numbers are packed as they stand in memory.
func numbersIn[B uint32 | uint64](l *listMemory, dst []B, lo, hi int) []B {
	n := 0
	for _, k := range l.counts[lo:hi] {
		n += int(k)
	}
	dst = sized(dst, n)
	out := plainBytes(dst)
	for i := lo; i < hi; i++ {
		out = out[copy(out, l.at(i)):]
	}
	return dst
}

// moreCodes makes room for n codes after those before; false where they are too many.
func (w *chunker) moreCodes(before, n int) bool {
	if before+n > maxListCodes {
		return false
	}
	w.codes = slices.Grow(w.codes[:before], n)[:before+n]
	return true
}

// emptyLists writes a chunk without an element.
func (w *chunker) emptyLists(c *columnEncoder, rows int) error {
	c.data = format.Plain
	for lo := 0; lo < rows; lo += maxListRows {
		if err := w.page(c, min(maxListRows, rows-lo), 0, nil, nil, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *chunker) listsOfBools(c *columnEncoder) error {
	l := &w.lists
	c.data = format.Plain
	for lo, hi := 0, 0; lo < len(l.counts); lo = hi {
		hi = l.end(lo, w.pageBytes)
		w.held = w.held[:0]
		for i := lo; i < hi; i++ {
			for _, b := range l.at(i) {
				w.held = append(w.held, min(b, 1))
			}
		}
		if err := w.bitPage(c, hi-lo, w.held, nil); err != nil {
			return err
		}
	}
	return nil
}

// eachText calls put with the elements of rows [lo, hi) until it returns false.
func (l *listMemory) eachText(lo, hi int, put func(text []byte) bool) bool {
	for i := lo; i < hi; i++ {
		packed := l.at(i)
		for range l.counts[i] {
			size, used := binary.Uvarint(packed) // as begin has found it
			end := used + int(size)
			if !put(packed[used:end]) {
				return false
			}
			packed = packed[end:]
		}
	}
	return true
}

// listTextDict makes the chunk's dictionary and codes; false where its texts are too many.
func (w *chunker) listTextDict() bool {
	l, m := &w.lists, &w.texts
	limit := min(maxDict, max(l.total/2, 16))
	m.start(limit)
	w.pages = w.pages[:0]
	n := 0
	for lo, hi := 0, 0; lo < len(l.counts); lo = hi {
		hi = l.end(lo, w.pageRows(4))
		values := 0
		for _, k := range l.counts[lo:hi] {
			values += int(k)
		}
		if !w.moreCodes(n, values) {
			return false
		}
		codes := w.codes[n : n : n+values]
		if !l.eachText(lo, hi, func(text []byte) bool {
			code, ok := m.place(text)
			codes = append(codes, code)
			return ok
		}) {
			return false
		}
		if n += values; m.givesUp(limit, n) {
			return false
		}
		w.pages = append(w.pages, pageOfCodes{rows: hi - lo, values: values})
	}
	return true
}

func (w *chunker) listsOfTexts(c *columnEncoder) error {
	l := &w.lists
	c.data = format.Plain
	for lo, hi := 0, 0; lo < len(l.counts); lo = hi {
		hi = l.endBytes(lo, w.pageBytes)
		w.body = w.body[:0]
		values := 0
		l.eachText(lo, hi, func(text []byte) bool {
			w.body = binary.LittleEndian.AppendUint32(w.body, uint32(len(text)))
			w.body = append(w.body, text...)
			values++
			return true
		})
		if err := w.page(c, hi-lo, values, nil, w.body, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// listLevels makes the levels of a page that has the next rows of the chunk:
// entries says how many there are, repeats how many bytes tell where rows begin.
func (w *chunker) listLevels(c *columnEncoder, rows int) (entries, repeats int, err error) {
	l := &w.lists
	l.reps, l.defs = l.reps[:0], l.defs[:0]
	empty := byte(1) // the level of a row that is there
	if c.col.Required {
		empty = 0
	}
	for i := int(c.rows); i < int(c.rows)+rows; i++ {
		l.reps = append(l.reps, 0)
		switch n := int(l.counts[i]); {
		case l.valid != nil && l.valid[i] == 0:
			c.nullRows++
			l.defs = append(l.defs, 0)
		case n == 0:
			l.defs = append(l.defs, empty)
		default:
			l.reps = repeated(l.reps, 1, n-1)
			l.defs = repeated(l.defs, empty+1, n)
		}
	}
	if l.encoded, err = (&rle.Encoding{BitWidth: 1}).EncodeLevels(l.encoded, l.reps); err != nil {
		return 0, 0, err
	}
	w.levels = append(w.levels, l.encoded...)
	repeats = len(w.levels)
	if l.encoded, err = (&rle.Encoding{BitWidth: 1 + int(empty)}).EncodeLevels(l.encoded, l.defs); err != nil {
		return 0, 0, err
	}
	w.levels = append(w.levels, l.encoded...)
	return len(l.reps), repeats, nil
}

// repeated appends n times b.
func repeated(dst []byte, b byte, n int) []byte {
	from := len(dst)
	dst = slices.Grow(dst, n)[:from+n]
	for i := range dst[from:] {
		dst[from+i] = b
	}
	return dst
}
