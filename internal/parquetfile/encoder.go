package parquetfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync/atomic"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"golang.org/x/sync/errgroup"
)

// Options say how files are made.
type Options struct {
	Compression string   // zstd, snappy or none
	PageBytes   int      // the size of a page, uncompressed
	Sorted      []string // the columns that rows are sorted by, ascending; for readers, not checked
}

// Encoder writes files of one schema: Start, then Group or Together for each
// row group, then Finish. It is kept between files, for its buffers are worth
// more than a small file. One goroutine at a time.
type Encoder struct {
	columns []columnEncoder
	options Options

	out     *bufio.Writer
	offset  int64 // bytes written to the file so far
	meta    format.FileMetaData
	sorted  []format.SortingColumn
	index   pageIndex
	bounds  []byte // memory of the statistics in meta
	workers []*chunker
	chunks  []bytes.Buffer // of Together, by column
	foot    thriftBytes
}

const magic = "PAR1"

// New returns an encoder of files with these columns; name is the schema's.
func New(name string, cols []Column, o Options) *Encoder {
	e := &Encoder{options: o, out: bufio.NewWriterSize(nil, 256<<10)}
	for _, c := range cols {
		leaf := c.Type
		if c.Type.IsArray() {
			leaf = c.Type.Elem()
		}
		e.columns = append(e.columns, columnEncoder{col: c, leaf: leaf})
	}
	// The footer of a file without rows has all that does not depend on them.
	schema := Schema(name, cols, nil)
	pw := parquet.NewWriter(io.Discard, schema, parquet.CreatedBy("weir", "1", ""))
	if err := pw.Close(); err != nil {
		panic("parquetfile: the schema of " + name + ": " + err.Error()) // nothing is written anywhere
	}
	e.meta = *pw.File().Metadata()
	for _, by := range o.Sorted {
		i := slices.IndexFunc(cols, func(c Column) bool { return c.Name == by })
		e.sorted = append(e.sorted, format.SortingColumn{ColumnIdx: int32(i)})
	}
	for i, path := range schema.Columns() {
		e.columns[i].path = path
	}
	return e
}

// Start begins a file; what an unfinished one before it left behind is dropped.
func (e *Encoder) Start(w io.Writer) {
	e.out.Reset(w)
	e.offset = 0
	e.meta.NumRows, e.meta.RowGroups = 0, e.meta.RowGroups[:0]
	e.index.reset()
	e.bounds = e.bounds[:0]
	for i := range e.columns {
		e.columns[i].nullRows = 0
	}
}

// Group writes a row group after those before. Columns are asked for one by one, in
// the file's order; what one holds may change when the next is asked for.
func (e *Encoder) Group(rows int, column func(ci int) (*Data, error)) error {
	if rows == 0 {
		return nil
	}
	g, err := e.newGroup(rows)
	if err != nil {
		return err
	}
	w := e.worker(0)
	for ci := range e.columns {
		d, err := column(ci)
		if err != nil {
			return err
		}
		c := &e.columns[ci]
		c.begin(&g.Columns[ci])
		w.out, w.offset = e.out, e.offset
		if err := w.chunk(c, d, rows); err != nil {
			return err
		}
		e.offset = w.offset
		if err := e.chunkDone(g, c); err != nil {
			return err
		}
	}
	e.meta.NumRows += int64(rows)
	return nil
}

