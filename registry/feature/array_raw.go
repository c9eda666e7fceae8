package feature

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Numbers of four and eight bytes are packed as they stand in Arrow's memory, where that
// is little-endian: lists of them are copied, not taken apart.

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// rawWidth is the size of an element that is packed as it stands in memory, else 0.
func rawWidth(t Type) int {
	if w := t.Elem().width(); w > 1 && littleEndian {
		return w
	}
	return 0
}

// rawToLists is ToLists of arrays of numbers of so many bytes.
func rawToLists(t Type, packed *array.Binary, width int) (arrow.Array, error) {
	n := packed.Len()
	size := 0
	if n > 0 && packed.NullN() < n {
		size = len(packed.ValueBytes())
	}
	ends, raw := make([]int32, 1, n+1), make([]byte, 0, size)
	valid := make([]byte, (n+7)/8)
	for i := range n {
		if packed.IsValid(i) {
			v := packed.Value(i)
			if len(v)%width != 0 {
				return nil, fmt.Errorf("row %d: %w: %d bytes of %s", i, ErrPacked, len(v), t)
			}
			raw = append(raw, v...)
			valid[i>>3] |= 1 << (i & 7)
		}
		if len(raw)/width > math.MaxInt32 {
			return nil, errors.New("the arrays of a column have more than 2^31 elements")
		}
		ends = append(ends, int32(len(raw)/width))
	}
	elems := array.NewData(t.Elem().Arrow(), len(raw)/width, []*memory.Buffer{nil, memory.NewBufferBytes(raw)}, nil, 0, 0)
	defer elems.Release()
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(ends))}
	if packed.NullN() > 0 {
		buffers[0] = memory.NewBufferBytes(valid)
	}
	d := array.NewData(t.Exchange(), n, buffers, []arrow.ArrayData{elems}, packed.NullN(), 0)
	defer d.Release()
	return array.NewListData(d), nil
}

// rawElements is the memory of elements of so many bytes, none of them null, else nil.
func rawElements(elems arrow.Array, width int) []byte {
	d := elems.Data()
	if width == 0 || elems.NullN() > 0 || len(d.Buffers()) < 2 || d.Buffers()[1] == nil {
		return nil
	}
	raw := d.Buffers()[1].Bytes()
	if from, to := d.Offset()*width, (d.Offset()+d.Len())*width; to <= len(raw) {
		return raw[from:to]
	}
	return nil
}
