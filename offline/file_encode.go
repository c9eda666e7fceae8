package offline

import (
	"io"
	"unsafe"

	"github.com/weir-ml/weir/internal/parquetfile"
	"github.com/weir-ml/weir/registry/feature"
)

// fileEncoder writes the data files of a table: start, then group for each row
// group, then finish. It is kept between files. One goroutine at a time.
type fileEncoder struct {
	enc  *parquetfile.Encoder
	cols []Column
	data parquetfile.Data
}

func newFileEncoder(view *feature.View, cols []Column, cfg Config) *fileEncoder {
	o := parquetfile.Options{Compression: cfg.Compression, PageBytes: cfg.PageBytes}
	for _, k := range view.Keys {
		o.Sorted = append(o.Sorted, k.Name)
	}
	o.Sorted = append(o.Sorted, SortSuffix...)
	return &fileEncoder{enc: parquetfile.New(view.Meta.Name, fileColumns(cols), o), cols: cols}
}

// start begins a file; what an unfinished one before it left behind is dropped.
func (e *fileEncoder) start(w io.Writer) { e.enc.Start(w) }

// group writes a row group. Its rows stand in the table's order, after those of
// the group before; columns are asked for one by one, in the file's order.
func (e *fileEncoder) group(rows int, column func(ci int) (*columnData, error)) error {
	return e.enc.Group(rows, func(ci int) (*parquetfile.Data, error) {
		d, err := column(ci)
		if err != nil {
			return nil, err
		}
		e.data = parquetfile.Data{Bools: d.bools, Int32s: d.int32s, Int64s: d.int64s, Floats: d.floats, Doubles: d.doubles,
			Text: d.text, Ends: d.ends, Codes: d.codes, Dict: d.dict, Valid: d.valid}
		return &e.data, nil
	})
}

// finish ends the file and describes it; the path and the time of creation are
// left to the caller.
func (e *fileEncoder) finish() (File, error) {
	s, err := e.enc.Finish()
	if err != nil {
		return File{}, err
	}
	f := File{Rows: s.Rows, Bytes: s.Bytes, Sorted: true}
	for i, c := range s.Columns {
		f.Stats = append(f.Stats, ColumnStats{ID: e.cols[i].ID, Element: e.cols[i].Element, Values: c.Values, Nulls: c.Nulls, NullRows: c.NullRows,
			Bytes: c.Bytes, Min: c.Min, Max: c.Max})
	}
	f.setBounds(e.cols)
	return f, nil
}

// view is memory of one type as another of the same size.
func view[T, S any](s []S) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}
