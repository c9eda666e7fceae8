package feature

import (
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// ToLists makes lists of arrays in their packed form: a column of t.Arrow() becomes one
// of t.Exchange(). The caller releases it.
func ToLists(t Type, packed *array.Binary) (arrow.Array, error) {
	if w := rawWidth(t); w > 0 {
		return rawToLists(t, packed, w)
	}
	var elems Vector
	b := array.NewListBuilderWithField(memory.DefaultAllocator, arrow.Field{Name: "item", Type: t.Elem().Arrow()})
	defer b.Release()
	b.Reserve(packed.Len())
	total := 0
	for i := range packed.Len() {
		if packed.IsNull(i) {
			b.AppendNull()
			continue
		}
		if err := elems.Unpack(t, packed.Value(i)); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
		if total += len(elems.Valid); total > math.MaxInt32 {
			return nil, errors.New("the arrays of a column have more than 2^31 elements")
		}
		b.Append(true)
		switch e := b.ValueBuilder().(type) {
		case *array.BooleanBuilder:
			e.AppendValues(elems.Bools, nil)
		case *array.Int32Builder:
			e.AppendValues(elems.Int32s, nil)
		case *array.Int64Builder:
			e.AppendValues(elems.Int64s, nil)
		case *array.TimestampBuilder:
			for _, x := range elems.Int64s {
				e.Append(arrow.Timestamp(x))
			}
		case *array.Float32Builder:
			e.AppendValues(elems.Float32, nil)
		case *array.Float64Builder:
			e.AppendValues(elems.Float64, nil)
		case *array.StringBuilder:
			for _, x := range elems.Bytes {
				e.BinaryBuilder.Append(x)
			}
		case *array.BinaryBuilder:
			for _, x := range elems.Bytes {
				e.Append(x)
			}
		default:
			return nil, fmt.Errorf("no list of %s", t.Elem())
		}
	}
	return b.NewListArray(), nil
}

// NullElementError is the error of a list with an element that is null.
type NullElementError struct{ Row, Element int }

func (e *NullElementError) Error() string {
	return fmt.Sprintf("element %d of the list in row %d is null, and an array's elements may not be", e.Element, e.Row)
}

var errTooLarge = errors.New("the arrays of a column take more than 2 GiB")

// FromLists makes packed arrays of type t of lists (array.List, LargeList,
// FixedSizeList, views) whose elements have exactly t.Elem().Arrow(). The caller releases it.
func FromLists(t Type, lists array.ListLike) (*array.Binary, error) {
	elems := lists.ListValues()
	if !arrow.TypeEqual(elems.DataType(), t.Elem().Arrow()) {
		return nil, fmt.Errorf("lists of %s are no %s", elems.DataType(), t)
	}
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer b.Release()
	b.Reserve(lists.Len())
	var dst []byte
	put := elementWriter(elems)
	width := rawWidth(t)
	raw := rawElements(elems, width)
	if n := lists.Len(); raw != nil && n > 0 && lists.NullN() < n {
		from, _ := lists.ValueOffsets(0)
		_, to := lists.ValueOffsets(n - 1)
		b.ReserveData(int(min(max(0, to-from)*int64(width), math.MaxInt32))) // less where they are views
	}
	total := 0
	for i := range lists.Len() {
		if lists.IsNull(i) {
			b.AppendNull()
			continue
		}
		dst = dst[:0]
		from, to := lists.ValueOffsets(i)
		if raw != nil {
			row := raw[from*int64(width) : to*int64(width)]
			if total += len(row); total > math.MaxInt32 {
				return nil, errTooLarge
			}
			b.Append(row)
			continue
		}
		for k := from; k < to; k++ {
			if elems.IsNull(int(k)) {
				return nil, &NullElementError{Row: i, Element: int(k - from)}
			}
			dst = put(dst, int(k))
		}
		if total += len(dst); total > math.MaxInt32 {
			return nil, errTooLarge
		}
		b.Append(dst)
	}
	return b.NewBinaryArray(), nil
}

func elementWriter(elems arrow.Array) func(dst []byte, i int) []byte {
	one := func(t Type, set func(v *Vector, i int)) func([]byte, int) []byte {
		var v Vector
		v.Reset(t, 1)
		return func(dst []byte, i int) []byte { set(&v, i); return AppendElement(dst, &v, 0) }
	}
	switch a := elems.(type) {
	case *array.Boolean:
		return func(dst []byte, i int) []byte { return AppendElementBool(dst, a.Value(i)) }
	case *array.Int32:
		return one(Int32, func(v *Vector, i int) { v.Int32s[0] = a.Value(i) })
	case *array.Int64:
		return one(Int64, func(v *Vector, i int) { v.Int64s[0] = a.Value(i) })
	case *array.Timestamp:
		return one(Timestamp, func(v *Vector, i int) { v.Int64s[0] = int64(a.Value(i)) })
	case *array.Float32:
		return one(Float32, func(v *Vector, i int) { v.Float32[0] = a.Value(i) })
	case *array.Float64:
		return one(Float64, func(v *Vector, i int) { v.Float64[0] = a.Value(i) })
	case *array.String:
		return func(dst []byte, i int) []byte { return AppendElementText(dst, a.Value(i)) }
	case *array.Binary:
		return func(dst []byte, i int) []byte { return AppendElementText(dst, a.Value(i)) }
	}
	panic("feature: no element of " + elems.DataType().String())
}
