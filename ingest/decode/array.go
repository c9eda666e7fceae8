package decode

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// putArray writes the array at node i, each element by the rules of a scalar of its
// type; a null is no element. False where it is none, or an element does not fit.
func (c *column) putArray(d *jsonscan.Doc, i uint32, row int) bool {
	if d.Nodes[i].Kind != jsonscan.Array {
		return false
	}
	var bad uint32
	c.data, bad = c.appendElements(c.data, d, i)
	c.off[row+1] = int32(len(c.data))
	return bad == 0
}

// appendElements appends the elements of the array at node i in their packed form, up
// to the first that does not fit, whose node it returns; 0 where all do.
func (c *column) appendElements(dst []byte, d *jsonscan.Doc, i uint32) (packed []byte, bad uint32) {
	// An element that holds others fits no type, so the next is the next node.
	end := d.Nodes[i].Next
	m := i + 1
	switch c.typ.Elem() {
	case feature.Float64:
		for ; m < end; m++ {
			if d.Nodes[m].Kind != jsonscan.Number {
				return dst, m
			}
			f, ok := d.Float64(m)
			if !ok {
				return dst, m
			}
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
		}
	case feature.Float32:
		for ; m < end; m++ {
			if d.Nodes[m].Kind != jsonscan.Number {
				return dst, m
			}
			f, ok := d.Float32(m)
			if !ok {
				return dst, m
			}
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
		}
	case feature.Int64:
		for ; m < end; m++ {
			v, ok := integer(d, m)
			if !ok {
				return dst, m
			}
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	case feature.Int32:
		for ; m < end; m++ {
			v, ok := integer(d, m)
			if !ok || v < math.MinInt32 || v > math.MaxInt32 {
				return dst, m
			}
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		}
	case feature.Bool:
		for ; m < end; m++ {
			k := d.Nodes[m].Kind
			if k != jsonscan.True && k != jsonscan.False {
				return dst, m
			}
			dst = feature.AppendElementBool(dst, k == jsonscan.True)
		}
	case feature.Timestamp:
		for ; m < end; m++ {
			v, ok := timestamp(d, m)
			if !ok {
				return dst, m
			}
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	case feature.String:
		for ; m < end; m++ {
			if d.Nodes[m].Kind != jsonscan.String {
				return dst, m
			}
			var text []byte
			text, c.text = d.Text(m, c.text)
			dst = feature.AppendElementText(dst, text)
		}
	case feature.Bytes:
		for ; m < end; m++ {
			if d.Nodes[m].Kind != jsonscan.String {
				return dst, m
			}
			text, _ := d.Text(m, nil) // nobody escapes anything in base64, so that may allocate
			var ok bool
			if c.text, ok = appendBase64(c.text[:0], text); !ok {
				return dst, m
			}
			dst = feature.AppendElementText(dst, c.text)
		}
	}
	return dst, 0
}

// arrayReason says why putArray refused the value at node i, naming the first element
// that does not fit.
func (c *column) arrayReason(d *jsonscan.Doc, i uint32, path string) feature.Reason {
	elem := c.typ.Elem()
	if d.Nodes[i].Kind != jsonscan.Array {
		return feature.Reason{Rule: feature.RuleDecode, Path: path, Value: feature.Shorten(d.AppendText(nil, i)),
			Expected: fmt.Sprintf("%s: a list, each of its elements %s", c.typ, wants[elem])}
	}
	_, bad := c.appendElements(nil, d, i)
	index := 0
	for m := i + 1; m < bad; m = d.Nodes[m].Next {
		index++
	}
	r := feature.Reason{Rule: feature.RuleDecode, Path: fmt.Sprintf("%s[%d]", path, index), Value: feature.Shorten(d.AppendText(nil, bad)),
		Expected: fmt.Sprintf("an element of %s: %s", c.typ, wants[elem])}
	if d.Nodes[bad].Kind == jsonscan.Null {
		r.Value, r.Expected = "null", fmt.Sprintf("an element of %s: %s; an element may not be null", c.typ, wants[elem])
	}
	return r
}
