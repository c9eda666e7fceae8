package serving

import (
	"encoding/binary"

	"github.com/weir-ml/weir/registry/feature"
)

// Arrays are written from their packed form (feature.Array): lengths of the rows, and
// the elements of all rows as a scalar column has its values. Fixed elements stand in
// the packed form as protobuf has them, so they are copied. The online store has checked
// that what it gave is the packed form; of what is not, the part that can be read counts.

const (
	tagArrays   = 9<<3 | lengthType // of Values
	tagLengths  = 1<<3 | lengthType // of Arrays
	tagElements = 2<<3 | lengthType
)

// arraySize measures a column of arrays: the payload of the lengths, that of the
// elements (as packedSize has it), and the Values around both.
func arraySize(v *feature.Vector) (lengths, packed, values int) {
	for _, x := range v.Bytes {
		n, size := elementsSize(v.Type.Elem(), x)
		lengths += uvarintSize(uint64(n))
		packed += size
	}
	return lengths, packed, partSize(arraysSize(v.Type.Elem(), lengths, packed))
}

// arraysSize is the size of an Arrays.
func arraysSize(elem feature.Type, lengths, packed int) int {
	return optionalSize(lengths) + partSize(valuesSize(elem, packed))
}

// elementsSize is how many elements an array has, and how many bytes of a Values they take.
func elementsSize(elem feature.Type, packed []byte) (n, size int) {
	switch elem {
	case feature.Bool:
		return len(packed), len(packed)
	case feature.Float32:
		n = len(packed) / 4
		return n, 4 * n
	case feature.Float64, feature.Timestamp:
		n = len(packed) / 8
		return n, 8 * n
	case feature.Int32:
		for ; len(packed) >= 4; packed = packed[4:] {
			n, size = n+1, size+uvarintSize(uint64(int64(int32(binary.LittleEndian.Uint32(packed)))))
		}
	case feature.Int64:
		for ; len(packed) >= 8; packed = packed[8:] {
			n, size = n+1, size+uvarintSize(binary.LittleEndian.Uint64(packed))
		}
	default:
		for len(packed) > 0 {
			text, rest, err := feature.CutText(packed)
			if err != nil {
				break
			}
			n, size, packed = n+1, size+partSize(len(text)), rest
		}
	}
	return n, size
}

// appendArrays writes a Values of arrays.
func appendArrays(dst []byte, v *feature.Vector, lengths, packed int) []byte {
	elem := v.Type.Elem()
	dst = binary.AppendUvarint(append(dst, tagArrays), uint64(arraysSize(elem, lengths, packed)))
	if lengths > 0 {
		dst = binary.AppendUvarint(append(dst, tagLengths), uint64(lengths))
		for _, x := range v.Bytes {
			dst = binary.AppendUvarint(dst, uint64(elementCount(elem, x)))
		}
	}
	dst = binary.AppendUvarint(append(dst, tagElements), uint64(valuesSize(elem, packed)))
	dst = appendValuesHead(dst, elem, packed)
	for _, x := range v.Bytes {
		dst = appendElements(dst, elem, x)
	}
	return dst
}

func elementCount(elem feature.Type, packed []byte) int {
	switch elem {
	case feature.Int32:
		return len(packed) / 4
	case feature.Int64:
		return len(packed) / 8
	}
	n, _ := elementsSize(elem, packed)
	return n
}

// appendElements writes the elements of one array into the repeated field of a Values.
func appendElements(dst []byte, elem feature.Type, packed []byte) []byte {
	switch elem {
	case feature.Bool:
		for _, x := range packed {
			dst = append(dst, min(x, 1))
		}
	case feature.Float32:
		dst = append(dst, packed[:len(packed)&^3]...)
	case feature.Float64, feature.Timestamp:
		dst = append(dst, packed[:len(packed)&^7]...)
	case feature.Int32:
		for ; len(packed) >= 4; packed = packed[4:] {
			dst = binary.AppendUvarint(dst, uint64(int64(int32(binary.LittleEndian.Uint32(packed)))))
		}
	case feature.Int64:
		for ; len(packed) >= 8; packed = packed[8:] {
			dst = binary.AppendUvarint(dst, binary.LittleEndian.Uint64(packed))
		}
	default:
		for len(packed) > 0 {
			text, rest, err := feature.CutText(packed)
			if err != nil {
				break
			}
			dst = append(binary.AppendUvarint(append(dst, tagRepeated), uint64(len(text))), text...)
			packed = rest
		}
	}
	return dst
}
