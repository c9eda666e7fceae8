package tabular

import (
	"context"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// Columns reads the same rows as Rows, some thousands at a time, as columns: for
// who would only take the values out of each row's JSON again.
type Columns struct {
	Names []string
	Types []arrow.DataType // each that of a feature type

	ctx    context.Context
	src    *source
	number int64
	impl   columnSource
}

type columnSource interface {
	next() (*Chunk, error) // io.EOF at the end
	close()
}

// Chunk is some rows of a file. It stays valid.
type Chunk struct {
	First int64 // number of the first row, as Row counts
	// Values has the columns. A row's JSON says the same: texts, whole numbers and
	// booleans as they are, floats with their shortest text or one that reads back
	// as the same float, times in the format that was asked for, which for the
	// unix_ ones makes the column one of integers.
	Values []arrow.Array
	// Long, where not nil, marks by column the floats that are written with more
	// than 15 digits.
	Long [][]bool
	// Doubt marks the rows whose values are not told by Values, malformed ones
	// among them.
	Doubt []bool

	json func(i int) []byte
}

// Len is the number of rows.
func (c *Chunk) Len() int { return len(c.Doubt) }

// JSON makes an event of row i, from 0: what Rows gives as its Payload.
func (c *Chunk) JSON(i int) []byte { return c.json(i) }

// Release gives the columns back.
func (c *Chunk) Release() {
	for _, a := range c.Values {
		a.Release()
	}
}

// Skip drops the first n rows.
func (c *Chunk) Skip(n int) {
	if n == 0 {
		return
	}
	for i, a := range c.Values {
		c.Values[i] = array.NewSlice(a, int64(n), int64(a.Len()))
		a.Release()
		if c.Long != nil && c.Long[i] != nil {
			c.Long[i] = c.Long[i][n:]
		}
	}
	whole := c.json
	c.First, c.Doubt, c.json = c.First+int64(n), c.Doubt[n:], func(i int) []byte { return whole(n + i) }
}

// OpenColumns opens a file for reading as columns. False where its rows have no
// such form (JSON lines, lists and other nested columns): OpenRows reads every file.
func OpenColumns(ctx context.Context, path string, o RowOptions) (*Columns, bool, error) {
	format := o.Format
	if format == "" {
		var err error
		if format, err = FormatOf(path); err != nil {
			return nil, false, err
		}
	}
	if format == JSONLines {
		return nil, false, nil
	}
	src, err := openSource(path)
	if err != nil {
		return nil, false, err
	}
	c := &Columns{ctx: ctx, src: src}
	ok := false
	switch format {
	case CSV:
		ok, err = c.openCSV(o)
	case Parquet, Arrow:
		ok, err = c.openTyped(format, o)
	default:
		_, err = ParseFormat(string(format))
	}
	if err != nil || !ok {
		src.close()
		return nil, false, err
	}
	return c, true, nil
}

// Next returns the next rows, at least one; io.EOF after the last.
func (c *Columns) Next() (*Chunk, error) {
	for {
		if err := alive(c.ctx); err != nil {
			return nil, err
		}
		k, err := c.impl.next()
		if err != nil {
			return nil, err
		}
		if k.Len() > 0 {
			k.First = c.number
			c.number += int64(k.Len())
			return k, nil
		}
	}
}

// Progress is how many of the file's bytes have been read. Not while Next is under way.
func (c *Columns) Progress() (done, total int64) { return min(c.src.read, c.src.size), c.src.size }

// Close closes the file.
func (c *Columns) Close() error {
	c.impl.close()
	return c.src.close()
}

// typedColumns hands out the columns of a file that knows its types.
type typedColumns struct {
	rows *typedRows
}

func (c *Columns) openTyped(format Format, o RowOptions) (bool, error) {
	r, err := newTypedRows(c.ctx, c.src, format, o)
	if err != nil {
		return false, err
	}
	for i, t := range r.norm.types {
		name := r.norm.schema.Field(i).Name
		if t == feature.InvalidType || t.IsArray() || !plainName(name) {
			r.close()
			return false, nil
		}
		if t == feature.Timestamp && r.scales[i] != nil {
			t = feature.Int64
		}
		c.Names, c.Types = append(c.Names, name), append(c.Types, t.Arrow())
	}
	c.impl = &typedColumns{r}
	return true, nil
}

func (t *typedColumns) next() (*Chunk, error) {
	cols, err := t.rows.batch()
	if err != nil {
		return nil, err
	}
	n := 0
	if len(cols) > 0 {
		n = cols[0].Len()
	}
	k := &Chunk{Values: make([]arrow.Array, len(cols)), Doubt: make([]bool, n)}
	for i, a := range cols {
		a.Retain()
		k.Values[i] = valueColumn(a, t.rows.scales[i], k.Doubt)
	}
	var cells []cell // made when the first row is asked for
	steps, stamps := t.rows.steps, t.rows.stamps
	k.json = func(i int) []byte {
		if cells == nil {
			for j, a := range cols {
				cells = append(cells, jsonCell(a, stamps[j]))
			}
		}
		return appendRow(nil, steps, cells, i)
	}
	return k, nil
}

func (t *typedColumns) close() { t.rows.close() }

// valueColumn gives a column's values as its JSON has them: what is not a number
// there is null, and a time that is written as a number is one. It takes a over.
func valueColumn(a arrow.Array, scale func(int64) (int64, bool), doubt []bool) arrow.Array {
	switch f := a.(type) {
	case *array.Float64:
		for _, v := range f.Float64Values() {
			if v-v != 0 {
				defer a.Release()
				return finite(a, func(i int) bool { v := f.Value(i); return v-v == 0 })
			}
		}
	case *array.Float32:
		for _, v := range f.Float32Values() {
			if v-v != 0 {
				defer a.Release()
				return finite(a, func(i int) bool { v := f.Value(i); return v-v == 0 })
			}
		}
	case *array.Timestamp:
		if scale == nil {
			return a
		}
		defer a.Release()
		out := make([]int64, a.Len())
		for i, v := range f.TimestampValues() {
			n, ok := scale(int64(v))
			if out[i] = n; !ok && a.IsValid(i) {
				doubt[i] = true
			}
		}
		return newArray(feature.Int64, a.Len(), validity(a), a.NullN(), arrow.Int64Traits.CastToBytes(out))
	}
	return a
}

// finite gives floats with null for NaN and infinities.
func finite(a arrow.Array, ok func(i int) bool) arrow.Array {
	bits := make([]byte, (a.Len()+7)/8)
	nulls := 0
	for i := range a.Len() {
		if a.IsValid(i) && ok(i) {
			bits[i>>3] |= 1 << (i & 7)
		} else {
			nulls++
		}
	}
	d := a.Data()
	size := a.DataType().(arrow.FixedWidthDataType).Bytes()
	t, _ := TypeOf(a.DataType())
	return newArray(t, a.Len(), bits, nulls, d.Buffers()[1].Bytes()[d.Offset()*size:])
}

// validity is a column's bitmap from its first row on; nil without nulls.
func validity(a arrow.Array) []byte {
	if a.NullN() == 0 {
		return nil
	}
	bits := make([]byte, (a.Len()+7)/8)
	for i := range a.Len() {
		if a.IsValid(i) {
			bits[i>>3] |= 1 << (i & 7)
		}
	}
	return bits
}

// newArray makes a column of parts; valid may be nil.
func newArray(t feature.Type, n int, valid []byte, nulls int, parts ...[]byte) arrow.Array {
	buffers := []*memory.Buffer{nil}
	if nulls > 0 {
		buffers[0] = memory.NewBufferBytes(valid)
	}
	for _, p := range parts {
		buffers = append(buffers, memory.NewBufferBytes(p))
	}
	d := array.NewData(t.Arrow(), n, buffers, nil, nulls, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

// ends reports whether an error is the usual end.
func ends(err error) bool { return errors.Is(err, io.EOF) }
