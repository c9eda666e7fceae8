package tabular

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/weir-ml/weir/registry/feature"
)

// typedReader reads the formats that know their types: batches come from next,
// as the file has them.
type typedReader struct {
	path string
	norm *normalizer
	part *arrow.Schema // what is read where that is not all
	pad  *padding
	row  int64
	// nulls tells whether a column's values may be null; nil where nobody knows.
	nulls func(column string) bool
	next  func() (arrow.RecordBatch, error) // valid until the next call
	stop  func()
}

func (t *typedReader) read(context.Context) (out arrow.RecordBatch, err error) {
	defer func() {
		if p := recover(); p != nil { // of what reads a damaged file
			out, err = nil, fileError(t.path, fmt.Errorf("is damaged: %v", p))
		}
	}()
	for {
		rec, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fileError(t.path, err)
		}
		if rec.NumRows() == 0 {
			continue
		}
		out, col, err := t.norm.batch(rec)
		if err != nil {
			what := fmt.Sprintf("%s: column %q", t.path, rec.ColumnName(col))
			var ce *ConvertError
			if errors.As(err, &ce) {
				what = fmt.Sprintf("%s: row %d, column %q", t.path, t.row+int64(ce.Row)+1, rec.ColumnName(col))
			}
			return nil, feature.Errorf(feature.Invalid, "tabular.read", what, "%w", err).WithHint("correct the value or the column's declared type")
		}
		t.row += rec.NumRows()
		if t.pad != nil {
			out = t.pad.batch(out)
		}
		return out, nil
	}
}

func (t *typedReader) close() error { t.stop(); return nil }

// openTyped starts reading batches as the file has them.
func openTyped(ctx context.Context, src *source, format Format, batchRows int, only map[string]bool) (*arrow.Schema, int64, *typedReader, error) {
	if format == Parquet {
		return openParquet(ctx, src, batchRows, only)
	}
	return openIPC(src)
}

func (r *Reader) openParquet(o ReadOptions) error { return r.openTyped(o, Parquet) }
func (r *Reader) openArrow(o ReadOptions) error   { return r.openTyped(o, Arrow) }

func (r *Reader) openTyped(o ReadOptions, format Format) (err error) {
	defer func() {
		if p := recover(); p != nil { // of what reads a damaged file
			err = fileError(r.src.path, fmt.Errorf("is damaged: %v", p))
		}
	}()
	if format == Parquet && o.Lend {
		if p, err := openPages(r.src, o); p != nil || err != nil {
			if err == nil {
				r.schema, r.rows, r.impl = p.schema, p.file.NumRows(), p
			}
			return err
		}
	}
	schema, rows, t, err := openTyped(r.ctx, r.src, format, o.BatchRows, o.Only)
	if err != nil {
		return err
	}
	types := o.Types
	if doubtful := r.doubtful(o, schema, t); len(doubtful) > 0 {
		t.stop()
		if types, err = r.textLists(o, format, doubtful); err != nil {
			return err
		}
		if schema, rows, t, err = openTyped(r.ctx, r.src, format, o.BatchRows, o.Only); err != nil {
			return err
		}
	}
	t.norm = newNormalizer(schema, types)
	t.norm.loose = o.NullElements
	whole := t.norm.schema
	if t.part != nil {
		t.norm = newNormalizer(t.part, types)
		t.norm.loose = o.NullElements
		t.pad = newPadding(whole, t.norm.schema)
	}
	r.schema, r.rows, r.impl = whole, rows, t
	for i, f := range schema.Fields() {
		switch f.Type.(type) {
		case *arrow.StructType, arrow.ListLikeType:
			if whole.Field(i).Type.ID() == arrow.STRING {
				if r.nested == nil {
					r.nested = map[string]bool{}
				}
				r.nested[f.Name] = true
			}
		}
	}
	return nil
}

// parquetFile reads what a Parquet file says of itself.
func parquetFile(src *source) (*file.Reader, error) {
	if _, ext := compression(src.path); ext != "" {
		return nil, feature.Errorf(feature.Unsupported, "tabular.read", src.path, "a compressed Parquet file").WithHint("Parquet compresses within; decompress the file first")
	}
	pf, err := file.NewParquetReader(countingReaderAt{src}, file.WithReadProps(&parquet.ReaderProperties{BufferSize: 64 << 10, BufferedStreamEnabled: true}))
	if err != nil {
		return nil, fileError(src.path, err).WithHint("is it a Parquet file, and whole?")
	}
	if err := soundArrowSchema(pf.MetaData().KeyValueMetadata()); err != nil {
		return nil, fileError(src.path, err).WithHint("write the file again; who wrote it may leave the Arrow schema out (pyarrow: store_schema=False)")
	}
	return pf, nil
}

