package tabular

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// arrayType is the feature type of lists of elem, if they are an array: nested
// lists, structs and maps are not.
func arrayType(elem arrow.DataType) (feature.Type, bool) {
	switch elem := elem.(type) {
	case arrow.NestedType, *arrow.NullType:
		return feature.InvalidType, false
	case arrow.ExtensionType:
		return arrayType(elem.StorageType())
	}
	t, _ := TypeOf(elem)
	return feature.Array(t), true
}

// Lists returns a column as lists of the elements of array type t, of type
// t.Exchange(): the same values or an error, as Convert. An element that is null is
// an error. The caller releases the result.
func Lists(c arrow.Array, t feature.Type) (*array.List, error) { return lists(c, t, false) }

// lists is Lists; loose ones may have elements that are null, for who judges each
// row on its own.
func lists(c arrow.Array, t feature.Type, loose bool) (*array.List, error) {
	if l := sameElements(c, t); l != nil {
		return l, nil
	}
	col := newColumn("", t)
	defer col.b.Release()
	col.loose = loose
	if err := col.convert(c); err != nil {
		return nil, err
	}
	return col.b.NewArray().(*array.List), nil
}

// exchange is a column as it goes from file to file: Lists of an array, else Convert.
func exchange(c arrow.Array, t feature.Type, loose bool) (arrow.Array, error) {
	if t.IsArray() {
		l, err := lists(c, t, loose)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	return Convert(c, t)
}

// pack is Lists in their packed form.
func pack(c arrow.Array, t feature.Type) (arrow.Array, error) {
	l, err := Lists(c, t)
	if err != nil {
		return nil, err
	}
	defer l.Release()
	b, err := feature.FromLists(t, l)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// sameElements makes lists of lists whose elements are of the type already and
// follow one another without nulls: the elements are shared. Else nil.
func sameElements(c arrow.Array, t feature.Type) *array.List {
	var lists array.ListLike
	switch c := c.(type) {
	case *array.List:
		lists = c
	case *array.LargeList:
		lists = c
	case *array.FixedSizeList:
		lists = c
	default:
		return nil
	}
	elems := lists.ListValues()
	if !arrow.TypeEqual(elems.DataType(), t.Elem().Arrow()) || c.NullN() == c.Len() { // there may be no offsets to look at
		return nil
	}
	from, _ := lists.ValueOffsets(0)
	_, to := lists.ValueOffsets(c.Len() - 1)
	if from < 0 || to < from || to > int64(elems.Len()) || to-from > math.MaxInt32 {
		return nil
	}
	part := array.NewSlice(elems, from, to)
	defer part.Release()
	if part.NullN() > 0 {
		return nil
	}
	ends := make([]int32, 1, c.Len()+1)
	for i := range c.Len() {
		_, end := lists.ValueOffsets(i)
		if end -= from; end < int64(ends[i]) || end > to-from {
			return nil
		}
		ends = append(ends, int32(end))
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(ends))}
	if c.NullN() > 0 {
		buffers[0] = memory.NewBufferBytes(validity(c))
	}
	d := array.NewData(t.Exchange(), c.Len(), buffers, []arrow.ArrayData{part.Data()}, c.NullN(), 0)
	defer d.Release()
	return array.NewListData(d)
}

// list appends the elements [from, to) of a list, that put appends to c.elem; false
// where one does not fit, of which c.why tells.
func (c *column) list(elems arrow.Array, from, to int64, put func(i int) bool) bool {
	b, ok := c.b.(*array.ListBuilder)
	if !ok || from < 0 || to < from || to > int64(elems.Len()) {
		return false
	}
	if int64(c.elem.b.Len())+to-from > math.MaxInt32 {
		c.why = "the lists of some rows have more than 2^31 elements together"
		return false
	}
	b.Append(true)
	for i := from; i < to; i++ {
		nulls := c.elem.b.NullN()
		switch {
		case elems.IsNull(int(i)):
			c.elem.b.AppendNull()
		case !put(int(i)):
			c.why = fmt.Sprintf("element [%d], %q, is not %s", i-from, valueText(elems, int(i)), a(c.elem.typ))
			return false
		}
		if c.elem.b.NullN() > nulls && !c.loose { // also by way of a dictionary
			c.why = nullElement(i - from)
			return false
		}
	}
	return true
}

func nullElement(i int64) string {
	return fmt.Sprintf("element [%d] is null, and an array's elements may not be", i)
}

// jsonText appends an array that is written as JSON; false where it does not fit.
func (c *column) jsonText(v []byte) bool {
	if !json.Valid(v) || v[skipSpace(v, 0)] != '[' {
		return false
	}
	return c.jsonList(v[skipSpace(v, 0):])
}

// jsonList appends a valid JSON array.
func (c *column) jsonList(v []byte) bool {
	c.b.(*array.ListBuilder).Append(true)
	n := int64(-1)
	return eachElement(v, func(e []byte) bool {
		n++
		switch {
		case e[0] == 'n' && !c.loose:
			c.why = nullElement(n)
			return false
		case !c.elem.json(e):
			c.why = fmt.Sprintf("element [%d], %q, is not %s", n, feature.Shorten(e), a(c.elem.typ))
			return false
		}
		return true
	})
}

// eachElement calls f for the elements of a valid JSON array until it says false.
func eachElement(v []byte, f func(e []byte) bool) bool {
	p := 1
	for {
		p = skipSpace(v, p)
		switch v[p] {
		case ']':
			return true
		case ',':
			p++
			continue
		}
		end := skipValue(v, p)
		if !f(v[p:end]) {
			return false
		}
		p = end
	}
}

// listCell writes lists as JSON arrays; nil where the elements are none of a feature's.
func listCell(c *array.List, stamp func(dst []byte, micros int64) []byte) cell {
	elems := c.ListValues()
	if _, exact := TypeOf(elems.DataType()); !exact || elems.DataType().ID() == arrow.LIST {
		return nil
	}
	put := jsonCell(elems, stamp)
	return func(dst []byte, i int) []byte {
		dst = append(dst, '[')
		from, to := c.ValueOffsets(i)
		for k := from; k < to; k++ {
			if k > from {
				dst = append(dst, ',')
			}
			dst = put(dst, int(k))
		}
		return append(dst, ']')
	}
}