// Together writes a row group whose columns are at hand, so many at once. The
// encoded column chunks gather in memory until all of them are done.
func (e *Encoder) Together(rows int, columns []*Data, workers int) error {
	if workers = min(workers, len(e.columns)); workers <= 1 {
		return e.Group(rows, func(ci int) (*Data, error) { return columns[ci], nil })
	}
	if rows == 0 {
		return nil
	}
	g, err := e.newGroup(rows)
	if err != nil {
		return err
	}
	e.chunks = append(e.chunks, make([]bytes.Buffer, len(e.columns)-len(e.chunks))...)
	var next atomic.Int64
	var group errgroup.Group
	for i := range workers {
		w := e.worker(i)
		group.Go(func() error {
			for {
				ci := int(next.Add(1)) - 1
				if ci >= len(e.columns) {
					return nil
				}
				c := &e.columns[ci]
				c.begin(&g.Columns[ci])
				e.chunks[ci].Reset()
				w.out, w.offset = &e.chunks[ci], 0
				if err := w.chunk(c, columns[ci], rows); err != nil {
					next.Store(int64(len(e.columns))) // the others need not go on
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for ci := range e.columns {
		e.columns[ci].move(e.offset)
		if err := e.write(e.chunks[ci].Bytes()); err != nil {
			return err
		}
		if err := e.chunkDone(g, &e.columns[ci]); err != nil {
			return err
		}
	}
	e.meta.NumRows += int64(rows)
	return nil
}

// worker is the memory of one goroutine that encodes.
func (e *Encoder) worker(i int) *chunker {
	for len(e.workers) <= i {
		e.workers = append(e.workers, newChunker(e.options))
	}
	return e.workers[i]
}

// newGroup is a row group's place in the footer, with the memory of an earlier file's.
func (e *Encoder) newGroup(rows int) (*format.RowGroup, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	n := len(e.meta.RowGroups)
	if n < cap(e.meta.RowGroups) {
		e.meta.RowGroups = e.meta.RowGroups[:n+1]
	} else {
		e.meta.RowGroups = append(e.meta.RowGroups, format.RowGroup{})
	}
	g := &e.meta.RowGroups[n]
	if g.Columns == nil {
		g.Columns = make([]format.ColumnChunk, len(e.columns))
	}
	g.NumRows, g.FileOffset, g.SortingColumns, g.Ordinal = int64(rows), e.offset, e.sorted, int16(n)
	g.TotalByteSize, g.TotalCompressedSize = 0, 0
	return g, nil
}

// chunkDone takes a chunk that stands in the file into the footer and the page index.
func (e *Encoder) chunkDone(g *format.RowGroup, c *columnEncoder) error {
	c.end(e)
	g.TotalByteSize += c.chunk.MetaData.TotalUncompressedSize
	g.TotalCompressedSize += c.chunk.MetaData.TotalCompressedSize
	return e.index.add(&e.foot, c)
}

func (e *Encoder) begin() error {
	if e.offset > 0 {
		return nil
	}
	return e.write([]byte(magic))
}

func (e *Encoder) write(b []byte) error {
	n, err := e.out.Write(b)
	e.offset += int64(n)
	return err
}

// Finish ends the file and describes it. The writer below is not closed.
func (e *Encoder) Finish() (Summary, error) {
	if err := e.begin(); err != nil {
		return Summary{}, err
	}
	if err := e.index.write(e); err != nil {
		return Summary{}, err
	}
	footer, err := e.foot.encode(&e.meta)
	if err != nil {
		return Summary{}, err
	}
	if err := e.write(footer); err != nil {
		return Summary{}, err
	}
	end := append(binary.LittleEndian.AppendUint32(nil, uint32(len(footer))), magic...)
	if err := e.write(end); err != nil {
		return Summary{}, err
	}
	if err := e.out.Flush(); err != nil {
		return Summary{}, err
	}
	return e.summary(), nil
}

// thriftBytes turns structures of the format into bytes.
type thriftBytes struct {
	buf      bytes.Buffer
	protocol thrift.CompactProtocol
	encoder  *thrift.Encoder
}

// encode is a structure as its bytes, void with the next call.
func (t *thriftBytes) encode(v any) ([]byte, error) {
	if t.encoder == nil {
		t.encoder = thrift.NewEncoder(t.protocol.NewWriter(&t.buf))
	}
	t.buf.Reset()
	err := t.encoder.Encode(v)
	return t.buf.Bytes(), err
}
