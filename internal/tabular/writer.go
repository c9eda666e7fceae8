package tabular

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/registry/feature"
)

// WriteOptions say how a file is to be made.
type WriteOptions struct {
	Format    Format // from the file's name when empty
	Separator byte   // between the values of a CSV line; a comma (.tsv: a tab) when 0
	// RowGroup is how many rows a Parquet row group takes; 131072 when 0.
	RowGroup int
}

// Writer writes batches of one schema to a file. Times are RFC 3339 UTC in the
// text formats, arrays JSON arrays; there null is an empty value (CSV) or null (JSON lines), an
// empty string "" in both, and NaN and infinities are null in JSON.
//
// The rows gather in a hidden file beside the asked one, which takes its name
// at Close: whoever looks sees the old file or the whole new one. A path that is
// not a regular file (a pipe, /dev/stdout) is written to directly.
type Writer struct {
	path, temp string
	f          *os.File
	buf        *bufio.Writer
	norm       *normalizer
	impl       encoder
	rows       int64
	finished   bool
	done       bool
}

// encoder writes batches of feature types in one format.
type encoder interface {
	write(rec arrow.RecordBatch) error
	finish() error
}

// Creatable tells whether Create would make the file, and leaves nothing.
func Creatable(path string) error {
	if _, err := FormatOf(path); err != nil {
		return err
	}
	if _, ext := compression(path); ext != "" {
		return packed(path, ext)
	}
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return nil // whoever reads a pipe would take this for its end
	}
	w := &Writer{path: path}
	if err := w.open(); err != nil {
		return writeError(path, err)
	}
	w.Abort()
	return nil
}

func packed(path, ext string) error {
	return feature.Errorf(feature.Unsupported, "tabular.write", path, "writing %s files", ext).
		WithHint("write Parquet, which compresses within")
}

// Create starts a file. Its rows are visible after Close; Abort drops them.
func Create(path string, schema *arrow.Schema, o WriteOptions) (*Writer, error) {
	format := o.Format
	if format == "" {
		var err error
		if format, err = FormatOf(path); err != nil {
			return nil, err
		}
	}
	if _, ext := compression(path); ext != "" {
		return nil, packed(path, ext)
	}
	w := &Writer{path: path, norm: newNormalizer(schema, nil)}
	if err := w.open(); err != nil {
		return nil, writeError(path, err)
	}
	w.buf = bufio.NewWriterSize(w.f, 256<<10)
	var err error
	if w.impl, err = newEncoder(w.buf, format, path, w.norm.schema, o); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// NewWriter writes to any stream; Close ends the format and leaves the stream open.
func NewWriter(out io.Writer, schema *arrow.Schema, format Format) (*Writer, error) {
	w := &Writer{path: "output", norm: newNormalizer(schema, nil), buf: bufio.NewWriterSize(out, 64<<10)}
	var err error
	w.impl, err = newEncoder(w.buf, format, "", w.norm.schema, WriteOptions{})
	return w, err
}

func newEncoder(out io.Writer, format Format, path string, schema *arrow.Schema, o WriteOptions) (encoder, error) {
	if o.RowGroup <= 0 {
		o.RowGroup = 128 << 10
	}
	switch format {
	case CSV:
		return newCSVEncoder(out, schema, separator(path, o.Separator))
	case JSONLines:
		return newJSONEncoder(out, schema), nil
	case Parquet:
		return newParquetEncoder(out, schema, o.RowGroup)
	case Arrow:
		return &arrowEncoder{ipc.NewWriter(out, ipc.WithSchema(schema))}, nil
	}
	_, err := ParseFormat(string(format))
	return nil, err
}

func (w *Writer) open() error {
	if st, err := os.Stat(w.path); err == nil && !st.Mode().IsRegular() {
		if st.IsDir() {
			return errors.New("is a directory")
		}
		w.f, err = os.OpenFile(w.path, os.O_WRONLY, 0)
		return err
	}
	var err error
	if w.f, err = newTemp(w.path); err == nil {
		w.temp = w.f.Name()
	}
	return err
}

// Write adds a batch; it does not keep it. Columns of other than feature types are converted.
func (w *Writer) Write(rec arrow.RecordBatch) error {
	out, col, err := w.norm.batch(rec)
	if err != nil {
		return writeError(w.path, fmt.Errorf("row %d, column %q: %w", w.rows+1, rec.ColumnName(col), err))
	}
	defer out.Release()
	if err := w.impl.write(out); err != nil {
		return writeError(w.path, err)
	}
	w.rows += rec.NumRows()
	return nil
}

// Rows is the number of rows written.
func (w *Writer) Rows() int64 { return w.rows }

// Finish completes the file and makes it durable under its hidden name: only Close,
// or Abort, is left to do. After an error nothing is left.
func (w *Writer) Finish() (err error) {
	if w.done || w.finished {
		return nil
	}
	defer func() {
		if err != nil {
			err = writeError(w.path, err)
			w.Abort()
		}
	}()
	if err := w.impl.finish(); err != nil {
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	if w.temp != "" {
		if err := w.f.Sync(); err != nil {
			return err
		}
	}
	w.finished = true
	return nil
}

// Close completes the file and gives it its name. After an error nothing is left.
func (w *Writer) Close() error {
	if w.done {
		return nil
	}
	if err := w.Finish(); err != nil {
		return err
	}
	if err := w.name(); err != nil {
		err = writeError(w.path, err)
		w.Abort()
		return err
	}
	w.done = true
	return nil
}

// name closes the file and renames it; while it is open, nobody takes it for left behind.
func (w *Writer) name() error {
	if w.temp == "" {
		if w.f != nil {
			return w.f.Close()
		}
		return nil
	}
	if closeBeforeRename {
		if err := w.f.Close(); err != nil {
			return err
		}
		return os.Rename(w.temp, w.path)
	}
	if err := os.Rename(w.temp, w.path); err != nil {
		return err
	}
	return w.f.Close()
}

// Abort drops the file; no effect after Close.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	if w.f != nil {
		w.f.Close()
	}
	if w.temp != "" {
		os.Remove(w.temp)
	}
}

