package tabular

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// ReadOptions say how a file is to be taken.
type ReadOptions struct {
	Format Format // from the file's name when empty
	// Types gives the types of columns by name; a value that does not fit is an
	// error. Columns that are not named take their type from the file: typed
	// formats have one, CSV and JSON lines are read twice to find the narrowest of
	// int64, float64, bool, timestamp, arrays of these (JSON arrays, in CSV as the
	// text of a cell) and string that takes every value.
	Types map[string]feature.Type
	// Sample, when above zero, is how many rows are looked at to find types; those
	// after them may not fit. One batch of as many rows then does.
	Sample int
	// Text takes columns that Types does not name as strings instead (CSV), so
	// that the file is read once.
	Text bool
	// Nulls are texts that mean null in CSV. An empty value always does; an empty
	// value in quotes is an empty string where the column is one.
	Nulls []string
	// Separator stands between the values of a CSV line; a comma (.tsv: a tab) when 0.
	Separator byte
	BatchRows int // rows of a batch; 16384 when 0
	// Only, where not nil, names the columns whose values are wanted. Of a Parquet
	// file the others are not read: the batches have them, as nulls. (One is where none is
	// wanted, to tell the rows.)
	Only map[string]bool
	// NullElements leaves lists that have elements which are null what they are, for who
	// judges each row on its own. Without it they are an error where Types says that they
	// are arrays, else the whole column is JSON text (out of a pipe: an error).
	NullElements bool
	// Lend is for who is done with a batch before it asks for the next: batches are then
	// good until the next Read or Close, and columns of texts may come as places
	// (int32) in a dictionary of them, in the place of Schema's type. Parquet files are
	// read in a third of the time so.
	Lend bool
}

// Reader gives a file's rows as Arrow batches whose columns are of feature types
// only, as they go from file to file (feature.Type.Exchange): narrower integers are
// widened, times become timestamps in microseconds UTC, lists of scalars become
// arrays, other nested values JSON text.
type Reader struct {
	schema *arrow.Schema
	nested map[string]bool
	rows   int64
	impl   interface {
		read(ctx context.Context) (arrow.RecordBatch, error)
		close() error
	}
	ctx  context.Context
	src  *source
	path string
}

// Open opens a file for reading as batches. The context ends the reading at any
// batch, and the search for types too.
func Open(ctx context.Context, path string, o ReadOptions) (*Reader, error) {
	if o.BatchRows <= 0 {
		o.BatchRows = 16384
	}
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
	r := &Reader{ctx: ctx, src: src, path: path}
	switch format {
	case CSV:
		err = r.openCSV(o)
	case JSONLines:
		err = r.openJSON(o)
	case Parquet:
		err = r.openParquet(o)
	case Arrow:
		err = r.openArrow(o)
	default:
		_, err = ParseFormat(string(format))
	}
	if err != nil {
		src.close()
		return nil, err
	}
	return r, nil
}

// Schema is the schema of the batches.
func (r *Reader) Schema() *arrow.Schema { return r.schema }

// Nested names the columns of text that are JSON of lists and objects in a Parquet or
// Arrow file: OpenRows gives those as they are. Nothing is known of them in a file read with Lend.
func (r *Reader) Nested() map[string]bool { return r.nested }

// Rows is the number of rows where the file says it (Parquet), else 0.
func (r *Reader) Rows() int64 { return r.rows }

// Progress is how many of the file's bytes have been read.
func (r *Reader) Progress() (done, total int64) { return min(r.src.read, r.src.size), r.src.size }

// Read returns the next batch, io.EOF after the last. The caller releases it.
func (r *Reader) Read() (arrow.RecordBatch, error) {
	if err := alive(r.ctx); err != nil {
		return nil, err
	}
	return r.impl.read(r.ctx)
}

// Close closes the file.
func (r *Reader) Close() error {
	err := r.impl.close()
	if e := r.src.close(); err == nil {
		err = e
	}
	return err
}
