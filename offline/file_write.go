package offline

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/weir-ml/weir/registry/feature"
)

// encoder turns sorted rows into a Parquet file. It is kept between files, for
// its buffers are worth more than the file when a flush touches hundreds of days.
// One goroutine at a time.
type encoder struct {
	view    *feature.View
	cols    []Column
	pw      *parquet.Writer
	groupBy int
	values  []parquet.Value
	out     countingWriter
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// valuesAtOnce is how many values a column writer gets in one call.
const valuesAtOnce = 1024

func newEncoder(view *feature.View, cols []Column, cfg Config) *encoder {
	opts := []parquet.WriterOption{
		ParquetSchema(view.Meta.Name, cols),
		parquet.Compression(codec(cfg.Compression)),
		parquet.PageBufferSize(cfg.PageBytes),
		parquet.WriteBufferSize(64 << 10),
		parquet.MaxRowsPerRowGroup(int64(cfg.RowGroupRows)),
		parquet.DataPageStatistics(false),
		parquet.DictionaryMaxBytes(256 << 10),
		parquet.CreatedBy("weir", "1", ""),
		parquet.SortingWriterConfig(parquet.SortingColumns(sortColumns(cols, len(view.Keys))...)),
	}
	for _, c := range cols {
		// The bounds of a long text would stand in full in the footer.
		if !c.Required && (c.Type == feature.String || c.Type == feature.Bytes) {
			opts = append(opts, parquet.SkipPageBounds(c.Name))
		}
	}
	e := &encoder{view: view, cols: cols, groupBy: cfg.RowGroupRows, values: make([]parquet.Value, valuesAtOnce)}
	e.pw = parquet.NewWriter(&e.out, opts...)
	return e
}

func codec(name string) compress.Codec {
	switch name {
	case "snappy":
		return &parquet.Snappy
	case "none":
		return &parquet.Uncompressed
	default:
		return &parquet.Zstd
	}
}

// write makes one file of the rows, in the order given, which must be the table's.
func (e *encoder) write(ctx context.Context, t Table, name string, batches []*feature.Batch, rows []rowRef) (f File, err error) {
	fw, err := t.Create(ctx, name)
	if err != nil {
		return File{}, err
	}
	defer fw.Abort()
	defer func() {
		if p := recover(); p != nil {
			// parquet-go panics on schema faults; the buffers are not to be trusted after one.
			err = feature.Errorf(feature.Internal, "offline.stage", name, "writing parquet: %v", p)
		}
	}()
	e.out = countingWriter{w: fw}
	e.pw.Reset(&e.out)
	src := newSource(e.view, batches)
	for lo := 0; lo < len(rows); lo += e.groupBy {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		group := rows[lo:min(lo+e.groupBy, len(rows))]
		for ci, w := range e.pw.ColumnWriters() {
			if err := e.column(w, ci, src, group); err != nil {
				return File{}, fileError(name, err)
			}
		}
		if err := e.pw.Flush(); err != nil {
			return File{}, fileError(name, err)
		}
	}
	if err := e.pw.Close(); err != nil {
		return File{}, fileError(name, err)
	}
	f = describe(e.pw.File().Metadata(), e.cols)
	f.Bytes = e.out.n
	f.Sorted = true
	f.Path, err = fw.Commit()
	return f, err
}

func fileError(name string, err error) error {
	return &feature.Error{Kind: feature.Unavailable, Op: "offline.stage", What: "file " + name, Err: err,
		Hint: "look at the space and the rights of the warehouse"}
}

func (e *encoder) column(w *parquet.ColumnWriter, ci int, src *source, rows []rowRef) error {
	fill := src.filler(ci, e.cols[ci])
	for lo := 0; lo < len(rows); lo += valuesAtOnce {
		part := rows[lo:min(lo+valuesAtOnce, len(rows))]
		vals := e.values[:len(part)]
		fill(vals, part)
		if _, err := w.WriteRowValues(vals); err != nil {
			return err
		}
	}
	return nil
}

// source hands out the columns of many batches as one.
type source struct {
	view    *feature.View
	batches []*feature.Batch
}

func newSource(view *feature.View, batches []*feature.Batch) *source {
	return &source{view: view, batches: batches}
}

// filler returns the function that fills values from rows for one column.
func (s *source) filler(ci int, c Column) func([]parquet.Value, []rowRef) {
	if ci >= len(s.view.Keys)+len(s.view.Features) {
		return s.systemFiller(ci, c)
	}
	def := 1
	if c.Required {
		def = 0
	}
	arrays := make([]arrow.Array, len(s.batches))
	for i, b := range s.batches {
		arrays[i] = b.Rows.Column(ci)
	}
	switch c.Type {
	case feature.Bool:
		return fillWith(arrays, ci, def, func(a *array.Boolean) func(int) parquet.Value {
			return func(i int) parquet.Value { return parquet.BooleanValue(a.Value(i)) }
		})
	case feature.Int32:
		return fillSlices(arrays, ci, def, (*array.Int32).Int32Values, parquet.Int32Value)
	case feature.Int64:
		return fillSlices(arrays, ci, def, (*array.Int64).Int64Values, parquet.Int64Value)
	case feature.Timestamp:
		return fillSlices(arrays, ci, def, (*array.Timestamp).TimestampValues,
			func(t arrow.Timestamp) parquet.Value { return parquet.Int64Value(int64(t)) })
	case feature.Float32:
		return fillSlices(arrays, ci, def, (*array.Float32).Float32Values, parquet.FloatValue)
	case feature.Float64:
		return fillSlices(arrays, ci, def, (*array.Float64).Float64Values, parquet.DoubleValue)
	case feature.String:
		return fillWith(arrays, ci, def, func(a *array.String) func(int) parquet.Value {
			offs, data := a.ValueOffsets(), a.ValueBytes()
			base := offs[0]
			return func(i int) parquet.Value { return parquet.ByteArrayValue(data[offs[i]-base : offs[i+1]-base]) }
		})
	case feature.Bytes:
		return fillWith(arrays, ci, def, func(a *array.Binary) func(int) parquet.Value {
			return func(i int) parquet.Value { return parquet.ByteArrayValue(a.Value(i)) }
		})
	}
	panic(fmt.Sprintf("column %s of type %s cannot be written", c.Name, c.Type))
}

// fillSlices is the fast way: numbers straight out of the arrays' memory.
func fillSlices[A arrow.Array, T any](arrays []arrow.Array, ci, def int, values func(A) []T, value func(T) parquet.Value) func([]parquet.Value, []rowRef) {
	data := make([][]T, len(arrays))
	nulls := make([]bool, len(arrays))
	for i, a := range arrays {
		data[i], nulls[i] = values(a.(A)), a.NullN() > 0
	}
	null := parquet.NullValue().Level(0, 0, ci)
	return func(dst []parquet.Value, rows []rowRef) {
		for k, r := range rows {
			if nulls[r.batch] && arrays[r.batch].IsNull(int(r.row)) {
				dst[k] = null
			} else {
				dst[k] = value(data[r.batch][r.row]).Level(0, def, ci)
			}
		}
	}
}

func fillWith[A arrow.Array](arrays []arrow.Array, ci, def int, get func(A) func(int) parquet.Value) func([]parquet.Value, []rowRef) {
	at := make([]func(int) parquet.Value, len(arrays))
	nulls := make([]bool, len(arrays))
	for i, a := range arrays {
		at[i], nulls[i] = get(a.(A)), a.NullN() > 0
	}
	null := parquet.NullValue().Level(0, 0, ci)
	return func(dst []parquet.Value, rows []rowRef) {
		for k, r := range rows {
			if nulls[r.batch] && arrays[r.batch].IsNull(int(r.row)) {
				dst[k] = null
			} else {
				dst[k] = at[r.batch](int(r.row)).Level(0, def, ci)
			}
		}
	}
}

func (s *source) systemFiller(ci int, c Column) func([]parquet.Value, []rowRef) {
	var at func(b *feature.Batch, i int) parquet.Value
	switch c.Name {
	case ColEffective:
		at = func(b *feature.Batch, i int) parquet.Value {
			return parquet.Int64Value(min(b.EventTime[i], b.KnownTime[i]))
		}
	case ColEvent:
		at = func(b *feature.Batch, i int) parquet.Value { return parquet.Int64Value(b.EventTime[i]) }
	case ColKnown:
		at = func(b *feature.Batch, i int) parquet.Value { return parquet.Int64Value(b.KnownTime[i]) }
	case ColTopicID:
		at = func(b *feature.Batch, _ int) parquet.Value {
			return parquet.FixedLenByteArrayValue(b.Origin.TopicID[:])
		}
	case ColPartition:
		at = func(b *feature.Batch, _ int) parquet.Value { return parquet.Int32Value(b.Origin.Partition) }
	case ColOffset:
		at = func(b *feature.Batch, i int) parquet.Value { return parquet.Int64Value(b.Offsets[i]) }
	case ColTombstone:
		at = func(b *feature.Batch, i int) parquet.Value { return parquet.BooleanValue(b.Deleted(i)) }
	default:
		panic("no system column " + c.Name)
	}
	return func(dst []parquet.Value, rows []rowRef) {
		for k, r := range rows {
			dst[k] = at(s.batches[r.batch], int(r.row)).Level(0, 0, ci)
		}
	}
}

// dayName is the folder of a day's files, as Iceberg names it.
func dayName(day int32) string {
	return ColEffective + "_day=" + time.Unix(int64(day)*24*60*60, 0).UTC().Format("2006-01-02")
}
