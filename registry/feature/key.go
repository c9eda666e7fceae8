package feature

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Join keys in two forms. AppendKey makes bytes that compare (bytes.Compare) as
// the keys compare column by column: the order of the table's files and of the
// join. A bool is one byte; an integer is big-endian with its sign flipped; a
// timestamp is its int64; a string or bytes is escaped so that no key is the
// beginning of another:
//
//	("ab", int32 -1)   61 62 00 01 | 7f ff ff ff
//	("a\x00", ...)     61 00 ff 00 01 | ...

// AppendKey appends row i of the given key columns.
func AppendKey(dst []byte, cols []arrow.Array, i int) []byte {
	for _, c := range cols {
		switch c := c.(type) {
		case *array.Boolean:
			dst = AppendKeyBool(dst, c.Value(i))
		case *array.Int32:
			dst = AppendKeyInt32(dst, c.Value(i))
		case *array.Int64:
			dst = AppendKeyInt64(dst, c.Value(i))
		case *array.Timestamp:
			dst = AppendKeyInt64(dst, int64(c.Value(i)))
		case *array.String:
			dst = AppendKeyText(dst, c.Value(i))
		case *array.Binary:
			dst = AppendKeyText(dst, c.Value(i))
		default:
			panic("feature: " + c.DataType().String() + " is not a key type")
		}
	}
	return dst
}

func AppendKeyBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func AppendKeyInt32(dst []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(v)^1<<31)
}

func AppendKeyInt64(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^1<<63)
}

// AppendKeyText appends a string or bytes key, escaped and terminated.
func AppendKeyText[T string | []byte](dst []byte, v T) []byte {
	for i := 0; i < len(v); i++ {
		dst = append(dst, v[i])
		if v[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

// CutKey takes a value of type t off the beginning of a key, into row at of v, and
// returns the rest. The key has to be one that AppendKey makes of such types.
func CutKey(key []byte, t Type, v *Vector, at int) []byte {
	v.Valid[at] = true
	switch t {
	case Bool:
		v.Bools[at] = key[0] != 0
		return key[1:]
	case Int32:
		v.Int32s[at] = int32(binary.BigEndian.Uint32(key) ^ 1<<31)
		return key[4:]
	case Int64, Timestamp:
		v.Int64s[at] = int64(binary.BigEndian.Uint64(key) ^ 1<<63)
		return key[8:]
	}
	text := make([]byte, 0, max(len(key)-2, 0))
	for i := 0; ; i++ {
		if key[i] != 0 {
			text = append(text, key[i])
			continue
		}
		if i++; key[i] == 1 {
			v.Bytes[at] = text
			return key[i+1:]
		}
		text = append(text, 0)
	}
}

// KeyColumns returns the join-key columns of a batch.
func (b *Batch) KeyColumns() []arrow.Array {
	return b.Rows.Columns()[:len(b.View.Keys)]
}
