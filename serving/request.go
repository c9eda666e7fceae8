package serving

import (
	"encoding/binary"
	"slices"
	"sync"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/proto"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// request is a weir.v1.LookupRequest, read from its bytes in pooled memory: nothing is
// allocated that grows with the entities. What usual clients write is read here; what
// is rarer (fields twice, lists in pieces, fields of a newer contract) is left to the generated code.
type request struct {
	Question
	statuses, times bool
	columns         []wireColumn
	odd             *weirv1.LookupRequest // where the generated code has read it

	from  *requests
	plain func([]feature.Field) ([]feature.Vector, int, error) // vectors, made once
	buf   []byte                                               // the message; texts in columns and keys are parts of it
	keys  []feature.Vector
}

// wireColumn is an entity column that has not been read yet.
type wireColumn struct {
	name string // part of request.buf
	kind byte   // the field of Values; 0 where there is none
	data []byte // of the message in that field
}

// requests keeps the memory of requests.
type requests struct{ pool sync.Pool }

func (p *requests) get() *request {
	r, _ := p.pool.Get().(*request)
	if r == nil {
		r = &request{from: p}
		r.plain = r.vectors
	}
	return r
}

// largestKept is the longest message whose memory is kept for the next.
const largestKept = 1 << 20

func (r *request) free() {
	from, plain, buf, columns, keys := r.from, r.plain, r.buf[:0], r.columns[:0], r.keys
	if cap(buf) > largestKept {
		buf, columns, keys = nil, nil, nil
	}
	*r = request{from: from, plain: plain, buf: buf, columns: columns, keys: keys}
	from.pool.Put(r)
}

// Decode takes a copy of data. Errors are those of the generated code.
func (r *request) Decode(data []byte) error {
	r.buf = append(r.buf[:0], data...)
	if r.usual() {
		r.Entities = r.plain
		return nil
	}
	m := &weirv1.LookupRequest{}
	if err := proto.Unmarshal(data, m); err != nil {
		return err
	}
	r.odd = m
	r.Question = Question{Project: m.Project, Service: m.GetService(), Features: m.GetFeatures().GetRefs(), RequestID: m.RequestId}
	r.Entities = func(keys []feature.Field) ([]feature.Vector, int, error) { return entities(keys, m.Entities) }
	r.statuses, r.times = m.IncludeStatuses, m.IncludeEventTimes
	return nil
}

// field takes one field off b: its tag, and the payload of a length or the number of a
// varint. ok is false where b does not begin with a well-formed field of those two types.
func field(b []byte) (tag byte, part []byte, x uint64, rest []byte, ok bool) {
	if len(b) < 2 || b[0] >= 0x80 {
		return 0, nil, 0, nil, false
	}
	tag = b[0]
	x, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return 0, nil, 0, nil, false
	}
	b = b[1+n:]
	switch tag & 7 {
	case varintType:
		return tag, nil, x, b, true
	case lengthType:
		if x > uint64(len(b)) {
			return 0, nil, 0, nil, false
		}
		return tag, b[:x:x], 0, b[x:], true
	}
	return 0, nil, 0, nil, false
}

