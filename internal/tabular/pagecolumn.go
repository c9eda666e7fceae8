package tabular

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/weir-ml/weir/registry/feature"
)

// pageColumn reads one flat column of a Parquet file, a page at a time, into memory
// that it uses again for each batch.
type pageColumn struct {
	name     string
	typ      feature.Type
	place    int // in the file
	nullable bool

	chunk   file.PageReader
	levels  runs   // 1 where a value is
	body    []byte // the page's values that are yet to come
	indexed bool   // they are places in the dictionary
	runs    runs   // of them, or of bools
	bools   bool   // bools are in runs
	bit     int    // of bools that are bits of body
	left    int    // rows of the page yet to come
	values  int    // of the dictionary

	fixed   []byte      // the dictionary's numbers
	texts   arrow.Array // the dictionary's texts
	valid   []byte      // of a batch
	data    []byte      // its values
	offsets []int32
	codes   []int32
}

// open begins the column's part of a row group.
func (c *pageColumn) open(g *file.RowGroupReader) (err error) {
	if err := c.close(); err != nil {
		return err
	}
	c.left = 0
	if err := c.dictionary(nil, 0); err != nil {
		return err
	}
	c.chunk, err = g.GetColumnPageReader(c.place)
	return err
}

func (c *pageColumn) close() error {
	if c.chunk == nil {
		return nil
	}
	chunk := c.chunk
	c.chunk = nil
	return chunk.Close()
}

// ready makes sure that there is a page with rows left.
func (c *pageColumn) ready() error {
	for c.left == 0 {
		if !c.chunk.Next() {
			if err := c.chunk.Err(); err != nil {
				return err
			}
			return errors.New("the column ends before its rows")
		}
		if err := c.page(); err != nil {
			return err
		}
	}
	return nil
}

func (c *pageColumn) page() error {
	var levels []byte
	var encoding parquet.Encoding
	switch p := c.chunk.Page().(type) {
	case *file.DictionaryPage:
		return c.dictionary(p.Data(), int(p.NumValues()))
	case *file.DataPageV1:
		c.body, c.left, encoding = p.Data(), int(p.NumValues()), parquet.Encoding(p.Encoding())
		if c.nullable {
			if p.DefinitionLevelEncoding() != parquet.Encodings.RLE {
				return fmt.Errorf("its levels are encoded as %s", p.DefinitionLevelEncoding())
			}
			var err error
			if levels, c.body, err = cutSized(c.body); err != nil {
				return err
			}
		}
	case *file.DataPageV2:
		c.body, c.left, encoding = p.Data(), int(p.NumValues()), parquet.Encoding(p.Encoding())
		n, skip := int(p.DefinitionLevelByteLen()), int(p.RepetitionLevelByteLen())
		if n < 0 || skip < 0 || n+skip > len(c.body) {
			return errShortRuns
		}
		levels, c.body = c.body[skip:skip+n], c.body[skip+n:]
	default:
		return nil
	}
	c.levels = runs{b: levels, width: 1}
	c.indexed, c.bools, c.bit = false, false, 0
	switch {
	case encoding == parquet.Encodings.Plain:
	case c.typ == feature.Bool && encoding == parquet.Encodings.RLE:
		in, _, err := cutSized(c.body)
		if err != nil {
			return err
		}
		c.runs, c.bools = runs{b: in, width: 1}, true
	case c.typ != feature.Bool && (encoding == parquet.Encodings.RLEDict || encoding == parquet.Encodings.PlainDict):
		c.indexed, c.runs = true, runs{}
		if len(c.body) > 0 {
			if c.body[0] > 32 {
				return fmt.Errorf("numbers of %d bits", c.body[0])
			}
			c.runs = runs{b: c.body[1:], width: uint(c.body[0])}
		}
	default:
		return fmt.Errorf("its values are encoded as %s", encoding)
	}
	return nil
}

// cutSized cuts what begins with its size.
func cutSized(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		return nil, nil, errShortRuns
	}
	n := 4 + int(binary.LittleEndian.Uint32(b))
	return b[4:n], b[n:], nil
}

// dictionary keeps the values that a chunk's pages point at.
func (c *pageColumn) dictionary(body []byte, n int) error {
	c.values = n
	if w := c.size(); w > 0 {
		if len(body) < n*w {
			return errShortRuns
		}
		c.fixed = body[:n*w]
		return nil
	}
	if n > len(body)/4 {
		return errShortRuns
	}
	data, offsets, err := texts(make([]byte, 0, len(body)), make([]int32, 1, n+1), body, n, nil)
	if err != nil {
		return err
	}
	if c.typ == feature.String && !utf8.Valid(data) {
		return errors.New("a text is not UTF-8")
	}
	c.texts = newArray(c.typ, n, nil, 0, arrow.Int32Traits.CastToBytes(offsets), data)
	return nil
}

// size is that of a value in bytes; 0 for bools and texts.
func (c *pageColumn) size() int {
	switch c.typ {
	case feature.Int32, feature.Float32:
		return 4
	case feature.Int64, feature.Float64, feature.Timestamp:
		return 8
	}
	return 0
}

// most is how many of the next n rows the column can give at once: texts are of one page,
// which has them either as they are or as places in the dictionary.
func (c *pageColumn) most(n int) int {
	if c.typ.Variable() {
		return min(n, c.left)
	}
	return n
}

