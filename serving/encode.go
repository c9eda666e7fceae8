package serving

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"

	"github.com/weir-ml/weir/registry/feature"
)

// reply is an answer as the bytes of a weir.v1.LookupResponse, written from the
// block's columns: no message is made, and nothing is allocated that grows with the rows.
// The lengths that protobuf wants before the parts are added up once, in replies.of.
type reply struct {
	answer  *Answer
	request *request
	from    *replies
	first   uint64 // row of the request
	partial bool
	size    int
	columns []columnSize
	views   []viewSize
}

// columnSize is how long the parts of one FeatureColumn are.
type columnSize struct {
	packed   int // the repeated field inside Values
	lengths  int // of an Arrays inside Values
	values   int // Values
	validity int // 0 where every row is valid
	all      int // the FeatureColumn
}

// viewSize is how long the parts of one ViewResult are.
type viewSize struct {
	statuses, times int // 0 where they are not told
	all             int
}

// replies keeps the memory of replies.
type replies struct{ pool sync.Pool }

// Tags of the contract: field number << 3 | wire type.
const (
	varintType, fixed64Type, lengthType, fixed32Type = 0, 1, 2, 5

	tagRows       = 1<<3 | varintType
	tagColumns    = 2<<3 | lengthType
	tagViews      = 3<<3 | lengthType
	tagRevision   = 4<<3 | varintType
	tagPartial    = 5<<3 | varintType
	tagFirstRow   = 6<<3 | varintType
	tagName       = 1<<3 | lengthType // of FeatureColumn and ViewResult
	tagType       = 2<<3 | varintType
	tagValues     = 3<<3 | lengthType
	tagValidity   = 4<<3 | lengthType
	tagColumnView = 5<<3 | varintType
	tagStatuses   = 2<<3 | lengthType
	tagEventTimes = 3<<3 | lengthType
	tagRepeated   = 1<<3 | lengthType // field 1 of Bools, Int32s, ..., packed or an entry each
)

// kindTag is the field of Values that a type's values stand in.
var kindTag = [...]byte{
	feature.Bool: 1<<3 | lengthType, feature.Int32: 2<<3 | lengthType, feature.Int64: 3<<3 | lengthType, feature.Float32: 4<<3 | lengthType,
	feature.Float64: 5<<3 | lengthType, feature.String: 6<<3 | lengthType, feature.Bytes: 7<<3 | lengthType, feature.Timestamp: 8<<3 | lengthType,
}

func uvarintSize(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }

// partSize is a part of n bytes with its tag and its length.
func partSize(n int) int { return 1 + uvarintSize(uint64(n)) + n }

// optionalSize is partSize of a part that is left out where it is empty.
func optionalSize(n int) int {
	if n == 0 {
		return 0
	}
	return partSize(n)
}

// of adds the lengths up. The reply owns the answer: Free releases it, and the request
// that it answers (nil: none).
func (p *replies) of(a *Answer, q *request, statuses, times bool, first uint64) *reply {
	r, _ := p.pool.Get().(*reply)
	if r == nil {
		r = &reply{from: p}
	}
	r.answer, r.request, r.first, r.partial = a, q, first, false
	r.columns, r.views = sized(r.columns, len(a.Columns)), sized(r.views, len(a.Views))
	r.size = 0
	if a.Rows > 0 {
		r.size += 1 + uvarintSize(uint64(a.Rows))
	}
	for i := range a.Views {
		v, s := &a.Views[i], &r.views[i]
		*s = viewSize{}
		failed := failed(v.Status)
		r.partial = r.partial || failed
		if statuses || failed { // never leave a failure looking like an absence
			s.statuses = len(v.Status)
		}
		if times {
			s.times = 8 * len(v.EventTime)
		}
		s.all = optionalSize(len(v.View.Meta.Name)) + optionalSize(s.statuses) + optionalSize(s.times)
		r.size += partSize(s.all)
	}
	for i := range a.Columns {
		c, s := &a.Columns[i], &r.columns[i]
		if c.Type.IsArray() {
			s.lengths, s.packed, s.values = arraySize(&c.Vector)
		} else {
			s.packed = packedSize(&c.Vector)
			s.values = valuesSize(c.Type, s.packed)
		}
		s.validity = 0
		if !whole(c.Valid) {
			s.validity = (len(c.Valid) + 7) / 8
		}
		s.all = optionalSize(len(c.Name)) + 1 + uvarintSize(uint64(c.Type)) + partSize(s.values) + optionalSize(s.validity)
		if c.View > 0 {
			s.all += 1 + uvarintSize(uint64(c.View))
		}
		r.size += partSize(s.all)
	}
	if a.Revision != 0 {
		r.size += 1 + uvarintSize(uint64(a.Revision))
	}
	if r.partial {
		r.size += 2
	}
	if first > 0 {
		r.size += 1 + uvarintSize(first)
	}
	return r
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func failed(status []feature.Status) bool {
	for _, s := range status {
		if s == feature.StoreError {
			return true
		}
	}
	return false
}

func whole(valid []bool) bool {
	for _, v := range valid {
		if !v {
			return false
		}
	}
	return true
}

// valuesSize is the size of a Values that is not of arrays.
func valuesSize(t feature.Type, packed int) int {
	if t == feature.String || t == feature.Bytes {
		return partSize(packed)
	}
	return partSize(optionalSize(packed))
}

// packedSize is how many bytes the values of a column take: the payload of a packed
// field, or of texts the entries with their tags.
func packedSize(v *feature.Vector) (n int) {
	switch v.Type {
	case feature.Bool:
		return len(v.Bools)
	case feature.Int32:
		for _, x := range v.Int32s {
			n += uvarintSize(uint64(int64(x)))
		}
	case feature.Int64:
		for _, x := range v.Int64s {
			n += uvarintSize(uint64(x))
		}
	case feature.Float32:
		return 4 * len(v.Float32)
	case feature.Float64:
		return 8 * len(v.Float64)
	case feature.Timestamp:
		return 8 * len(v.Int64s)
	case feature.String, feature.Bytes:
		for _, x := range v.Bytes {
			n += partSize(len(x))
		}
	}
	return n
}

// Size is exact.
func (r *reply) Size() int { return r.size }

// Free releases the answer, and then the request, whose keys the answer may still be told of.
func (r *reply) Free() {
	r.answer.Release()
	if r.request != nil {
		r.request.free()
	}
	r.answer, r.request = nil, nil
	r.from.pool.Put(r)
}

// AppendTo writes the message, its fields in the order of their numbers.
func (r *reply) AppendTo(dst []byte) []byte {
	a := r.answer
	if a.Rows > 0 {
		dst = binary.AppendUvarint(append(dst, tagRows), uint64(a.Rows))
	}
	for i := range a.Columns {
		dst = binary.AppendUvarint(append(dst, tagColumns), uint64(r.columns[i].all))
		dst = appendColumn(dst, &a.Columns[i], &r.columns[i])
	}
	for i := range a.Views {
		v, s := &a.Views[i], &r.views[i]
		dst = binary.AppendUvarint(append(dst, tagViews), uint64(s.all))
		dst = appendPart(dst, tagName, v.View.Meta.Name)
		if s.statuses > 0 {
			dst = binary.AppendUvarint(append(dst, tagStatuses), uint64(s.statuses))
			for _, x := range v.Status {
				dst = append(dst, byte(x))
			}
		}
		if s.times > 0 {
			dst = binary.AppendUvarint(append(dst, tagEventTimes), uint64(s.times))
			for _, x := range v.EventTime {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(x))
			}
		}
	}
	if a.Revision != 0 {
		dst = binary.AppendUvarint(append(dst, tagRevision), uint64(a.Revision))
	}
	if r.partial {
		dst = append(dst, tagPartial, 1)
	}
	if r.first > 0 {
		dst = binary.AppendUvarint(append(dst, tagFirstRow), r.first)
	}
	return dst
}

