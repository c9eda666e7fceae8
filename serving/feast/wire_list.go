package feast

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// Arrays are the lists of feast.types.Value, each in a message of its own around one
// repeated field: packed numbers, or a field for each text. They are written from the
// packed form (feature.Array); numbers with a fixed size stand in it as they do on the wire.

// listField is the field of Value for lists of a type: that of the scalar and ten more.
func listField(elem feature.Type) uint64 { return uint64(valueTags[elem]>>3) + 10 }

// listTag is a tag of one byte or two.
func listTag(elem feature.Type) uint64 { return listField(elem)<<3 | uint64(protowire.BytesType) }

// listSizes are how long a list is: what the repeated field has in it (of texts with their
// tags), the list's message, and the Value around it.
func listSizes(elem feature.Type, packed []byte) (content, list, value int) {
	switch elem {
	case feature.Bool:
		content = len(packed)
	case feature.Float32:
		content = len(packed) &^ 3
	case feature.Float64:
		content = len(packed) &^ 7
	case feature.Int32:
		for ; len(packed) >= 4; packed = packed[4:] {
			content += protowire.SizeVarint(uint64(int64(int32(binary.LittleEndian.Uint32(packed)))))
		}
	case feature.Int64, feature.Timestamp:
		for ; len(packed) >= 8; packed = packed[8:] {
			content += protowire.SizeVarint(wholeElement(elem, packed))
		}
	default:
		for len(packed) > 0 {
			text, rest, err := feature.CutText(packed)
			if err != nil {
				break
			}
			content, packed = content+sized(len(text)), rest
		}
	}
	if list = content; content > 0 && elem != feature.String && elem != feature.Bytes {
		list = sized(content)
	}
	return content, list, protowire.SizeVarint(listTag(elem)) + protowire.SizeBytes(list)
}

// wholeElement is the first element of packed int64s or timestamps as Feast has it.
func wholeElement(elem feature.Type, packed []byte) uint64 {
	x := binary.LittleEndian.Uint64(packed)
	if elem == feature.Timestamp {
		s, _ := seconds(int64(x))
		return uint64(s)
	}
	return x
}

// appendList writes an entry of the values: a Value with a list in it.
func appendList(b []byte, elem feature.Type, packed []byte) []byte {
	content, list, value := listSizes(elem, packed)
	b = protowire.AppendVarint(appendLen(b, tag1, value), listTag(elem))
	b = protowire.AppendVarint(b, uint64(list))
	if content == 0 {
		return b
	}
	if elem != feature.String && elem != feature.Bytes {
		b = appendLen(b, tag1, content)
	}
	switch elem {
	case feature.Bool:
		for _, x := range packed {
			b = append(b, min(x, 1))
		}
	case feature.Float32, feature.Float64:
		b = append(b, packed[:content]...)
	case feature.Int32:
		for ; len(packed) >= 4; packed = packed[4:] {
			b = protowire.AppendVarint(b, uint64(int64(int32(binary.LittleEndian.Uint32(packed)))))
		}
	case feature.Int64, feature.Timestamp:
		for ; len(packed) >= 8; packed = packed[8:] {
			b = protowire.AppendVarint(b, wholeElement(elem, packed))
		}
	default:
		for len(packed) > 0 {
			text, rest, err := feature.CutText(packed)
			if err != nil {
				break
			}
			b, packed = append(appendLen(b, tag1, len(text)), text...), rest
		}
	}
	return b
}

// sizeOfLists is what a column of arrays takes.
func sizeOfLists(v *feature.Vector) (n int) {
	for i, ok := range v.Valid {
		if !ok {
			n += 2
			continue
		}
		_, _, value := listSizes(v.Type.Elem(), v.Bytes[i])
		n += sized(value)
	}
	return n
}

func appendLists(b []byte, v *feature.Vector) []byte {
	for i, ok := range v.Valid {
		if ok {
			b = appendList(b, v.Type.Elem(), v.Bytes[i])
		} else {
			b = append(b, tag1, 0)
		}
	}
	return b
}
