package tabular

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
)

// plainName reports whether a column's name is a member of an event by itself:
// without dots, which would go down into an object, and UTF-8.
func plainName(name string) bool { return !strings.Contains(name, ".") && utf8.ValidString(name) }

const (
	csvChunkRows  = 8192
	csvChunkBytes = 8 << 20
)

// csvColumns makes columns of CSV records. What a record's values become is
// csvRows' to say; a value whose meaning is not plain puts its row in doubt.
type csvColumns struct {
	rows  *csvRows
	sep   byte
	cols  []csvColumn
	width int // bytes of a row in the chunk before
}

// csvColumn is one column under construction.
type csvColumn struct {
	kind  csvKind
	valid []byte
	nulls int
	ints  []int64
	reals []float64
	long  []bool // nil until one is
	bits  []byte
	off   []int32
	data  []byte
}

type csvKind uint8

const (
	csvText  csvKind = iota
	csvStamp         // a text, where it is not a number
	csvInt
	csvFloat
	csvBool
)

func (c *Columns) openCSV(o RowOptions) (bool, error) {
	r, err := newCSVRows(c.src, o)
	if err != nil {
		return false, err
	}
	x := &csvColumns{rows: r, sep: separator(c.src.path, o.Separator)}
	for _, n := range r.names {
		if !plainName(n) || o.Types[n].IsArray() {
			return false, nil
		}
		kind, t := csvText, feature.String
		switch o.Types[n] {
		case feature.Int32, feature.Int64:
			kind, t = csvInt, feature.Int64
		case feature.Float32, feature.Float64:
			kind, t = csvFloat, feature.Float64
		case feature.Bool:
			kind, t = csvBool, feature.Bool
		case feature.Timestamp:
			kind = csvStamp
		}
		x.cols = append(x.cols, csvColumn{kind: kind})
		c.Names, c.Types = append(c.Names, n), append(c.Types, t.Arrow())
	}
	c.impl = x
	return true, nil
}

func (c *csvColumns) next() (*Chunk, error) {
	sc := c.rows.sc
	k := &Chunk{}
	raw := make([]byte, 0, c.width*csvChunkRows*17/16)
	ends, broken := make([]int, 0, csvChunkRows), map[int]bool{}
	k.Doubt = make([]bool, 0, csvChunkRows)
	for i := range c.cols {
		c.cols[i].begin()
	}
	for len(ends) < csvChunkRows && len(raw) < csvChunkBytes && sc.scan() {
		raw = append(raw, sc.raw...)
		row := len(ends)
		ends = append(ends, len(raw))
		sound := sc.bad == nil && len(sc.fields) == len(c.cols)
		doubt := !sound
		if !sound {
			broken[row] = true
		}
		for i := range c.cols {
			col := &c.cols[i]
			if !sound || c.rows.nulls.has(sc.fields[i]) {
				col.null(row)
			} else if !col.put(row, sc.fields[i]) {
				doubt = true
			}
		}
		k.Doubt = append(k.Doubt, doubt)
	}
	if sc.err != nil {
		return nil, fileError(c.rows.path, sc.err)
	}
	n := len(ends)
	if n == 0 {
		return nil, io.EOF
	}
	c.width = len(raw) / n
	for i := range c.cols {
		col := &c.cols[i]
		k.Values = append(k.Values, col.array(n))
		if col.long != nil && k.Long == nil {
			k.Long = make([][]bool, len(c.cols))
		}
		if col.long != nil {
			k.Long[i] = col.long[:n]
		}
	}
	k.json = func(i int) []byte {
		from := 0
		if i > 0 {
			from = ends[i-1]
		}
		line := raw[from:ends[i]:ends[i]]
		if broken[i] {
			return append([]byte{}, line...)
		}
		// One line end was cut off; another at the end of a value was not.
		again := csvScanner{comma: c.sep, buf: append(append([]byte{}, line...), "\r\n"...), w: len(line) + 2, eof: true}
		again.scan()
		return c.rows.event(nil, again.fields)
	}
	return k, nil
}

