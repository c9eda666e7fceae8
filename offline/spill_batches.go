package offline

import (
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// spilledBatches is a stream of record batches of one schema, as Arrow's IPC
// stream. It is written to its end, and then read any number of times.
//
// A dictionary counts as unchanged to the IPC writer when it is nearly the same, which
// floats may be; where there are any, each batch is a stream of its own.
type spilledBatches struct {
	schema *arrow.Schema
	stream *spillStream
	w      *ipc.Writer
	alone  bool
	rows   int64
	bytes  int64 // of the batches, as recordBytes counts them
}

func newSpilledBatches(f *spillFile, schema *arrow.Schema, block int) *spilledBatches {
	b := &spilledBatches{schema: schema, stream: f.stream(block)}
	for _, c := range schema.Fields() {
		b.alone = b.alone || hasDictionary(c.Type)
	}
	return b
}

func hasDictionary(t arrow.DataType) bool {
	if t.ID() == arrow.DICTIONARY {
		return true
	}
	if e, ok := t.(arrow.ExtensionType); ok {
		return hasDictionary(e.StorageType())
	}
	if n, ok := t.(arrow.NestedType); ok {
		for _, f := range n.Fields() {
			if hasDictionary(f.Type) {
				return true
			}
		}
	}
	return false
}

// write appends a batch; its columns must have the schema's types.
func (b *spilledBatches) write(rec arrow.RecordBatch) error {
	if rec.NumRows() == 0 {
		return nil
	}
	same := array.NewRecordBatch(b.schema, rec.Columns(), rec.NumRows()) // metadata may vary between batches
	defer same.Release()
	if b.w == nil {
		b.w = ipc.NewWriter(b.stream, ipc.WithSchema(b.schema))
	}
	if err := b.w.Write(same); err != nil {
		return b.fault(err)
	}
	b.rows += rec.NumRows()
	b.bytes += recordBytes(rec)
	if b.alone {
		return b.closeWriter()
	}
	return nil
}

func (b *spilledBatches) closeWriter() error {
	if b.w == nil {
		return nil
	}
	w := b.w
	b.w = nil
	if err := w.Close(); err != nil {
		return b.fault(err)
	}
	return nil
}

// end is called once after the last write.
func (b *spilledBatches) end() error {
	if err := b.closeWriter(); err != nil {
		return err
	}
	return b.stream.end()
}

func (b *spilledBatches) fault(err error) error { return b.stream.file.of.folder.fault(err) }

// reader reads the batches from the first; it is a RowReader.
func (b *spilledBatches) reader() *spilledReader {
	return &spilledReader{of: b, bytes: b.stream.reader()}
}

type spilledReader struct {
	of    *spilledBatches
	bytes *spillReader
	r     *ipc.Reader
	read  int64
}

func (r *spilledReader) Schema() *arrow.Schema { return r.of.schema }

func (r *spilledReader) Read() (arrow.RecordBatch, error) {
	for {
		if r.read == r.of.rows {
			return nil, io.EOF
		}
		if r.r == nil {
			var err error
			if r.r, err = ipc.NewReader(r.bytes, ipc.WithDelayReadSchema(true), ipc.WithAllocator(memory.DefaultAllocator)); err != nil {
				return nil, r.fault(err)
			}
		}
		if r.r.Next() {
			rec := r.r.RecordBatch()
			r.read += rec.NumRows()
			return r.typed(rec), nil
		}
		err := r.r.Err()
		r.close()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, r.fault(err)
		}
		if r.bytes.err != nil || !r.of.alone {
			return nil, r.fault(io.ErrUnexpectedEOF)
		}
	}
}

// typed is the batch under the schema it was written with: an extension type that is
// not registered comes back as what it is stored as.
func (r *spilledReader) typed(rec arrow.RecordBatch) arrow.RecordBatch {
	cols := make([]arrow.Array, rec.NumCols())
	for i, c := range rec.Columns() {
		want := r.of.schema.Field(i).Type
		if arrow.TypeEqual(c.DataType(), want) {
			c.Retain()
			cols[i] = c
			continue
		}
		d := c.Data()
		as := array.NewData(want, d.Len(), d.Buffers(), d.Children(), d.NullN(), d.Offset())
		cols[i] = array.MakeFromData(as)
		as.Release()
	}
	out := array.NewRecordBatch(r.of.schema, cols, rec.NumRows())
	for _, c := range cols {
		c.Release()
	}
	return out
}

// fault prefers what reading the bytes met to what Arrow makes of it.
func (r *spilledReader) fault(err error) error {
	if r.bytes.err != nil {
		err = r.bytes.err
	}
	return r.of.fault(err)
}

func (r *spilledReader) close() {
	if r.r != nil {
		r.r.Release()
		r.r = nil
	}
}

// recordBytes is about what a batch's own rows take in memory, whatever it was cut from.
func recordBytes(rec arrow.RecordBatch) int64 {
	n := int64(0)
	for _, c := range rec.Columns() {
		n += dataBytes(c.Data())
	}
	return n
}

func dataBytes(d arrow.ArrayData) int64 {
	n := int64(d.Len())
	size := n / 8 // validity
	switch t := d.DataType().(type) {
	case *arrow.StringType, *arrow.BinaryType:
		size += 4 * n
		if b := d.Buffers()[1]; b != nil && b.Len() > 0 && n > 0 {
			ends := arrow.Int32Traits.CastFromBytes(b.Bytes())[d.Offset() : d.Offset()+d.Len()+1]
			size += int64(ends[n] - ends[0])
		}
		return size
	case *arrow.LargeStringType, *arrow.LargeBinaryType:
		size += 8 * n
		if b := d.Buffers()[1]; b != nil && b.Len() > 0 && n > 0 {
			ends := arrow.Int64Traits.CastFromBytes(b.Bytes())[d.Offset() : d.Offset()+d.Len()+1]
			size += ends[n] - ends[0]
		}
		return size
	case *arrow.ListType:
		size += 4 * n
		if b, values := d.Buffers()[1], d.Children()[0]; b != nil && b.Len() > 0 && n > 0 && values.Len() > 0 {
			ends := arrow.Int32Traits.CastFromBytes(b.Bytes())[d.Offset() : d.Offset()+d.Len()+1]
			size += dataBytes(values) * int64(ends[n]-ends[0]) / int64(values.Len())
		}
		return size
	case *arrow.DictionaryType:
		size += n * int64(t.IndexType.(arrow.FixedWidthDataType).BitWidth()) / 8
		if dict := d.Dictionary(); dict != nil {
			size += dataBytes(dict)
		}
		return size
	case *arrow.NullType:
		return 0
	case arrow.FixedWidthDataType:
		return size + n*int64(t.BitWidth())/8
	}
	return int64(d.SizeInBytes())
}
