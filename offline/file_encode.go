package offline

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/weir-ml/weir/registry/feature"
)

// fileEncoder writes Parquet files of a table out of columns: start, then group
// for each row group, then finish. It is kept between files, for its buffers
// are worth more than a small file. One goroutine at a time.
type fileEncoder struct {
	cols []Column
	enc  *encoder
	vals []parquet.Value
}

func newFileEncoder(view *feature.View, cols []Column, cfg Config) *fileEncoder {
	return &fileEncoder{cols: cols, enc: newEncoder(view, cols, cfg), vals: make([]parquet.Value, valuesAtOnce)}
}

// start begins a file; what an unfinished one before it left behind is dropped.
func (e *fileEncoder) start(w io.Writer) {
	e.enc.out = countingWriter{w: w}
	e.enc.pw.Reset(&e.enc.out)
}

// group writes a row group. Its rows stand in the table's order, after those of
// the group before; columns are asked for one by one, in the file's order.
func (e *fileEncoder) group(rows int, column func(ci int) (*columnData, error)) error {
	for ci, w := range e.enc.pw.ColumnWriters() {
		d, err := column(ci)
		if err != nil {
			return err
		}
		for lo := 0; lo < rows; lo += len(e.vals) {
			vals := e.vals[:min(len(e.vals), rows-lo)]
			for i := range vals {
				vals[i] = e.value(d, ci, lo+i)
			}
			if _, err := w.WriteRowValues(vals); err != nil {
				return err
			}
		}
	}
	return e.enc.pw.Flush()
}

func (e *fileEncoder) value(d *columnData, ci, i int) parquet.Value {
	c := e.cols[ci]
	level := 0
	if !c.Required {
		level = 1
	}
	if d.valid != nil && d.valid[i] == 0 {
		return parquet.NullValue().Level(0, 0, ci)
	}
	var v parquet.Value
	switch c.Type {
	case feature.Bool:
		v = parquet.BooleanValue(d.bools[i])
	case feature.Int32:
		v = parquet.Int32Value(d.int32s[i])
	case feature.Int64, feature.Timestamp:
		v = parquet.Int64Value(d.int64s[i])
	case feature.Float32:
		v = parquet.FloatValue(d.floats[i])
	case feature.Float64:
		v = parquet.DoubleValue(d.doubles[i])
	case feature.String, feature.Bytes:
		var text []byte
		if d.dict != nil {
			text = d.dict[d.codes[i]]
		} else if i == 0 {
			text = d.text[:d.ends[0]]
		} else {
			text = d.text[d.ends[i-1]:d.ends[i]]
		}
		v = parquet.ByteArrayValue(text)
		if c.Fixed > 0 {
			v = parquet.FixedLenByteArrayValue(text)
		}
	default:
		panic(fmt.Sprintf("column %s of type %s cannot be written", c.Name, c.Type))
	}
	return v.Level(0, level, ci)
}

// finish ends the file and describes it; the path and the time of creation are
// left to the caller.
func (e *fileEncoder) finish() (File, error) {
	if err := e.enc.pw.Close(); err != nil {
		return File{}, err
	}
	f := describe(e.enc.pw.File().Metadata(), e.cols)
	f.Bytes, f.Sorted = e.enc.out.n, true
	return f, nil
}