func (c *csvColumns) close() {}

func (c *csvColumn) begin() {
	c.valid, c.nulls, c.long = make([]byte, csvChunkRows/8), 0, nil
	switch c.kind {
	case csvInt:
		c.ints = make([]int64, csvChunkRows)
	case csvFloat:
		c.reals = make([]float64, csvChunkRows)
	case csvBool:
		c.bits = make([]byte, csvChunkRows/8)
	default:
		c.off = make([]int32, csvChunkRows+1)
		c.data = make([]byte, 0, cap(c.data))
	}
}

func (c *csvColumn) null(row int) {
	c.nulls++
	if c.off != nil {
		c.off[row+1] = int32(len(c.data))
	}
}

// put takes a value; false where the column cannot tell what it is.
func (c *csvColumn) put(row int, f []byte) bool {
	c.valid[row>>3] |= 1 << (row & 7)
	switch c.kind {
	case csvInt:
		v, ok := plainInt(f)
		c.ints[row] = v
		return ok
	case csvFloat:
		v, ok := shortFloat(f)
		if !ok {
			if len(f) > 32 || !jsonNumber(f) {
				return false
			}
			if v, ok = parseFloat(f, 64); !ok {
				return false
			}
			if c.long == nil {
				c.long = make([]bool, csvChunkRows)
			}
			c.long[row] = true
		}
		c.reals[row] = v
		return true
	case csvBool:
		switch string(f) {
		case "true", "True", "TRUE":
			c.bits[row>>3] |= 1 << (row & 7)
			return true
		case "false", "False", "FALSE":
			return true
		}
		return false
	}
	c.data = append(c.data, f...)
	c.off[row+1] = int32(len(c.data))
	return c.kind == csvText || len(f) >= 10 && f[4] == '-' && f[7] == '-' // no number has it there twice
}

func (c *csvColumn) array(n int) arrow.Array {
	switch c.kind {
	case csvInt:
		return newArray(feature.Int64, n, c.valid, c.nulls, arrow.Int64Traits.CastToBytes(c.ints))
	case csvFloat:
		return newArray(feature.Float64, n, c.valid, c.nulls, arrow.Float64Traits.CastToBytes(c.reals))
	case csvBool:
		return newArray(feature.Bool, n, c.valid, c.nulls, c.bits)
	}
	return newArray(feature.String, n, c.valid, c.nulls, arrow.Int32Traits.CastToBytes(c.off), c.data)
}

// plainInt reads a whole number as JSON writes the usual ones: digits without a
// leading zero, at most 18 of them.
func plainInt(f []byte) (int64, bool) {
	neg := len(f) > 0 && f[0] == '-'
	if neg {
		f = f[1:]
	}
	if len(f) == 0 || len(f) > 18 || f[0] == '0' && (len(f) > 1 || neg) {
		return 0, false
	}
	var v int64
	for _, c := range f {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + int64(d)
	}
	if neg {
		v = -v
	}
	return v, true
}

var tens = [16]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// shortFloat reads a number of at most 15 digits without exponent, as JSON
// writes it. Number and power of ten are floats without loss, so that one division
// gives the nearest float.
func shortFloat(f []byte) (float64, bool) {
	neg := len(f) > 0 && f[0] == '-'
	if neg {
		f = f[1:]
	}
	if len(f) == 0 || len(f) > 16 || f[0] == '0' && len(f) > 1 && f[1] != '.' {
		return 0, false
	}
	var m int64
	point := -1
	for i, c := range f {
		d := c - '0'
		if d > 9 {
			if c != '.' || point >= 0 || i == 0 || i+1 == len(f) {
				return 0, false
			}
			point = i
			continue
		}
		m = m*10 + int64(d)
	}
	v := float64(m)
	switch {
	case point >= 0:
		v /= tens[len(f)-1-point]
	case len(f) > 15:
		return 0, false
	}
	if neg {
		v = -v
	}
	return v, true
}
