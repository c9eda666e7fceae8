package tabular

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/internal/parquetfile"
	"github.com/weir-ml/weir/registry/feature"
)

// parquetEncoder gathers the columns of a row group out of batches, and has them
// encoded several at once when it is full.
type parquetEncoder struct {
	enc      *parquetfile.Encoder
	columns  []*parquetfile.Data
	types    []feature.Type
	rows     int // gathered
	texts    int // bytes of texts gathered
	rowGroup int
	most     int // groupTexts
}

// groupTexts is the most bytes of texts in a row group, unless a single one is longer.
const groupTexts = 32 << 20

func newParquetEncoder(out io.Writer, schema *arrow.Schema, rowGroup int) (*parquetEncoder, error) {
	e := &parquetEncoder{rowGroup: rowGroup, most: groupTexts}
	var cols []parquetfile.Column
	seen := map[string]bool{}
	for _, f := range schema.Fields() {
		if seen[f.Name] {
			return nil, feature.Errorf(feature.Invalid, "tabular.write", f.Name, "two columns have the name %q", f.Name).WithHint("rename one of them")
		}
		seen[f.Name] = true
		t, _ := TypeOf(f.Type)
		cols = append(cols, parquetfile.Column{Name: f.Name, Type: t, Required: !f.Nullable})
		e.columns, e.types = append(e.columns, &parquetfile.Data{}), append(e.types, t)
	}
	e.enc = parquetfile.New("rows", cols, parquetfile.Options{Compression: "zstd", PageBytes: 64 << 10})
	e.enc.Start(out)
	return e, nil
}

