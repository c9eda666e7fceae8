package offline

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/weir-ml/weir/internal/parquetfile"
	"github.com/weir-ml/weir/registry/feature"
)

// sheet is what a file should hold, cell by cell: values in plain encoding, nil for null.
type sheet struct {
	view   *feature.View
	cols   []Column
	groups []sheetGroup
}

type sheetGroup struct {
	rows  int
	data  []*columnData
	cells [][][]byte // by column and row
}

var sheetTypes = []feature.Type{feature.Bool, feature.Int32, feature.Int64, feature.Float32, feature.Float64, feature.String, feature.Bytes, feature.Timestamp}

// randomSheet makes a view with keys and features of any type, and rows in any
// order: nothing that the encoder says of a file may hang on how it is sorted.
func randomSheet(r *rand.Rand) *sheet {
	v := &feature.View{}
	v.Meta.Project, v.Meta.Name = "shop", "sheet"
	for i := range 1 + r.IntN(2) {
		t := []feature.Type{feature.Int64, feature.String, feature.Bool, feature.Int32, feature.Bytes, feature.Timestamp}[r.IntN(6)]
		v.Keys = append(v.Keys, feature.Field{Name: fmt.Sprint("k", i), Type: t})
	}
	for i := range 1 + r.IntN(10) {
		typ := sheetTypes[r.IntN(len(sheetTypes))]
		if r.IntN(3) == 0 {
			typ = feature.Array(typ)
		}
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprint("f", i), Type: typ})
	}
	return &sheet{view: v, cols: columnsWithIDs(v)}
}

func columnsWithIDs(v *feature.View) []Column {
	cols := ViewColumns(v)
	for i := range cols {
		if cols[i].ID = 3 * (i + 1); cols[i].Type.IsArray() {
			cols[i].Element = 1000 + i
		}
	}
	return cols
}

func (s *sheet) rows() (n int) {
	for _, g := range s.groups {
		n += g.rows
	}
	return n
}

// fill makes the row groups anew.
func (s *sheet) fill(r *rand.Rand, most int) {
	s.groups = nil
	for range r.IntN(4) {
		g := sheetGroup{rows: []int{1, 7, 8, 9, 64, 65, 1 + r.IntN(most), most}[r.IntN(8)]}
		for _, c := range s.cols {
			cells := randomCells(r, c, g.rows)
			g.cells, g.data = append(g.cells, cells), append(g.data, dataOf(r, c, cells))
		}
		s.groups = append(s.groups, g)
	}
}

// randomCells are a column's values, of one of the shapes that columns have.
func randomCells(r *rand.Rand, c Column, rows int) [][]byte {
	one := randomCell(r, c)
	few := make([][]byte, 1+r.IntN(300))
	for i := range few {
		few[i] = randomCell(r, c)
	}
	shape, at := r.IntN(6), r.Int64N(1<<40)
	nulls := []float64{0, 0, 0.01, 0.5, 0.999, 1}[r.IntN(6)]
	run, null := 0, false // nulls in a row, at times
	long := r.IntN(2) == 0
	cells := make([][]byte, rows)
	for i := range cells {
		if run--; run < 0 {
			null, run = r.Float64() < nulls, 0
			if long {
				run = r.IntN(200)
			}
		}
		if null && !c.Required {
			continue
		}
		switch shape {
		case 0:
			cells[i] = one
		case 1:
			cells[i] = few[r.IntN(len(few))]
		case 2: // runs
			cells[i] = few[i/50%len(few)]
		case 3: // ascending
			at += r.Int64N(100)
			cells[i] = numberCell(c, at)
		default:
			cells[i] = randomCell(r, c)
		}
	}
	return cells
}

func numberCell(c Column, x int64) []byte {
	switch {
	case c.Type.IsArray():
		cell := []byte{}
		for k := range x % 4 {
			cell = appendCell(cell, c.Type, numberCell(Column{Type: c.Type.Elem()}, x+k))
		}
		return cell
	case c.Fixed > 0:
		return append(binary.BigEndian.AppendUint64(nil, uint64(x)), make([]byte, 8)...)
	case c.Type == feature.Bool:
		return []byte{byte(x & 1)}
	case c.Type == feature.Int32:
		return binary.LittleEndian.AppendUint32(nil, uint32(x))
	case c.Type == feature.Float32:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(x)))
	case c.Type == feature.Float64:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(x)))
	case c.Type == feature.String || c.Type == feature.Bytes:
		return fmt.Appendf([]byte{}, "customer_%012d", x)
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(x))
}

// appendCell appends an element to an array.
func appendCell(cell []byte, t feature.Type, element []byte) []byte {
	if t.Elem().Variable() {
		return feature.AppendElementText(cell, element)
	}
	return append(cell, element...)
}

// entriesOf are the values that a file has for cells of a column: of an array each
// element, and one null where there is none.
func entriesOf(c Column, cells [][]byte) (Column, [][]byte) {
	if !c.Type.IsArray() {
		return c, cells
	}
	of := Column{Type: c.Type.Elem()}
	var all [][]byte
	for _, cell := range cells {
		var v feature.Vector
		if err := v.Unpack(c.Type, cell); err != nil {
			panic(err)
		}
		for i := range v.Valid {
			all = append(all, vectorCell(&v, i))
		}
		if len(v.Valid) == 0 {
			all = append(all, nil)
		}
	}
	return of, all
}

