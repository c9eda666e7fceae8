package tabular

import (
	"context"
	"io"

	"github.com/weir-ml/weir/registry/feature"
)

// RowOptions say how rows become events.
type RowOptions struct {
	Format Format // from the file's name when empty
	// Types gives the types of the event's fields by dotted path (the CSV's column
	// names): values of numeric, bool and timestamp fields that are written as a
	// number or a boolean go out unquoted, those of array fields that are written as
	// a JSON array as one, all others as strings. Fields that are not
	// named are strings. SchemaTypes makes a start of an event schema.
	Types map[string]feature.Type
	// Nulls are texts that mean null in CSV; an empty value always does.
	Nulls     []string
	Separator byte // as in ReadOptions
	// Times gives the format (feature.TimeFormats) in which the timestamps of
	// Parquet and Arrow files are written for a path; rfc3339 when it is not named.
	Times map[string]string
}

// Row is one row of a file as an event.
type Row struct {
	// Number counts the file's rows from 0. It is the same whenever the same bytes
	// are read: malformed rows count, blank lines and the header do not.
	Number int64
	Line   int64 // line in the file, from 1; 0 in Parquet and Arrow files
	// Payload is a JSON object; for JSON lines the line as it is, valid or not. It
	// is valid until the next call of Next.
	Payload []byte
	// Err tells that the row is malformed. Payload then is the row's raw bytes
	// (the first kilobyte of a row that is too long).
	Err error
}

// Rows reads a file row by row. A malformed row is a row with an Err; only a
// file that cannot be read at all ends it early.
type Rows struct {
	ctx    context.Context
	src    *source
	number int64
	row    Row // the one that Next returns: here so that it is not made for each
	impl   rowSource
}

type rowSource interface {
	next(ctx context.Context, r *Row) error // io.EOF at the end
	close()
}

// OpenRows opens a file for reading row by row.
func OpenRows(ctx context.Context, path string, o RowOptions) (*Rows, error) {
	format := o.Format
	if format == "" {
		var err error
		if format, err = FormatOf(path); err != nil {
			return nil, err
		}
	}
	src, err := openSource(path)
	if err != nil {
		return nil, err
	}
	r := &Rows{ctx: ctx, src: src}
	switch format {
	case CSV:
		r.impl, err = newCSVRows(src, o)
	case JSONLines:
		r.impl = &jsonRows{path: path, sc: newLineScanner(src.r)}
	case Parquet, Arrow:
		r.impl, err = newTypedRows(ctx, src, format, o)
	default:
		_, err = ParseFormat(string(format))
	}
	if err != nil {
		src.close()
		return nil, err
	}
	return r, nil
}

// Next returns the next row, io.EOF after the last.
func (r *Rows) Next() (Row, error) {
	if r.number%256 == 0 {
		if err := alive(r.ctx); err != nil {
			return Row{}, err
		}
	}
	r.row = Row{Number: r.number}
	if err := r.impl.next(r.ctx, &r.row); err != nil {
		return Row{}, err
	}
	r.number++
	return r.row, nil
}

// Progress is how many of the file's bytes have been read.
func (r *Rows) Progress() (done, total int64) { return min(r.src.read, r.src.size), r.src.size }

// Close closes the file.
func (r *Rows) Close() error {
	r.impl.close()
	return r.src.close()
}

// jsonRows hands out the lines as they are; judging them is the decoder's part.
type jsonRows struct {
	path string
	sc   *lineScanner
}

func (j *jsonRows) next(_ context.Context, r *Row) error {
	if !j.sc.next() {
		if j.sc.err != nil {
			return fileError(j.path, j.sc.err)
		}
		return io.EOF
	}
	r.Line, r.Payload = j.sc.line, j.sc.raw
	if j.sc.bad != nil {
		r.Err = rowError(j.path, j.sc.line, j.sc.bad)
	}
	return nil
}

func (j *jsonRows) close() {}
