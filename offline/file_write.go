package offline

import (
	"context"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/weir-ml/weir/registry/feature"
)

// encoder turns sorted rows into a Parquet file. It is kept between files, for
// its buffers are worth more than the file when a flush touches hundreds of days.
// One goroutine at a time.
type encoder struct {
	view    *feature.View
	cols    []Column
	pw      *parquet.Writer //lint:ignore SA1019 its generic successor wants a Go type; a view's columns are known at run time only
	groupBy int
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
	e := &encoder{view: view, cols: cols, groupBy: cfg.RowGroupRows}
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
		// The fastest level: writing takes a tenth less CPU time than with the
		// default one, for files that are 1 to 7 percent larger.
		return &zstd.Codec{Level: zstd.SpeedFastest}
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
	src := newSource(e.view, e.cols, batches, len(rows))
	for lo := 0; lo < len(rows); lo += e.groupBy {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		group := rows[lo:min(lo+e.groupBy, len(rows))]
		src.gatherSystem(group)
		for ci, w := range e.pw.ColumnWriters() {
			if err := src.column(w, ci, group); err != nil {
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

// dayName is the folder of a day's files, as Iceberg names it.
func dayName(day int32) string {
	return ColEffective + "_day=" + time.Unix(int64(day)*24*60*60, 0).UTC().Format("2006-01-02")
}
