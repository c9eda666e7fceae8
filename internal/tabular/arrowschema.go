package tabular

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// A Parquet file may carry the Arrow schema that it was written from, as a message of
// Arrow's stream format in base64. arrow-go takes the lengths in there as they are and makes
// room for them: a few damaged bytes ask for gigabytes, which no recover helps against. So
// they are looked at first. Every length has to fit into what there is.

const arrowSchemaKey = "ARROW:schema"

var errArrowSchema = errors.New("the Arrow schema in the file's footer is damaged")

// soundArrowSchema refuses a schema with lengths that cannot be. What else may be wrong
// with it arrow-go finds.
func soundArrowSchema(meta metadata.KeyValueMetadata) (err error) {
	if meta == nil {
		return nil
	}
	text := meta.FindValue(arrowSchemaKey)
	if text == nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	if err != nil || len(b) == 0 {
		if b, err = base64.RawStdEncoding.DecodeString(*text); err != nil {
			return fmt.Errorf("%w: %w", errArrowSchema, err)
		}
	}
	defer func() {
		if recover() != nil { // an offset that points outside
			err = errArrowSchema
		}
	}()
	s := flatSchema{left: 16 * len(b)}
	if !s.message(b) {
		return errArrowSchema
	}
	return nil
}

// flatSchema walks a schema's flatbuffer: tables whose fields are found by way of a
// table of offsets, where a field that is not set has the offset 0. Offsets outside of it panic.
type flatSchema struct {
	b    []byte
	left int // elements and bytes of text that may still come: a sound schema refers to few of them twice
}

// Places of fields in the tables of Arrow's Message.fbs and Schema.fbs.
const (
	messageHeader, messageBody          = 2, 3
	schemaFields, schemaMetadata        = 1, 2
	fieldName, fieldTypeKind, fieldType = 0, 2, 3
	fieldChildren, fieldKV              = 5, 6
	unionKind, unionTypeIDs             = 14, 1
)

func (s *flatSchema) message(b []byte) bool {
	length := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if length == continued { // since Arrow 0.15
		length = binary.LittleEndian.Uint32(b)
		b = b[4:]
	}
	if length < 4 || int64(length) > int64(len(b)) {
		return false
	}
	s.b = b[:length:length]
	root := s.follow(0)
	if at := s.field(root, messageBody); at > 0 && binary.LittleEndian.Uint64(s.b[at:]) > uint64(len(b)-int(length)) {
		return false
	}
	at := s.field(root, messageHeader)
	if at == 0 {
		return true // arrow-go says so
	}
	schema := s.follow(at)
	return s.fields(schema, schemaFields, 0) && s.keyValues(schema, schemaMetadata)
}

// continued comes before the length of a message.
const continued = 1<<32 - 1

// nested is how deep types may be nested: more than any has, and little enough for the stack.
const nested = 256

func (s *flatSchema) fields(table, field, depth int) bool {
	first, n, ok := s.vector(table, field, 4)
	if !ok || depth > nested {
		return false
	}
	for i := range n {
		f := s.follow(first + 4*i)
		if _, _, sound := s.vector(f, fieldName, 1); !sound || !s.fields(f, fieldChildren, depth+1) || !s.keyValues(f, fieldKV) {
			return false
		}
		if at := s.field(f, fieldTypeKind); at > 0 && s.b[at] == unionKind {
			if t := s.field(f, fieldType); t > 0 {
				if _, _, ok := s.vector(s.follow(t), unionTypeIDs, 4); !ok {
					return false
				}
			}
		}
	}
	return true
}

func (s *flatSchema) keyValues(table, field int) bool {
	first, n, ok := s.vector(table, field, 4)
	for i := range n {
		kv := s.follow(first + 4*i)
		for k := range 2 {
			if _, _, sound := s.vector(kv, k, 1); !sound {
				return false
			}
		}
	}
	return ok
}

// vector is where the elements of a field's vector begin, and how many there are.
func (s *flatSchema) vector(table, field, size int) (first, n int, ok bool) {
	at := s.field(table, field)
	if at == 0 {
		return 0, 0, true
	}
	at = s.follow(at)
	length := int64(binary.LittleEndian.Uint32(s.b[at:]))
	first = at + 4
	if length*int64(size) > int64(len(s.b)-first) || length > int64(s.left) {
		return 0, 0, false
	}
	s.left -= int(length)
	return first, int(length), true
}

// follow goes where the offset at a place points.
func (s *flatSchema) follow(at int) int {
	return at + int(binary.LittleEndian.Uint32(s.b[at:]))
}

// field is the place of a table's field; 0 when it is not set.
func (s *flatSchema) field(table, n int) int {
	offsets := table - int(int32(binary.LittleEndian.Uint32(s.b[table:])))
	size := int(binary.LittleEndian.Uint16(s.b[offsets:]))
	if 4+2*n >= size {
		return 0
	}
	at := int(binary.LittleEndian.Uint16(s.b[offsets+4+2*n:]))
	if at == 0 {
		return 0
	}
	return table + at
}