func (e *parquetEncoder) write(rec arrow.RecordBatch) error {
	cols, err := e.packed(rec)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for from := 0; from < int(rec.NumRows()); {
		to := e.until(cols, int(rec.NumRows()), from)
		for i, d := range e.columns {
			gather(d, cols[i], e.rows, e.rowGroup, from, to)
		}
		e.rows += to - from
		from = to
		if e.rows == e.rowGroup || from < int(rec.NumRows()) {
			if err := e.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// packed are a batch's columns, arrays in their packed form. The caller releases them.
func (e *parquetEncoder) packed(rec arrow.RecordBatch) ([]arrow.Array, error) {
	cols := slices.Clone(rec.Columns())
	for i, c := range cols {
		l, ok := c.(*array.List)
		if !ok {
			c.Retain()
			continue
		}
		p, err := feature.FromLists(e.types[i], l)
		if err != nil {
			for _, c := range cols[:i] {
				c.Release()
			}
			return nil, fmt.Errorf("column %q: %w", rec.ColumnName(i), err)
		}
		cols[i] = p
	}
	return cols, nil
}

// until is up to which of so many rows, at least one after from, the row group has room.
func (e *parquetEncoder) until(cols []arrow.Array, rows, from int) int {
	n := min(rows-from, e.rowGroup-e.rows)
	size := func(n int) (bytes int) {
		for _, c := range cols {
			if t, ok := c.(interface{ ValueOffsets() []int32 }); ok && n > 0 && c.NullN() < c.Len() {
				ends := t.ValueOffsets()
				bytes += int(ends[from+n] - ends[from])
			}
		}
		return bytes
	}
	free := e.most - e.texts
	if size(n) > free {
		n = max(sort.Search(n, func(n int) bool { return size(n) > free })-1, min(1, n))
	}
	e.texts += size(n)
	return from + n
}

// gather appends rows [from, to) of c to a column of so many rows, which will have at most so many.
func gather(d *parquetfile.Data, c arrow.Array, rows, most, from, to int) {
	if from == to {
		return
	}
	if c.NullN() == c.Len() { // of nothing but nulls there may be no memory
		gatherNulls(d, c, to-from)
	} else {
		gatherValues(d, c, most, from, to)
	}
	switch {
	case c.NullN() > 0:
		for len(d.Valid) < rows {
			d.Valid = append(d.Valid, 1)
		}
		if bits := c.NullBitmapBytes(); len(bits) == 0 {
			d.Valid = append(d.Valid, make([]byte, to-from)...)
		} else {
			d.Valid = appendBits(room(d.Valid, to-from, most), bits, c.Data().Offset()+from, to-from)
		}
	case len(d.Valid) > 0:
		for range to - from {
			d.Valid = append(d.Valid, 1)
		}
	}
}

// room makes room for n more. A row group of one small batch takes little; with a second one
// comes room for all there will be, rather than ever larger copies.
func room[T any](s []T, n, most int) []T {
	if len(s) > 0 && len(s)+n > cap(s) {
		return slices.Grow(s, max(n, most-len(s)))
	}
	return s
}

func gatherNulls(d *parquetfile.Data, c arrow.Array, n int) {
	switch c.(type) {
	case *array.Boolean:
		d.Bools = append(d.Bools, make([]bool, n)...)
	case *array.Int32:
		d.Int32s = append(d.Int32s, make([]int32, n)...)
	case *array.Float32:
		d.Floats = append(d.Floats, make([]float32, n)...)
	case *array.Float64:
		d.Doubles = append(d.Doubles, make([]float64, n)...)
	case *array.String, *array.Binary:
		for range n {
			d.Ends = append(d.Ends, uint32(len(d.Text)))
		}
	default:
		d.Int64s = append(d.Int64s, make([]int64, n)...)
	}
}

func gatherValues(d *parquetfile.Data, c arrow.Array, most, from, to int) {
	switch c := c.(type) {
	case *array.Boolean:
		for i := from; i < to; i++ {
			d.Bools = append(d.Bools, c.Value(i))
		}
	case *array.Int32:
		d.Int32s = append(room(d.Int32s, to-from, most), c.Int32Values()[from:to]...)
	case *array.Int64:
		d.Int64s = append(room(d.Int64s, to-from, most), c.Int64Values()[from:to]...)
	case *array.Timestamp:
		d.Int64s = room(d.Int64s, to-from, most)
		for _, v := range c.TimestampValues()[from:to] {
			d.Int64s = append(d.Int64s, int64(v))
		}
	case *array.Float32:
		d.Floats = append(room(d.Floats, to-from, most), c.Float32Values()[from:to]...)
	case *array.Float64:
		d.Doubles = append(room(d.Doubles, to-from, most), c.Float64Values()[from:to]...)
	case *array.String:
		gatherTexts(d, c.ValueOffsets(), c.ValueBytes(), from, to)
	case *array.Binary:
		gatherTexts(d, c.ValueOffsets(), c.ValueBytes(), from, to)
	default:
		panic("tabular: no Parquet form for " + c.DataType().String())
	}
}

// gatherTexts appends texts whose offsets count from where the array's memory begins;
// text is what the array has of it.
func gatherTexts(d *parquetfile.Data, offsets []int32, text []byte, from, to int) {
	first, base := offsets[0], offsets[from]
	add := uint32(len(d.Text)) - uint32(base)
	d.Text = append(d.Text, text[base-first:offsets[to]-first]...)
	for _, end := range offsets[from+1 : to+1] {
		d.Ends = append(d.Ends, add+uint32(end))
	}
}

// appendBits appends n bits from bit at on as bytes of 0 and 1.
func appendBits(dst, bits []byte, at, n int) []byte {
	for ; n > 0 && at&7 != 0; n, at = n-1, at+1 {
		dst = append(dst, bits[at>>3]>>(at&7)&1)
	}
	for ; n >= 8; n, at = n-8, at+8 {
		// Bit i alone in byte i, then whatever is not 0 becomes 1.
		x := uint64(bits[at>>3]) * 0x0101010101010101 & 0x8040201008040201
		x = (x + 0x7f7f7f7f7f7f7f7f) >> 7 & 0x0101010101010101
		dst = append(dst, byte(x), byte(x>>8), byte(x>>16), byte(x>>24), byte(x>>32), byte(x>>40), byte(x>>48), byte(x>>56))
	}
	for ; n > 0; n, at = n-1, at+1 {
		dst = append(dst, bits[at>>3]>>(at&7)&1)
	}
	return dst
}

// flush writes what was gathered as a row group.
func (e *parquetEncoder) flush() error {
	for _, d := range e.columns {
		if len(d.Valid) == 0 {
			d.Valid = nil // every row has a value
		}
	}
	if err := e.enc.Together(e.rows, e.columns, min(8, runtime.GOMAXPROCS(0))); err != nil {
		return err
	}
	for _, d := range e.columns {
		d.Bools, d.Int32s, d.Int64s, d.Floats, d.Doubles = d.Bools[:0], d.Int32s[:0], d.Int64s[:0], d.Floats[:0], d.Doubles[:0]
		d.Text, d.Ends, d.Valid = d.Text[:0], d.Ends[:0], d.Valid[:0]
	}
	e.rows, e.texts = 0, 0
	return nil
}

func (e *parquetEncoder) finish() error {
	if err := e.flush(); err != nil {
		return err
	}
	_, err := e.enc.Finish()
	return err
}
