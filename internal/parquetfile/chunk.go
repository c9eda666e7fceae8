package parquetfile

import (
	"hash/maphash"
	"io"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// chunker encodes column chunks, one at a time. It is what a goroutine needs for
// it: where the pages go and memory that outlives them.
type chunker struct {
	pageBytes int
	codec     zipper // nil: none
	out       io.Writer
	offset    int64 // of the next page

	levels, bits, body, zipped, held []byte
	head                             thriftBytes
	delta                            delta.BinaryPackedEncoding
	runs                             rle.DictionaryEncoding
	wide                             numberMemory[uint64]
	narrow                           numberMemory[uint32]
	texts                            textMemory
	codes                            []int32 // of the chunk's values, by their place in its dictionary
	pages                            []pageOfCodes
	lists                            listMemory
}

func newChunker(o Options) *chunker {
	w := &chunker{pageBytes: o.PageBytes, codec: newZipper(o.Compression)}
	w.texts.seed = maphash.MakeSeed()
	return w
}

func (w *chunker) write(b []byte) error {
	n, err := w.out.Write(b)
	w.offset += int64(n)
	return err
}

// chunk writes a chunk of a column that begin has been called for.
func (w *chunker) chunk(c *columnEncoder, d *Data, rows int) error {
	if err := c.check(d, rows); err != nil {
		return err
	}
	if w.codec != nil {
		c.chunk.MetaData.Codec = w.codec.CompressionCodec()
	}
	valid := d.Valid
	if valid != nil {
		valid = valid[:rows]
	}
	if c.array() {
		return w.listColumn(c, d, rows, valid)
	}
	switch c.physical() {
	case format.Boolean:
		return w.booleans(c, d.Bools[:rows], valid)
	case format.Int32:
		return writeNumbers(w, &w.narrow, c, numbers[uint32]{src: view[uint32](d.Int32s[:rows]), valid: valid})
	case format.Float:
		return writeNumbers(w, &w.narrow, c, numbers[uint32]{src: view[uint32](d.Floats[:rows]), valid: valid})
	case format.Int64:
		return writeNumbers(w, &w.wide, c, numbers[uint64]{src: view[uint64](d.Int64s[:rows]), valid: valid})
	case format.Double:
		return writeNumbers(w, &w.wide, c, numbers[uint64]{src: view[uint64](d.Doubles[:rows]), valid: valid})
	}
	return w.textColumn(c, d, rows, valid)
}

// sized is s with n places, whose contents are anything.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