func writeError(path string, err error) error {
	var fe *feature.Error
	if errors.As(err, &fe) || errors.Is(err, context.Canceled) {
		return err
	}
	e := fileError(path, err)
	e.Op = "tabular.write"
	if dir := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return e.WithHint("there is no folder %s: make it first", dir)
		}
	}
	return e
}

type arrowEncoder struct{ w *ipc.Writer }

func (a *arrowEncoder) write(rec arrow.RecordBatch) error { return a.w.Write(rec) }
func (a *arrowEncoder) finish() error                     { return a.w.Close() }

// csvEncoder writes a header line and one line a row.
type csvEncoder struct {
	out   io.Writer
	sep   byte
	cells []cell
	line  []byte
}

func newCSVEncoder(out io.Writer, schema *arrow.Schema, sep byte) (*csvEncoder, error) {
	e := &csvEncoder{out: out, sep: sep}
	for i, f := range schema.Fields() {
		if i > 0 {
			e.line = append(e.line, sep)
		}
		e.line = appendCSVText(e.line, f.Name, sep)
	}
	_, err := out.Write(append(e.line, '\n'))
	return e, err
}

func (e *csvEncoder) write(rec arrow.RecordBatch) error {
	e.cells = e.cells[:0]
	for _, c := range rec.Columns() {
		e.cells = append(e.cells, csvCell(c, e.sep))
	}
	for i := range int(rec.NumRows()) {
		e.line = e.line[:0]
		for k, c := range e.cells {
			if k > 0 {
				e.line = append(e.line, e.sep)
			}
			e.line = c(e.line, i)
		}
		if len(e.line) == 0 { // a blank line would be no row
			e.line = append(e.line, '"', '"')
		}
		if _, err := e.out.Write(append(e.line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (e *csvEncoder) finish() error { return nil }

// jsonEncoder writes one object a line, every column named in each.
type jsonEncoder struct {
	out   io.Writer
	names [][]byte // `"name":`
	cells []cell
	line  []byte
}

func newJSONEncoder(out io.Writer, schema *arrow.Schema) *jsonEncoder {
	e := &jsonEncoder{out: out}
	for _, f := range schema.Fields() {
		e.names = append(e.names, append(appendJSONString(nil, []byte(f.Name)), ':'))
	}
	return e
}

func (e *jsonEncoder) write(rec arrow.RecordBatch) error {
	e.cells = e.cells[:0]
	for _, c := range rec.Columns() {
		e.cells = append(e.cells, jsonCell(c, nil))
	}
	for i := range int(rec.NumRows()) {
		e.line = append(e.line[:0], '{')
		for k, c := range e.cells {
			if k > 0 {
				e.line = append(e.line, ',')
			}
			e.line = c(append(e.line, e.names[k]...), i)
		}
		if _, err := e.out.Write(append(e.line, '}', '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (e *jsonEncoder) finish() error { return nil }