// take reads n rows; the result is good until the next call.
func (c *pageColumn) take(n int) (arrow.Array, error) {
	c.valid = sized(c.valid, bitBytes(n))
	clear(c.valid)
	nulls := 0
	w := c.size()
	switch {
	case c.typ == feature.Bool:
		c.data = sized(c.data, bitBytes(n))
		clear(c.data)
	case w > 0:
		c.data = sized(c.data, n*w)
	}
	for done := 0; done < n; {
		if err := c.ready(); err != nil {
			return nil, err
		}
		k := min(n-done, c.left)
		values := k
		switch {
		case !c.nullable || c.levels.whole(k):
			setBits(c.valid, done, k)
		default:
			var err error
			if values, err = c.levels.bits(c.valid, done, k); err != nil {
				return nil, err
			}
		}
		nulls += k - values
		if err := c.part(done, k, values); err != nil {
			return nil, err
		}
		done += k
		c.left -= k
	}
	switch {
	case w > 0 || c.typ == feature.Bool:
		return newArray(c.typ, n, c.valid, nulls, c.data), nil
	case c.indexed:
		index := array.NewData(arrow.PrimitiveTypes.Int32, n, buffersOf(c.valid, nulls, arrow.Int32Traits.CastToBytes(c.codes)), nil, nulls, 0)
		defer index.Release()
		places := array.MakeFromData(index)
		defer places.Release()
		return array.NewDictionaryArray(codedType(c.typ), places, c.texts), nil
	}
	return newArray(c.typ, n, c.valid, nulls, arrow.Int32Traits.CastToBytes(c.offsets), c.data), nil
}

func buffersOf(valid []byte, nulls int, values []byte) []*memory.Buffer {
	b := []*memory.Buffer{nil, memory.NewBufferBytes(values)}
	if nulls > 0 {
		b[0] = memory.NewBufferBytes(valid)
	}
	return b
}

// part reads k rows that have so many values, into the batch from row at on.
func (c *pageColumn) part(at, k, values int) (err error) {
	if c.indexed {
		c.codes = sized(c.codes, k)
		if err := c.runs.numbers(c.codes[:values]); err != nil {
			return err
		}
		for _, v := range c.codes[:values] {
			if uint32(v) >= uint32(c.values) {
				return fmt.Errorf("a value has place %d in a dictionary of %d", uint32(v), c.values)
			}
		}
	}
	switch w := c.size(); {
	case c.typ == feature.Bool:
		return c.bits(at, k, values)
	case w > 0:
		out := c.data[at*w : (at+k)*w]
		switch {
		case !c.indexed:
			if len(c.body) < values*w {
				return errShortRuns
			}
			copy(out, c.body[:values*w])
			c.body = c.body[values*w:]
		case w == 4:
			for i, v := range c.codes[:values] {
				copy(out[i*4:i*4+4], c.fixed[int(v)*4:])
			}
		default:
			for i, v := range c.codes[:values] {
				binary.LittleEndian.PutUint64(out[i*8:], binary.LittleEndian.Uint64(c.fixed[int(v)*8:]))
			}
		}
		if values < k {
			c.spread(at, k, values, func(to, from int) { copy(out[to*w:to*w+w], out[from*w:from*w+w]) })
		}
		return nil
	case c.indexed:
		if values < k {
			c.spread(at, k, values, func(to, from int) { c.codes[to] = c.codes[from] })
			for i := range c.codes { // what stands where no value is points somewhere
				if c.valid[(at+i)>>3]>>((at+i)&7)&1 == 0 {
					c.codes[i] = 0
				}
			}
		}
		return nil
	}
	c.offsets = sized(c.offsets, 1)
	c.offsets[0] = 0
	skip := c.valid
	if values == k {
		skip = nil
	}
	c.data, c.offsets, err = texts(c.data[:0], c.offsets, c.body, k, skip)
	if err == nil {
		c.body = c.body[len(c.data)+4*values:]
	}
	return err
}

// spread moves the values, which stand in a row, to the rows that are not null; the
// last one first, so that none is overwritten.
func (c *pageColumn) spread(at, k, values int, move func(to, from int)) {
	for i := k - 1; i >= 0 && values > 0; i-- {
		if c.valid[(at+i)>>3]>>((at+i)&7)&1 == 1 {
			values--
			if values == i {
				return // the rest stands where it belongs
			}
			move(i, values)
		}
	}
}

func (c *pageColumn) bits(at, k, values int) error {
	put := func(at, n int) error {
		if c.bools {
			_, err := c.runs.bits(c.data, at, n)
			return err
		}
		if c.bit+n > 8*len(c.body) {
			return errShortRuns
		}
		copyBits(c.data, at, c.body, c.bit, n)
		c.bit += n
		return nil
	}
	if values == k {
		return put(at, k)
	}
	for i := range k {
		if c.valid[(at+i)>>3]>>((at+i)&7)&1 == 1 {
			if err := put(at+i, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts appends n texts, each after its size, to data, and where each ends to offsets. Rows
// that are not in valid have none; nil for all rows.
func texts(data []byte, offsets []int32, body []byte, n int, valid []byte) ([]byte, []int32, error) {
	at := 0
	for i := range n {
		if valid == nil || valid[i>>3]>>(i&7)&1 == 1 {
			if len(body)-at < 4 {
				return data, offsets, errShortRuns
			}
			size := int(binary.LittleEndian.Uint32(body[at:]))
			at += 4
			if size > len(body)-at || len(data)+size > math.MaxInt32 {
				return data, offsets, errShortRuns
			}
			data = append(data, body[at:at+size]...)
			at += size
		}
		offsets = append(offsets, int32(len(data)))
	}
	return data, offsets, nil
}

func bitBytes(n int) int { return (n + 7) / 8 }

// sized returns b with n elements, whatever they are.
func sized[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n, 1<<bits.Len(uint(n)))
	}
	return b[:n]
}

// codedType is how texts come as places in a dictionary.
func codedType(t feature.Type) *arrow.DictionaryType {
	return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: t.Arrow()}
}