// usual reads the message; false where it is for the generated code.
func (r *request) usual() bool {
	r.columns, r.Question = r.columns[:0], Question{}
	r.statuses, r.times = false, false
	var seen [8]bool
	for b := r.buf; len(b) > 0; {
		tag, part, x, rest, ok := field(b)
		if !ok || tag>>3 > 7 || tag != 4<<3|lengthType && seen[tag>>3] {
			return false
		}
		b, seen[tag>>3] = rest, true
		switch tag {
		case 1<<3 | lengthType:
			ok = own(&r.Project, part)
		case 2<<3 | lengthType:
			ok = own(&r.Service, part)
		case 3<<3 | lengthType:
			ok = r.list(part)
		case 4<<3 | lengthType:
			ok = r.column(part)
		case 5<<3 | varintType:
			r.statuses = x != 0
		case 6<<3 | varintType:
			r.times = x != 0
		case 7<<3 | lengthType:
			ok = own(&r.RequestID, part)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return !seen[2] || !seen[3] // of a oneof the last counts
}

// own makes a text of a part that lives longer than the request.
func own(s *string, part []byte) bool {
	*s = string(part)
	return utf8.Valid(part)
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (r *request) list(b []byte) bool {
	for len(b) > 0 {
		tag, part, _, rest, ok := field(b)
		if !ok || tag != 1<<3|lengthType || !utf8.Valid(part) {
			return false
		}
		r.Features, b = append(r.Features, string(part)), rest
	}
	return true
}

func (r *request) column(b []byte) bool {
	var c wireColumn
	var named, valued bool
	for len(b) > 0 {
		tag, part, _, rest, ok := field(b)
		if !ok {
			return false
		}
		b = rest
		switch {
		case tag == 1<<3|lengthType && !named:
			if c.name, named = view(part), true; !utf8.Valid(part) {
				return false
			}
		case tag == 2<<3|lengthType && !valued:
			valued = true
			if len(part) == 0 {
				continue
			}
			kind, data, _, rest, ok := field(part)
			if !ok || len(rest) > 0 || kind&7 != lengthType || kind>>3 < 1 || kind>>3 > 8 {
				return false
			}
			if c.kind, c.data = kind>>3, data; !c.plain() {
				return false
			}
		default:
			return false
		}
	}
	r.columns = append(r.columns, c)
	return true
}

// The fields of Values.
const (
	kindBools = iota + 1
	kindInt32s
	kindInt64s
	kindFloats
	kindDoubles
	kindStrings
	kindBytes
	kindTimestamps
)

var kindNames = [...]string{kindFloats: "a float", kindDoubles: "a double"}

// plain reports whether the values are as usual clients write them: numbers packed into one field,
// texts a field each, all of them readable. Packed numbers are unpacked in place: data is then their bytes.
func (c *wireColumn) plain() bool {
	if c.kind == kindStrings || c.kind == kindBytes {
		for b := c.data; len(b) > 0; {
			tag, part, _, rest, ok := field(b)
			if !ok || tag != tagRepeated || c.kind == kindStrings && !utf8.Valid(part) {
				return false
			}
			b = rest
		}
		return true
	}
	if len(c.data) == 0 {
		return true
	}
	tag, part, _, rest, ok := field(c.data)
	if !ok || tag != tagRepeated || len(rest) > 0 {
		return false
	}
	c.data = part
	switch c.kind {
	case kindFloats:
		return len(part)%4 == 0
	case kindDoubles, kindTimestamps:
		return len(part)%8 == 0
	}
	for len(part) > 0 {
		_, n := binary.Uvarint(part)
		if n <= 0 {
			return false
		}
		part = part[n:]
	}
	return true
}

// rows is how many values a plain column has.
func (c *wireColumn) rows() (n int) {
	switch c.kind {
	case kindStrings, kindBytes:
		for b := c.data; len(b) > 0; n++ {
			_, _, _, b, _ = field(b)
		}
	case kindFloats:
		n = len(c.data) / 4
	case kindDoubles, kindTimestamps:
		n = len(c.data) / 8
	default:
		for _, x := range c.data { // the last byte of a varint is below 0x80
			if x < 0x80 {
				n++
			}
		}
	}
	return n
}

// vectors is Question.Entities. The vectors are good until the request is freed.
func (r *request) vectors(keys []feature.Field) ([]feature.Vector, int, error) {
	if err := sameKeys(keys, len(r.columns), func(i int) string { return r.columns[i].name }); err != nil {
		return nil, 0, err
	}
	r.keys = slices.Grow(r.keys[:0], len(keys))[:len(keys)]
	rows := 0
	for i, k := range keys {
		c := &r.columns[slices.IndexFunc(r.columns, func(c wireColumn) bool { return c.name == k.Name })]
		n := c.rows()
		if i == 0 {
			rows = n
		}
		if c.kind == 0 {
			return nil, 0, noValues(k)
		}
		if n != rows {
			return nil, 0, unequal(keys, i, n, rows)
		}
		r.keys[i].Reset(k.Type, n)
		for j := range r.keys[i].Valid {
			r.keys[i].Valid[j] = true
		}
		if err := c.fill(&r.keys[i], k); err != nil {
			return nil, 0, err
		}
	}
	return r.keys, rows, nil
}

// fill reads the values into a vector of the key's type and the right length.
func (c *wireColumn) fill(v *feature.Vector, k feature.Field) error {
	b := c.data
	switch c.kind {
	case kindInt32s, kindInt64s:
		for i := 0; len(b) > 0; i++ {
			x, n := binary.Uvarint(b)
			if c.kind == kindInt32s {
				x = uint64(int32(x))
			}
			if b = b[n:]; !putWhole(v, i, int64(x)) {
				return notOf(k, i, int64(x))
			}
		}
	case kindTimestamps:
		for i := range len(b) / 8 {
			if x := int64(binary.LittleEndian.Uint64(b[8*i:])); !putWhole(v, i, x) {
				return notOf(k, i, x)
			}
		}
	case kindBools:
		if k.Type != feature.Bool {
			return notOf(k, 0, "a bool")
		}
		for i := 0; len(b) > 0; i++ {
			x, n := binary.Uvarint(b)
			v.Bools[i], b = x != 0, b[n:]
		}
	case kindBytes:
		if k.Type != feature.Bytes && k.Type != feature.String {
			return notOf(k, 0, "bytes")
		}
		for i := 0; len(b) > 0; i++ {
			_, v.Bytes[i], _, b, _ = field(b)
		}
	case kindStrings:
		for i := 0; len(b) > 0; i++ {
			var part []byte
			_, part, _, b, _ = field(b)
			if v.Type == feature.String {
				v.Bytes[i] = part
			} else if err := ParseKey(v, k.Type, i, view(part)); err != nil {
				return notOf(k, i, string(part))
			}
		}
	default:
		return notOf(k, 0, kindNames[c.kind])
	}
	return nil
}
