package decode

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/jsonschema"
)

// Columns decodes rows of a file that come as columns, without making events of
// them. It takes over only what it can vouch for: a row of which it is not
// certain that it passes, and with which values, is asked for as JSON and goes
// through a Decoder. So a row's fate does not depend on how it came.
type Columns struct {
	dec     *Decoder
	members []*jsonschema.Member // by column of the file; nil without a schema
	names   []string
	fixed   int   // bytes of a row's JSON that do not depend on its values, at most
	leaves  []int // by leaf of the decoder: the column of the file, -1 where there is none
}

// Table is some rows of a file.
type Table struct {
	First     int64         // offset of the first row; the others follow without a gap
	Timestamp int64         // of all rows, as Record has it
	Values    []arrow.Array // by column, each of a type of feature.Type.Arrow
	// Long, where not nil, tells by column which numbers are written with more
	// than 15 digits: their float is the nearest one.
	Long [][]bool
	// Doubt marks rows that Values do not tell the truth about. Columns marks further ones.
	Doubt []bool
	// JSON gives a row as an event (the payload; a malformed row as it is).
	JSON func(row int) []byte
}

// NewColumns makes a decoder of files with these columns for one view. False
// where rows have to come as JSON anyway: the schema or a column's type asks for it.
func NewColumns(source *feature.Source, view *feature.View, o Options, names []string, types []arrow.DataType) (*Columns, bool, error) {
	d, err := New(source, []*feature.View{view}, o)
	if err != nil || o.Known != 0 {
		return nil, false, err
	}
	c := &Columns{dec: d, names: names, fixed: 2}
	for _, n := range names {
		c.fixed += 6*len(n) + 4
	}
	if d.schema != nil {
		var ok bool
		if c.members, ok = d.schema.Flat(names); !ok {
			return nil, false, nil
		}
	}
	for _, path := range d.leaves {
		at := -1
		for i, n := range names {
			if n == path {
				at = i
			}
		}
		c.leaves = append(c.leaves, at)
	}
	return c, c.covers(types), nil
}

// covers reports whether columns of these types can be taken over.
func (c *Columns) covers(types []arrow.DataType) bool {
	d := c.dec
	for i, t := range types {
		if arrow.IsNested(t.ID()) { // what their JSON is judged by is not known here
			return false
		}
		if c.members == nil {
			continue
		}
		m := c.members[i]
		switch t.ID() {
		case arrow.TIMESTAMP: // a text that is not at hand
			low, high := len("2026-01-31T12:00:00Z"), len("2026-01-31T12:00:00.123456Z")
			for _, r := range []*timeReader{&d.event, &d.created} {
				if r.kind == naive && r.field == c.names[i] {
					low, high = low-1, high-1
				}
			}
			if !m.Lengths(low, high) {
				return false
			}
		case arrow.BINARY:
			if !m.Texts() {
				return false
			}
		case arrow.INT32, arrow.INT64, arrow.FLOAT32, arrow.FLOAT64:
			if !m.Numbers() {
				return false
			}
		}
	}
	for _, r := range []*timeReader{&d.event, &d.created} {
		if r.leaf < 0 {
			continue
		}
		at := c.leaves[r.leaf]
		if at < 0 || !r.covers(types[at]) {
			return false
		}
	}
	for i := range d.views[0].cols {
		col := &d.views[0].cols[i]
		at := c.leaves[col.leaf]
		if at < 0 && col.key || at >= 0 && !col.covers(types[at]) {
			return false
		}
	}
	return true
}

