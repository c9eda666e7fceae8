package offline

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/weir-ml/weir/registry/feature"
)

// fileEncoder writes Parquet files of a table out of columns: start, then group
// for each row group, then finish. It is kept between files, for its buffers
// are worth more than a small file. One goroutine at a time.
//
// It makes pages itself, out of parquet-go's encodings and its description of
// the format: a writer that takes values of any type one by one spends several
// times as long on boxing them as on encoding them. Every column chunk is
// encoded as suits what is in it (see columnEncoder.plan), page by page, so
// that what is worked on stays in the processor's cache.
type fileEncoder struct {
	columns   []columnEncoder
	pageBytes int
	codec     zipper // nil: none

	out    *bufio.Writer
	offset int64 // bytes written to the file so far
	meta   format.FileMetaData
	sorted []format.SortingColumn
	index  pageIndex
	bounds []byte // memory of the statistics in meta

	// Memory of the page and the chunk at hand.
	levels, bits, body, zipped, held []byte
	header                           bytes.Buffer
	protocol                         thrift.CompactProtocol
	thrift                           *thrift.Encoder
	delta                            delta.BinaryPackedEncoding
	runs                             rle.DictionaryEncoding
	wide                             numberMemory[uint64]
	narrow                           numberMemory[uint32]
	texts                            textMemory
	codes                            []int32 // of the chunk's values, by their place in its dictionary
	pages                            []pageOfCodes
}

const magic = "PAR1"

func newFileEncoder(view *feature.View, cols []Column, cfg Config) *fileEncoder {
	e := &fileEncoder{pageBytes: cfg.PageBytes, codec: newZipper(cfg.Compression), out: bufio.NewWriterSize(nil, 256<<10)}
	e.texts.seed = maphash.MakeSeed()
	e.thrift = thrift.NewEncoder(e.protocol.NewWriter(&e.header))
	for _, c := range cols {
		e.columns = append(e.columns, columnEncoder{col: c})
	}
	// The footer of a file without rows has all that does not depend on them.
	pw := parquet.NewWriter(io.Discard, ParquetSchema(view.Meta.Name, cols), parquet.CreatedBy("weir", "1", ""))
	if err := pw.Close(); err != nil {
		panic("offline: the schema of " + view.ID() + ": " + err.Error()) // nothing is written anywhere
	}
	e.meta = *pw.File().Metadata()
	for i := range view.Keys {
		e.sorted = append(e.sorted, format.SortingColumn{ColumnIdx: int32(i)})
	}
	for _, name := range SortSuffix {
		i := slices.IndexFunc(cols, func(c Column) bool { return c.Name == name })
		e.sorted = append(e.sorted, format.SortingColumn{ColumnIdx: int32(i)})
	}
	for i := range e.columns {
		e.columns[i].path[0] = e.meta.Schema[1+i].Name
	}
	return e
}

// start begins a file; what an unfinished one before it left behind is dropped.
func (e *fileEncoder) start(w io.Writer) {
	e.out.Reset(w)
	e.offset = 0
	e.meta.NumRows, e.meta.RowGroups = 0, e.meta.RowGroups[:0]
	e.index.reset()
	e.bounds = e.bounds[:0]
}

// group writes a row group. Its rows stand in the table's order, after those of
// the group before; columns are asked for one by one, in the file's order.
func (e *fileEncoder) group(rows int, column func(ci int) (*columnData, error)) error {
	if rows == 0 {
		return nil
	}
	if err := e.begin(); err != nil {
		return err
	}
	g := e.newGroup()
	g.NumRows, g.FileOffset, g.SortingColumns, g.Ordinal = int64(rows), e.offset, e.sorted, int16(len(e.meta.RowGroups)-1)
	g.TotalByteSize, g.TotalCompressedSize = 0, 0
	for ci := range e.columns {
		d, err := column(ci)
		if err != nil {
			return err
		}
		c := &e.columns[ci]
		if err := c.check(d, rows); err != nil {
			return err
		}
		c.begin(&g.Columns[ci])
		if err := e.column(c, d, rows); err != nil {
			return err
		}
		c.end(e)
		if err := e.index.add(e, c); err != nil {
			return err
		}
		g.TotalByteSize += c.chunk.MetaData.TotalUncompressedSize
		g.TotalCompressedSize += c.chunk.MetaData.TotalCompressedSize
	}
	e.meta.NumRows += int64(rows)
	return nil
}

// newGroup is a row group's place in the footer, with the memory of an earlier file's.
func (e *fileEncoder) newGroup() *format.RowGroup {
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
	return g
}

func (e *fileEncoder) begin() error {
	if e.offset > 0 {
		return nil
	}
	return e.write([]byte(magic))
}

func (e *fileEncoder) write(b []byte) error {
	n, err := e.out.Write(b)
	e.offset += int64(n)
	return err
}

// encode is a structure of the format as its bytes, void with the next call.
func (e *fileEncoder) encode(v any) ([]byte, error) {
	e.header.Reset()
	err := e.thrift.Encode(v)
	return e.header.Bytes(), err
}

// finish ends the file and describes it; the path and the time of creation are
// left to the caller.
func (e *fileEncoder) finish() (File, error) {
	if err := e.begin(); err != nil {
		return File{}, err
	}
	if err := e.index.write(e); err != nil {
		return File{}, err
	}
	footer, err := e.encode(&e.meta)
	if err != nil {
		return File{}, err
	}
	if err := e.write(footer); err != nil {
		return File{}, err
	}
	end := append(binary.LittleEndian.AppendUint32(nil, uint32(len(footer))), magic...)
	if err := e.write(end); err != nil {
		return File{}, err
	}
	if err := e.out.Flush(); err != nil {
		return File{}, err
	}
	cols := make([]Column, len(e.columns))
	for i := range e.columns {
		cols[i] = e.columns[i].col
	}
	f := describe(&e.meta, cols)
	f.Bytes, f.Sorted = e.offset, true
	return f, nil
}
