package expect

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// Texts of a table may come as places in a dictionary of them, as files have texts of
// a few kinds. A rule then looks at each kind once and not at each row.

// plainOf is the type of the values where t is that of places (int32) in a dictionary
// of texts; else t.
func plainOf(t arrow.DataType) arrow.DataType {
	d, ok := t.(*arrow.DictionaryType)
	if ok && d.IndexType.ID() == arrow.INT32 && feature.Type.Variable(typeOf(d.ValueType)) {
		return d.ValueType
	}
	return t
}

// setCodes aliases the places and the dictionary. No place is outside of it, not
// even that of a row without a value, but where all rows are such.
func (c *column) setCodes(d *array.Dictionary) {
	c.codes = d.Indices().(*array.Int32).Int32Values()
	texts := d.Dictionary().Data()
	c.off = arrow.Int32Traits.CastFromBytes(texts.Buffers()[1].Bytes())[texts.Offset() : texts.Offset()+texts.Len()+1]
	c.data = ""
	if b := texts.Buffers()[2]; b != nil {
		c.data = textOf(b.Bytes())
	}
}

// codedLoop fails the strings that ok refuses.
func (c *column) codedLoop(ok func(string) bool, fail validate.Bitmap) {
	kinds := len(c.off) - 1
	if kinds > len(c.codes) { // most are asked for once or never
		for w := range fail {
			var bad uint64
			for j, k := range chunk(c.codes, w) {
				if !ok(c.data[c.off[k]:c.off[k+1]]) {
					bad |= 1 << (j & 63)
				}
			}
			fail[w] = bad
		}
		return
	}
	if cap(c.refused) < kinds {
		c.refused = make([]uint8, kinds)
	}
	refused, any := c.refused[:kinds], false
	for k := range refused {
		refused[k] = 0
		if !ok(c.data[c.off[k]:c.off[k+1]]) {
			refused[k], any = 1, true
		}
	}
	if !any {
		return // fail is empty
	}
	for w := range fail {
		var bad uint64
		for j, k := range chunk(c.codes, w) {
			bad |= uint64(refused[k]) << (j & 63)
		}
		fail[w] = bad
	}
}