// Decode takes the rows of a table and returns what the view got of them. The
// table's arrays may be part of the result.
func (c *Columns) Decode(t *Table, origin feature.Origin) Result {
	d, v := c.dec, c.dec.views[0]
	n := len(t.Doubt)
	c.judge(t)
	event, known := c.times(t)
	cols := make([]arrow.Array, len(v.cols))
	defer func() {
		for _, a := range cols {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i := range v.cols {
		cols[i] = c.column(t, &v.cols[i], n)
	}
	c.limit(t)
	doubts := 0
	for _, x := range t.Doubt {
		if x {
			doubts++
		}
	}
	if doubts == 0 {
		offsets := make([]int64, n)
		for i := range offsets {
			offsets[i] = t.First + int64(i)
		}
		return Result{View: v.view, Batch: &feature.Batch{View: v.view, Origin: origin, Rows: array.NewRecordBatch(v.schema, cols, int64(n)),
			Offsets: offsets, EventTime: event, KnownTime: known}}
	}
	d.Expect(n)
	for i := 0; i < n; {
		if t.Doubt[i] {
			d.Decode(Record{Value: t.JSON(i), Offset: t.First + int64(i), Timestamp: t.Timestamp})
			i++
			continue
		}
		to := i + 1
		for to < n && !t.Doubt[to] {
			to++
		}
		v.copyRows(cols, event, known, t.First, i, to)
		d.index += to - i
		i = to
	}
	return d.Cut(origin)[0]
}

// copyRows appends rows that are certain.
func (v *viewColumns) copyRows(cols []arrow.Array, event, known []int64, first int64, from, to int) {
	v.start()
	if need := v.rows + to - from; need > v.room {
		v.grow(max(need, 2*v.room))
	}
	for i := range v.cols {
		v.cols[i].copyRows(cols[i], from, to, v.rows)
	}
	for i := from; i < to; i++ {
		v.offsets[v.rows], v.event[v.rows], v.known[v.rows] = first+int64(i), event[i], known[i]
		if v.tomb != nil {
			v.tomb[v.rows] = false
		}
		v.rows++
	}
	v.begun = false
}

// copyRows writes rows [from, to) of a, which is of the column's type, from row on.
func (c *column) copyRows(a arrow.Array, from, to, row int) {
	nulls := a.NullN() > 0
	for i := from; i < to; i++ {
		r := row + i - from
		if nulls && a.IsNull(i) {
			c.valid[r>>3] &^= 1 << (r & 7)
		} else {
			c.valid[r>>3] |= 1 << (r & 7)
		}
	}
	n := to - from
	switch a := a.(type) {
	case *array.Boolean:
		for i := range n {
			c.putBool(row+i, a.IsValid(from+i) && a.Value(from+i))
		}
	case *array.Int32:
		copyValues(c.i32[row:row+n], a.Int32Values()[from:to], a, from)
	case *array.Int64:
		copyValues(c.i64[row:row+n], a.Int64Values()[from:to], a, from)
	case *array.Timestamp:
		copyValues(c.i64[row:row+n], arrow.Int64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues()))[from:to], a, from)
	case *array.Float32:
		copyValues(c.f32[row:row+n], a.Float32Values()[from:to], a, from)
	case *array.Float64:
		copyValues(c.f64[row:row+n], a.Float64Values()[from:to], a, from)
	case *array.String:
		for i := from; i < to; i++ {
			if !nulls || a.IsValid(i) {
				c.data = append(c.data, a.Value(i)...)
			}
			c.off[row+i-from+1] = int32(len(c.data))
		}
	case *array.Binary:
		for i := from; i < to; i++ {
			if !nulls || a.IsValid(i) {
				c.data = append(c.data, a.Value(i)...)
			}
			c.off[row+i-from+1] = int32(len(c.data))
		}
	default:
		panic(fmt.Sprintf("decode: a column of type %s", a.DataType()))
	}
}

// copyValues copies values; nulls become zero, as the decoder has them.
func copyValues[T int32 | int64 | float32 | float64](dst, src []T, a arrow.Array, from int) {
	copy(dst, src)
	if a.NullN() > 0 {
		for i := range dst {
			if a.IsNull(from + i) {
				dst[i] = 0
			}
		}
	}
}
