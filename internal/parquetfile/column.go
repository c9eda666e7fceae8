package parquetfile

import (
	"math/bits"

	"github.com/parquet-go/parquet-go/format"

	"github.com/weir-ml/weir/registry/feature"
)

// columnEncoder is one column of the files that an Encoder writes.
type columnEncoder struct {
	col  Column
	leaf feature.Type // of the values that are written: an array's elements
	plan columnPlan

	nullRows int64 // of the file

	// The chunk at hand.
	chunk      *format.ColumnChunk
	rows       int64  // in pages so far
	pack       packer // whether the next one is
	locations  []format.PageLocation
	nullPages  []bool
	nullCounts []int64
	mins, maxs [][]byte
	memory     []byte // of mins and maxs
	min, max   []byte // of the chunk
	some       bool   // min and max are set
	bounded    bool   // every page with values has bounds
	hasDict    bool
	dataPages  int32
	data       format.Encoding
	path       []string
}

// columnPlan is what has been learnt of a column: it is tried out on the first
// page of a chunk, and then trusted for a number of rows, for the trial costs as
// much as several pages.
type columnPlan struct {
	delta  bool // integers as differences, else plain
	dict   bool // integers as places in a dictionary
	trust  int  // rows until the next trial
	noDict int  // rows until a dictionary is tried again
	loose  int  // rows for which compression is not worth trying
}

// text tells whether the values are bytes where they come from: texts and arrays.
func (c *columnEncoder) text() bool { return c.col.Type.Variable() }

func (c *columnEncoder) array() bool { return c.col.Type.IsArray() }

func (c *columnEncoder) physical() format.Type {
	switch {
	case c.col.Fixed > 0:
		return format.FixedLenByteArray
	case c.leaf == feature.Bool:
		return format.Boolean
	case c.leaf == feature.Int32:
		return format.Int32
	case c.leaf == feature.Int64, c.leaf == feature.Timestamp:
		return format.Int64
	case c.leaf == feature.Float32:
		return format.Float
	case c.leaf == feature.Float64:
		return format.Double
	}
	return format.ByteArray
}

// check refuses columns that do not fit; what it lets through cannot fail later.
func (c *columnEncoder) check(d *Data, rows int) error {
	n := 0
	switch {
	case c.text() && d.Dict != nil:
		n = len(d.Codes)
	case c.text():
		n = len(d.Ends)
	case c.col.Type == feature.Bool:
		n = len(d.Bools)
	case c.col.Type == feature.Int32:
		n = len(d.Int32s)
	case c.col.Type == feature.Float32:
		n = len(d.Floats)
	case c.col.Type == feature.Float64:
		n = len(d.Doubles)
	default:
		n = len(d.Int64s)
	}
	if n < rows || d.Valid != nil && len(d.Valid) < rows {
		return c.bad("%d values for %d rows", n, rows)
	}
	if c.text() && d.Dict == nil {
		if err := c.checkTexts(d, rows); err != nil {
			return err
		}
	}
	if c.col.Required && d.Valid != nil {
		for i, v := range d.Valid[:rows] {
			if v == 0 {
				return c.bad("row %d is null and may not be", i)
			}
		}
	}
	if d.Dict != nil {
		for i, k := range d.Codes[:rows] {
			if int(k) >= len(d.Dict) && (d.Valid == nil || d.Valid[i] == 1) {
				return c.bad("row %d is text %d of %d", i, k, len(d.Dict))
			}
		}
	}
	return nil
}

func (c *columnEncoder) bad(what string, args ...any) error {
	return feature.Errorf(feature.Internal, "parquetfile.encode", "column "+c.col.Name, what, args...)
}

func (c *columnEncoder) checkTexts(d *Data, rows int) error {
	last := uint32(0)
	for i, end := range d.Ends[:rows] {
		if end < last || int64(end) > int64(len(d.Text)) {
			return c.bad("text %d ends at %d, the texts at %d", i, end, len(d.Text))
		}
		last = end
	}
	return nil
}

// begin starts a chunk.
func (c *columnEncoder) begin(chunk *format.ColumnChunk) {
	c.chunk, c.rows, c.pack = chunk, 0, packer{}
	c.locations, c.nullPages, c.nullCounts = c.locations[:0], c.nullPages[:0], c.nullCounts[:0]
	c.mins, c.maxs, c.memory = c.mins[:0], c.maxs[:0], c.memory[:0]
	c.some, c.bounded, c.hasDict, c.dataPages = false, true, false, 0
	chunk.MetaData = format.ColumnMetaData{Type: c.physical(), PathInSchema: c.path}
}

// end completes the chunk's part of the footer. Its slices are copied: the
// column's own are the next chunk's.
func (c *columnEncoder) end(e *Encoder) {
	m := &c.chunk.MetaData
	if c.some {
		m.Statistics.MinValue, m.Statistics.MaxValue = e.keep(c.min), e.keep(c.max)
	}
	enc := make([]format.Encoding, 0, 3)
	if c.hasDict {
		enc = append(enc, format.Plain)
		m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
	}
	if !c.col.Required || c.array() {
		enc = append(enc, format.RLE)
	}
	m.Encoding = append(enc, c.data)
	m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: format.DataPageV2, Encoding: c.data, Count: c.dataPages})
}

// move makes places in the chunk's memory places in the file, where it begins at so many bytes.
func (c *columnEncoder) move(at int64) {
	for i := range c.locations {
		c.locations[i].Offset += at
	}
	m := &c.chunk.MetaData
	m.DataPageOffset += at
	if c.hasDict {
		m.DictionaryPageOffset += at
	}
}

// booleans writes a column of booleans, a bit each.
func (w *chunker) booleans(c *columnEncoder, src []bool, valid []byte) error {
	const step = 1 << 16
	c.data = format.Plain
	for lo := 0; lo < len(src); lo += step {
		hi := min(lo+step, len(src))
		part, present := view[byte](src[lo:hi]), slice(valid, lo, hi)
		if present != nil {
			w.held = dense(w.held, part, present)
			part = w.held
		}
		if err := w.bitPage(c, hi-lo, part, present); err != nil {
			return err
		}
	}
	return nil
}

// bitPage writes a page of booleans, a byte each.
func (w *chunker) bitPage(c *columnEncoder, rows int, values, present []byte) error {
	w.body = packBits(w.body[:0], values)
	ones := 0
	for _, b := range w.body {
		ones += bits.OnesCount8(b)
	}
	least, most := []byte{1}, []byte{0}
	if ones < len(values) {
		least[0] = 0
	}
	if ones > 0 {
		most[0] = 1
	}
	return w.page(c, rows, len(values), present, w.body, least, most)
}

// slice is part of valid, nil when all of it is valid anyway.
func slice(valid []byte, lo, hi int) []byte {
	if valid == nil {
		return nil
	}
	return valid[lo:hi]
}

// pageRows is how many rows a page of values of that size has.
func (w *chunker) pageRows(size int) int { return max(w.pageBytes/size, 64) }
