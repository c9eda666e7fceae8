package feature

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
)

// Arrays. A feature may be an array of any of the other types; an element is never
// null. Inside of Weir (batches, vectors, cells) an array is one value of variable
// length, its packed form: the elements one after the other, bool 1 byte, int32 and
// float32 4, int64, float64 and timestamp 8, little-endian; a string or bytes as its
// length as a uvarint, then its bytes. An empty array is no bytes at all, and not null.
//
// So whatever carries bytes carries arrays, and what the world sees (lists in
// Parquet, Arrow, JSON, protobuf) is made at the edges alone.

const arrayOf Type = 64

// Array is the type of arrays of elem.
func Array(elem Type) Type { return arrayOf + elem }

// IsArray reports whether t is the type of arrays.
func (t Type) IsArray() bool { return t > arrayOf && t <= arrayOf+Timestamp }

// Elem is the type of an array's elements.
func (t Type) Elem() Type { return t - arrayOf }

// Variable reports whether values are of any length and stand in Vector.Bytes:
// strings, bytes and arrays.
func (t Type) Variable() bool { return t == String || t == Bytes || t.IsArray() }

// Known reports whether t is a type at all.
func (t Type) Known() bool { return t > InvalidType && t <= Timestamp || t.IsArray() }

// width is the size of an element in the packed form, 0 for texts.
func (t Type) width() int {
	switch t {
	case Bool:
		return 1
	case Int32, Float32:
		return 4
	case Int64, Float64, Timestamp:
		return 8
	}
	return 0
}

// Exchange returns the Arrow type that columns of this type have outside of Weir
// (files, Flight): a list of its elements for an array, else that of Arrow.
func (t Type) Exchange() arrow.DataType {
	if t.IsArray() {
		return arrow.ListOfNonNullable(t.Elem().Arrow())
	}
	return t.Arrow()
}

// ErrPacked is the error of bytes that are not the packed form of an array.
var ErrPacked = errors.New("not the packed form of an array")

// Elements is how many elements an array of type t in its packed form has.
func Elements(t Type, packed []byte) (n int, err error) {
	if w := t.Elem().width(); w > 0 {
		if len(packed)%w != 0 {
			return 0, fmt.Errorf("%w: %d bytes of %s", ErrPacked, len(packed), t)
		}
		return len(packed) / w, nil
	}
	for len(packed) > 0 {
		if _, packed, err = CutText(packed); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// CutText takes the first element off a packed array of texts that is not empty. It aliases packed.
func CutText(packed []byte) (text, rest []byte, err error) {
	size, used := binary.Uvarint(packed)
	if used <= 0 || size > uint64(len(packed)-used) {
		return nil, nil, fmt.Errorf("%w: an element runs over the end", ErrPacked)
	}
	end := used + int(size)
	return packed[used:end:end], packed[end:], nil
}

// Unpack makes v the elements of an array of type t, a row each, all valid. Texts
// alias packed.
func (v *Vector) Unpack(t Type, packed []byte) error {
	n, err := Elements(t, packed)
	if err != nil {
		return err
	}
	v.Reset(t.Elem(), n)
	for i := range v.Valid {
		v.Valid[i] = true
	}
	switch t.Elem() {
	case Bool:
		for i, b := range packed {
			v.Bools[i] = b != 0
		}
	case Int32:
		for i := range v.Int32s {
			v.Int32s[i] = int32(binary.LittleEndian.Uint32(packed[4*i:]))
		}
	case Int64, Timestamp:
		for i := range v.Int64s {
			v.Int64s[i] = int64(binary.LittleEndian.Uint64(packed[8*i:]))
		}
	case Float32:
		for i := range v.Float32 {
			v.Float32[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[4*i:]))
		}
	case Float64:
		for i := range v.Float64 {
			v.Float64[i] = math.Float64frombits(binary.LittleEndian.Uint64(packed[8*i:]))
		}
	default:
		for i := range v.Bytes {
			if v.Bytes[i], packed, err = CutText(packed); err != nil {
				return err
			}
		}
	}
	return nil
}

// AppendElement appends row i of v to the packed form of an array of v's type.
func AppendElement(dst []byte, v *Vector, i int) []byte {
	switch v.Type {
	case Bool:
		return AppendElementBool(dst, v.Bools[i])
	case Int32:
		return binary.LittleEndian.AppendUint32(dst, uint32(v.Int32s[i]))
	case Int64, Timestamp:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.Int64s[i]))
	case Float32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v.Float32[i]))
	case Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Float64[i]))
	}
	return AppendElementText(dst, v.Bytes[i])
}

// AppendElementBool appends a bool to a packed array.
func AppendElementBool(dst []byte, x bool) []byte {
	if x {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendElementText appends a string or bytes to a packed array.
func AppendElementText[T string | []byte](dst []byte, x T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(x))), x...)
}