// openPages is nil where the file has columns that have to be read the general way.
func openPages(src *source, o ReadOptions) (*pagesReader, error) {
	pf, err := parquetFile(src)
	if err != nil {
		return nil, err
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, fileError(src.path, err)
	}
	schema, err := fr.Schema()
	if err != nil {
		return nil, fileError(src.path, err)
	}
	return newPagesReader(src.path, pf, schema, o, boundedBatch(pf, o.BatchRows)), nil
}

func openParquet(ctx context.Context, src *source, batchRows int, only map[string]bool) (*arrow.Schema, int64, *typedReader, error) {
	pf, err := parquetFile(src)
	if err != nil {
		return nil, 0, nil, err
	}
	batchRows = boundedBatch(pf, batchRows)
	props := pqarrow.ArrowReadProperties{BatchSize: int64(batchRows)}
	readDictionaries(pf, &props)
	fr, err := pqarrow.NewFileReader(pf, props, memory.DefaultAllocator)
	if err != nil {
		return nil, 0, nil, fileError(src.path, err)
	}
	rr, err := fr.GetRecordReader(ctx, leaves(pf, only), nil)
	if err != nil {
		return nil, 0, nil, fileError(src.path, err)
	}
	t := &typedReader{path: src.path, stop: rr.Release, next: func() (arrow.RecordBatch, error) {
		if rr.Next() {
			return rr.RecordBatch(), nil
		}
		if err := rr.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}}
	t.nulls = func(column string) bool { return mayBeNull(pf, column) }
	if only == nil {
		return rr.Schema(), pf.NumRows(), t, nil
	}
	t.part = rr.Schema()
	full, err := fr.Schema()
	if err != nil {
		rr.Release()
		return nil, 0, nil, fileError(src.path, err)
	}
	return full, pf.NumRows(), t, nil
}

// boundedBatch is how many rows of a file to take at a time, so that wide rows take no more memory than narrow ones.
func boundedBatch(pf *file.Reader, rows int) int {
	var size, n int64
	for i := range pf.NumRowGroups() {
		g := pf.MetaData().RowGroup(i)
		size, n = size+g.TotalByteSize(), n+g.NumRows()
	}
	if size <= 0 || n <= 0 {
		return rows
	}
	return max(1, min(rows, int(batchBytes*n/size)))
}

const batchBytes = 16 << 20

// countingReaderAt reads a file at places and counts the bytes for Progress.
type countingReaderAt struct{ s *source }

func (c countingReaderAt) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.s.f.ReadAt(b, off)
	c.s.read += int64(n)
	return n, err
}

func (c countingReaderAt) Read(b []byte) (int, error) {
	n, err := c.s.f.Read(b)
	c.s.read += int64(n)
	return n, err
}

func (c countingReaderAt) Seek(off int64, whence int) (int64, error) { return c.s.f.Seek(off, whence) }

func openIPC(src *source) (*arrow.Schema, int64, *typedReader, error) {
	magic := make([]byte, 6)
	n, _ := src.f.ReadAt(magic, 0)
	if _, ext := compression(src.path); ext == "" && bytes.Equal(magic[:n], []byte("ARROW1")) {
		f, err := openArrowFile(src)
		if err != nil {
			return nil, 0, nil, fileError(src.path, err).WithHint("is it an Arrow file, and whole?")
		}
		i := 0
		return f.Schema(), 0, &typedReader{path: src.path, stop: func() { f.Close() }, next: sound(func() (arrow.RecordBatch, error) {
			i++
			return f.batch(i - 1)
		})}, nil
	}
	// Without the mark of a message the next bytes would be taken for the length
	// of one, and memory be asked for it.
	in := bufio.NewReaderSize(src.r, 64<<10)
	if mark, err := in.Peek(4); err != nil || binary.LittleEndian.Uint32(mark) != 0xffffffff {
		return nil, 0, nil, fileError(src.path, errors.New("does not begin as an Arrow stream")).WithHint("is it an Arrow file or stream?")
	}
	sr, err := NewStream(in)
	if err != nil {
		return nil, 0, nil, fileError(src.path, err).WithHint("is it an Arrow stream, and whole?")
	}
	return sr.Schema(), 0, &typedReader{path: src.path, stop: sr.Release, next: sound(sr.next)}, nil
}
