package online

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// projection says how cells of one schema become columns of an answer. Compiled
// once for a plan and each schema that its values turn out to have.
type projection struct {
	schema *Schema
	bits   int // bytes of the not-null bits
	size   int // bits and fixed cells: no value of the schema is shorter
	fixed  []pick
	text   []pick // by schema position
	last   int    // text cells to walk; 0 when none is wanted
	order  []int  // feature positions of the schema's text cells
}

// pick is one wanted feature.
type pick struct {
	bit  int // the feature's position in the schema
	at   int // offset of a fixed cell from the not-null bits on
	from feature.Type
	to   int // column of the block
}

// project finds the wanted features in a schema, by what their values are kept
// under: a renamed feature is found in the cells from before. What the schema does
// not have reads null; so does a feature whose type is neither the cells' nor
// wider, nor narrower: those are of a newer view than the reader's.
func project(s *Schema, view *feature.View, want []want) *projection {
	p := &projection{schema: s, bits: (len(s.Fields) + 7) / 8}
	p.size = p.bits
	for i, f := range s.Fields {
		w := width(f.Type)
		textIndex := len(p.order)
		if w == 0 {
			p.order = append(p.order, i)
		}
		for _, x := range want {
			if g := view.Features[x.feature]; g.Stored() == f.Name && (f.Type.Widens(g.Type) || g.Type.Widens(f.Type)) {
				k := pick{bit: i, at: p.size, from: f.Type, to: x.column}
				if w == 0 {
					k.at = textIndex
					p.text, p.last = append(p.text, k), textIndex+1
				} else {
					p.fixed = append(p.fixed, k)
				}
			}
		}
		p.size += w
	}
	return p
}

// want is one feature of a view that a column of the block shows.
type want struct{ feature, column int }

// decode fills one row of the wanted columns. Texts alias cells.
func (p *projection) decode(cells []byte, cols []feature.BlockColumn, row int) error {
	if len(cells) < p.size {
		return fmt.Errorf("%w: %d bytes of cells where schema %08x has %d", errCells, len(cells), p.schema.ID, p.size)
	}
	for i := range p.fixed {
		k := &p.fixed[i]
		if cells[k.bit>>3]&(1<<(k.bit&7)) == 0 {
			continue
		}
		c := &cols[k.to].Vector
		c.Valid[row] = true
		b := cells[k.at:]
		switch c.Type {
		case feature.Bool:
			c.Bools[row] = b[0] != 0
		case feature.Int32:
			c.Int32s[row] = int32(binary.LittleEndian.Uint32(b))
			// The low half of a number that fits is that number.
			if x := int64(c.Int32s[row]); k.from == feature.Int64 && x != int64(binary.LittleEndian.Uint64(b)) {
				return fmt.Errorf("%w: feature %s does not fit in %s, which a newer version of the view has widened", errCells, p.schema.Fields[k.bit].Name, c.Type)
			}
		case feature.Int64, feature.Timestamp:
			if k.from == feature.Int32 {
				c.Int64s[row] = int64(int32(binary.LittleEndian.Uint32(b)))
			} else {
				c.Int64s[row] = int64(binary.LittleEndian.Uint64(b))
			}
		case feature.Float32:
			if k.from == feature.Float64 {
				c.Float32[row] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
			} else {
				c.Float32[row] = math.Float32frombits(binary.LittleEndian.Uint32(b))
			}
		case feature.Float64:
			if k.from == feature.Float32 {
				c.Float64[row] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
			} else {
				c.Float64[row] = math.Float64frombits(binary.LittleEndian.Uint64(b))
			}
		}
	}
	if p.last == 0 {
		return nil
	}
	rest, next := cells[p.size:], 0
	for t, bit := range p.order[:p.last] {
		if cells[bit>>3]&(1<<(bit&7)) == 0 {
			for next < len(p.text) && p.text[next].at == t {
				next++
			}
			continue
		}
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) {
			return fmt.Errorf("%w: a text of schema %08x runs over the end", errCells, p.schema.ID)
		}
		v := rest[used : used+int(n) : used+int(n)]
		rest = rest[used+int(n):]
		for next < len(p.text) && p.text[next].at == t {
			c := &cols[p.text[next].to].Vector
			if c.Type.IsArray() { // so that whoever writes an answer may rely on it
				if _, err := feature.Elements(c.Type, v); err != nil {
					return fmt.Errorf("%w: feature %s: %w", errCells, p.schema.Fields[bit].Name, err)
				}
			}
			c.Valid[row], c.Bytes[row] = true, v
			next++
		}
	}
	return nil
}

// clearRow makes one row of the columns invalid again, after a decode that stopped halfway.
func (p *projection) clearRow(cols []feature.BlockColumn, row int) {
	for _, picks := range [][]pick{p.fixed, p.text} {
		for _, k := range picks {
			v := &cols[k.to].Vector
			v.Valid[row] = false
			if v.Bytes != nil && v.Type.Variable() {
				v.Bytes[row] = nil
			}
		}
	}
}