// appendPart writes a text field, left out where it is empty.
func appendPart(dst []byte, tag byte, s string) []byte {
	if s == "" {
		return dst
	}
	return append(binary.AppendUvarint(append(dst, tag), uint64(len(s))), s...)
}

func appendColumn(dst []byte, c *feature.BlockColumn, s *columnSize) []byte {
	dst = appendPart(dst, tagName, c.Name)
	dst = binary.AppendUvarint(append(dst, tagType), uint64(c.Type))
	dst = binary.AppendUvarint(append(dst, tagValues), uint64(s.values))
	if c.Type.IsArray() {
		dst = appendArrays(dst, &c.Vector, s.lengths, s.packed)
	} else {
		dst = appendValues(dst, &c.Vector, s.packed)
	}
	if s.validity > 0 {
		dst = binary.AppendUvarint(append(dst, tagValidity), uint64(s.validity))
		dst = appendValidity(dst, c.Valid)
	}
	if c.View > 0 {
		dst = binary.AppendUvarint(append(dst, tagColumnView), uint64(c.View))
	}
	return dst
}

// appendValues writes a Values: its one field, and in it the repeated one.
func appendValues(dst []byte, v *feature.Vector, packed int) []byte {
	dst = appendValuesHead(dst, v.Type, packed)
	switch v.Type {
	case feature.String, feature.Bytes:
		for _, x := range v.Bytes {
			dst = append(binary.AppendUvarint(append(dst, tagRepeated), uint64(len(x))), x...)
		}
	case feature.Bool:
		for _, x := range v.Bools {
			var b byte
			if x {
				b = 1
			}
			dst = append(dst, b)
		}
	case feature.Int32:
		for _, x := range v.Int32s {
			dst = binary.AppendUvarint(dst, uint64(int64(x)))
		}
	case feature.Int64:
		for _, x := range v.Int64s {
			dst = binary.AppendUvarint(dst, uint64(x))
		}
	case feature.Float32:
		for _, x := range v.Float32 {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
		}
	case feature.Float64:
		for _, x := range v.Float64 {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
		}
	case feature.Timestamp:
		for _, x := range v.Int64s {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(x))
		}
	}
	return dst
}

// appendValuesHead writes what stands before the values: the kind, and of packed numbers the field.
func appendValuesHead(dst []byte, t feature.Type, packed int) []byte {
	dst = append(dst, kindTag[t])
	if t == feature.String || t == feature.Bytes {
		return binary.AppendUvarint(dst, uint64(packed))
	}
	dst = binary.AppendUvarint(dst, uint64(optionalSize(packed)))
	if packed == 0 {
		return dst
	}
	return binary.AppendUvarint(append(dst, tagRepeated), uint64(packed))
}

// appendValidity writes a bit a row, lowest first.
func appendValidity(dst []byte, valid []bool) []byte {
	var b byte
	for i, v := range valid {
		if v {
			b |= 1 << (i & 7)
		}
		if i&7 == 7 {
			dst, b = append(dst, b), 0
		}
	}
	if len(valid)&7 != 0 {
		dst = append(dst, b)
	}
	return dst
}