func randomCell(r *rand.Rand, c Column) []byte {
	switch {
	case c.Type.IsArray():
		cell := []byte{}
		for range []int{0, 0, 1, 2, 3, 5, 8, r.IntN(40)}[r.IntN(8)] {
			cell = appendCell(cell, c.Type, randomCell(r, Column{Type: c.Type.Elem()}))
		}
		return cell
	case c.Fixed > 0:
		return numberCell(c, r.Int64())
	case c.Type == feature.String:
		return []byte([]string{"", "a", "b", strings.Repeat("ü", 1+r.IntN(40)), fmt.Sprint("text ", r.IntN(100000)), "\U0010ffff", strings.Repeat("long ", r.IntN(800)),
			"\x00", "plan"}[r.IntN(9)])
	case c.Type == feature.Bytes:
		b := make([]byte, []int{0, 1, 3, 16, 17, 40, 300}[r.IntN(7)])
		fill := []int{256, 2, 1}[r.IntN(3)]
		for i := range b {
			b[i] = byte(255 - r.IntN(fill))
		}
		return b
	case c.Type == feature.Float32:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits([]float32{r.Float32(), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)),
			0, float32(math.Copysign(0, -1)), math.MaxFloat32, math.Float32frombits(0x7fc00001), r.Float32()}[r.IntN(9)]))
	case c.Type == feature.Float64:
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits([]float64{r.NormFloat64(), math.NaN(), math.Inf(1), math.Inf(-1),
			0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.Float64frombits(0xfff8000000000123), r.Float64()}[r.IntN(9)]))
	}
	return numberCell(c, []int64{r.Int64(), -r.Int64(), math.MinInt64, math.MaxInt64, math.MinInt32, math.MaxInt32, 0, -1, r.Int64N(1000)}[r.IntN(9)])
}

// dataOf is cells as the encoder takes them, in any of the ways.
func dataOf(r *rand.Rand, c Column, cells [][]byte) *columnData {
	d := &columnData{}
	if !c.Required && (slices.ContainsFunc(cells, func(b []byte) bool { return b == nil }) || r.IntN(2) == 0) {
		d.valid = make([]byte, len(cells))
	}
	numbered := c.Type.Variable() && r.IntN(2) == 0
	at := map[string]uint32{}
	if numbered {
		d.dict = [][]byte{[]byte("never used")}
	}
	for i, cell := range cells {
		if d.valid != nil && cell != nil {
			d.valid[i] = 1
		}
		var w [8]byte // of a null: anything
		if cell == nil {
			binary.LittleEndian.PutUint64(w[:], r.Uint64()&^0xff) // a boolean's byte is 0 or 1 even so
		}
		copy(w[:], cell)
		switch {
		case numbered && cell == nil:
			d.codes = append(d.codes, r.Uint32())
		case numbered:
			k, ok := at[string(cell)]
			if !ok || r.IntN(50) == 0 { // now and then a text has two numbers
				k = uint32(len(d.dict))
				d.dict = append(d.dict, cell)
				at[string(cell)] = k
			}
			d.codes = append(d.codes, k)
		case c.Type.Variable():
			d.text = append(d.text, cell...)
			d.ends = append(d.ends, uint32(len(d.text)))
		case c.Type == feature.Bool:
			d.bools = append(d.bools, w[0] == 1)
		case c.Type == feature.Int32:
			d.int32s = append(d.int32s, int32(binary.LittleEndian.Uint32(w[:])))
		case c.Type == feature.Float32:
			d.floats = append(d.floats, math.Float32frombits(binary.LittleEndian.Uint32(w[:])))
		case c.Type == feature.Float64:
			d.doubles = append(d.doubles, math.Float64frombits(binary.LittleEndian.Uint64(w[:])))
		default:
			d.int64s = append(d.int64s, int64(binary.LittleEndian.Uint64(w[:])))
		}
	}
	return d
}

// bounds are the least and the greatest of cells, NaN and null left out, as a
// reader of statistics may expect them: of zeros the outer one.
func cellBounds(c Column, cells [][]byte) (least, most []byte, values int) {
	c, cells = entriesOf(c, cells)
	for _, b := range cells {
		if b == nil {
			continue
		}
		values++
		if parquetfile.IsNaN(c.Type, b) {
			continue
		}
		if least == nil || parquetfile.Compare(c.Type, b, least) < 0 {
			least = b
		}
		if most == nil || parquetfile.Compare(c.Type, b, most) > 0 {
			most = b
		}
	}
	if least != nil && (c.Type == feature.Float32 || c.Type == feature.Float64) {
		zero := make([]byte, len(least))
		if parquetfile.Compare(c.Type, least, zero) == 0 {
			least = make([]byte, len(least))
			least[len(least)-1] = 0x80
		}
		if parquetfile.Compare(c.Type, most, zero) == 0 {
			most = zero
		}
	}
	return least, most, values
}
