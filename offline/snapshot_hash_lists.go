package offline

import (
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// addLists adds lists whose elements are of a feature's type and not null.
func (c *hashColumn) addLists(lists *array.List) {
	if lists.NullN() == lists.Len() { // there may be no elements to look at
		for range lists.Len() {
			c.small(0)
		}
		return
	}
	add := c.elements(lists.ListValues())
	for i := range lists.Len() {
		if lists.IsNull(i) {
			c.small(0)
			continue
		}
		from, to := lists.ValueOffsets(i)
		c.small(binary.LittleEndian.AppendUint64([]byte{1}, uint64(to-from))...)
		if from < to {
			add(int(from), int(to))
		}
	}
}

// elements is what adds the values [from, to) of a column without nulls.
func (c *hashColumn) elements(a arrow.Array) func(from, to int) {
	switch a := a.(type) {
	case *array.Boolean:
		return func(from, to int) {
			for i := from; i < to; i++ {
				if a.Value(i) {
					c.small(1, 1)
				} else {
					c.small(1, 0)
				}
			}
		}
	case *array.Int32:
		return func(from, to int) { c.narrow(a, view[uint32](a.Int32Values()[from:to]), math.MaxUint32) }
	case *array.Float32:
		return func(from, to int) { c.narrow(a, view[uint32](a.Float32Values()[from:to]), infinite32) }
	case *array.Int64:
		return func(from, to int) { c.wide(a, view[uint64](a.Int64Values()[from:to]), math.MaxUint64) }
	case *array.Timestamp:
		return func(from, to int) { c.wide(a, view[uint64](a.TimestampValues()[from:to]), math.MaxUint64) }
	case *array.Float64:
		return func(from, to int) { c.wide(a, view[uint64](a.Float64Values()[from:to]), infinite64) }
	case *array.String:
		return func(from, to int) {
			for i := from; i < to; i++ {
				addText(c, false, a.Value(i))
			}
		}
	case *array.Binary:
		return func(from, to int) {
			for i := from; i < to; i++ {
				addText(c, false, a.Value(i))
			}
		}
	}
	panic("offline: no hash of lists of " + a.DataType().String())
}
