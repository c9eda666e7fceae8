package protobuf

import (
	"encoding/binary"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weir-ml/weir/internal/jsontext"
)

// maxDepth bounds the nesting of an event.
const maxDepth = 128

// Decoder reads events of one message. It is safe for concurrent use.
type Decoder struct {
	root *plan
	max  int
}

// New makes a decoder. Max bounds the JSON text of an event, in bytes.
func New(m protoreflect.MessageDescriptor, max int) (*Decoder, error) {
	p, err := (&compiler{done: map[protoreflect.FullName]*plan{}}).message(m)
	if err != nil {
		return nil, err
	}
	return &Decoder{root: p, max: max}, nil
}

// AppendJSON appends the JSON text of an event. The error is a *jsontext.Fault; dst is then
// as it was given.
func (d *Decoder) AppendJSON(dst, payload []byte) ([]byte, error) {
	s := state{out: dst, end: len(dst) + d.max, steps: d.max}
	if f := s.message(d.root, []span{{data: payload}}); f != nil {
		return dst, f
	}
	return s.out, nil
}

// state is one event on its way.
type state struct {
	out   []byte
	end   int // out may grow to here
	steps int
	depth int
}

// span is one occurrence of a field: a number, or bytes.
type span struct {
	wire protowire.Type
	bits uint64
	data []byte
}

const broken = "the payload is no message: it was written otherwise, or cut off"

func (s *state) step() *jsontext.Fault {
	s.steps--
	if s.steps < 0 || len(s.out) > s.end {
		return &jsontext.Fault{Msg: "the event is too large as JSON"}
	}
	return nil
}

// split finds the fields of a message, which may have come in several parts.
func (s *state) split(p *plan, parts []span) ([][]span, *jsontext.Fault) {
	s.steps -= len(p.fields) / 4 // a message of nothing but zero values costs something, too
	found := make([][]span, len(p.fields))
	current := make([]int, p.oneofs+1) // of each oneof: 1 + the field that was written last
	for _, part := range parts {
		b := part.data
		for len(b) > 0 {
			if f := s.step(); f != nil {
				return nil, f
			}
			num, wire, n := protowire.ConsumeTag(b)
			if n < 0 {
				return nil, &jsontext.Fault{Msg: broken}
			}
			b = b[n:]
			x := span{wire: wire}
			switch wire {
			case protowire.VarintType:
				x.bits, n = protowire.ConsumeVarint(b)
			case protowire.Fixed32Type:
				var v uint32
				v, n = protowire.ConsumeFixed32(b)
				x.bits = uint64(v)
			case protowire.Fixed64Type:
				x.bits, n = protowire.ConsumeFixed64(b)
			case protowire.BytesType:
				x.data, n = protowire.ConsumeBytes(b)
			case protowire.StartGroupType:
				x.data, n = protowire.ConsumeGroup(num, b)
			default:
				n = -1
			}
			if n < 0 {
				return nil, &jsontext.Fault{Msg: broken}
			}
			b = b[n:]
			i, known := p.byNumber[num]
			if !known || !fits(&p.fields[i], &x) {
				continue
			}
			if o := p.fields[i].oneof; o > 0 {
				if was := current[o]; was != 0 && was != i+1 {
					found[was-1] = nil
				}
				current[o] = i + 1
			}
			found[i] = append(found[i], x)
		}
	}
	return found, nil
}

// fits reports whether an occurrence can be of the field; others are fields that
// the file does not have, by the rules of protobuf.
func fits(f *field, x *span) bool {
	want := wireOf(f.kind)
	if x.wire == protowire.BytesType && f.list && want != protowire.BytesType && want != protowire.StartGroupType {
		return true // packed
	}
	if x.wire != want {
		return false
	}
	if f.closed && !f.list {
		_, ok := f.names[protoreflect.EnumNumber(int32(x.bits))]
		return ok
	}
	return true
}

func wireOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

func (s *state) message(p *plan, parts []span) *jsontext.Fault {
	if s.depth++; s.depth > maxDepth {
		return &jsontext.Fault{Msg: "the event nests more than " + strconv.Itoa(maxDepth) + " values"}
	}
	defer func() { s.depth-- }()
	found, f := s.split(p, parts)
	if f != nil {
		return f
	}
	if p.special != object {
		return s.special(p, found)
	}
	s.out = append(s.out, '{')
	first := true
	for i := range p.fields {
		x := &p.fields[i]
		if len(found[i]) == 0 && x.zero == nil {
			if x.required {
				return (&jsontext.Fault{Msg: "it is required and was not written"}).In(x.name)
			}
			continue
		}
		if f := s.step(); f != nil {
			return f
		}
		if !first {
			s.out = append(s.out, ',')
		}
		first = false
		s.out = append(s.out, x.key...)
		if len(found[i]) == 0 {
			s.out = append(s.out, x.zero...)
			continue
		}
		if f := s.field(x, found[i]); f != nil {
			return f.In(x.name)
		}
	}
	s.out = append(s.out, '}')
	return nil
}

func (s *state) field(x *field, all []span) *jsontext.Fault {
	switch {
	case x.item != nil:
		return s.object(x, all)
	case x.list:
		return s.list(x, all)
	case x.message != nil:
		return s.message(x.message, all) // parts of one message are one
	}
	return s.scalar(x, &all[len(all)-1])
}

func (s *state) list(x *field, all []span) *jsontext.Fault {
	s.out = append(s.out, '[')
	n := 0
	add := func(v *span) (f *jsontext.Fault) {
		if x.closed {
			if _, ok := x.names[protoreflect.EnumNumber(int32(v.bits))]; !ok {
				return nil
			}
		}
		if f := s.step(); f != nil {
			return f
		}
		if n > 0 {
			s.out = append(s.out, ',')
		}
		if x.message != nil {
			f = s.message(x.message, []span{*v})
		} else {
			f = s.scalar(x, v)
		}
		if f != nil {
			return f.At(n)
		}
		n++
		return nil
	}
	want := wireOf(x.kind)
	for i := range all {
		if all[i].wire == want {
			if f := add(&all[i]); f != nil {
				return f
			}
			continue
		}
		for b := all[i].data; len(b) > 0; { // packed
			v, size := span{wire: want}, -1
			switch {
			case want == protowire.VarintType:
				v.bits, size = protowire.ConsumeVarint(b)
			case want == protowire.Fixed32Type && len(b) >= 4:
				v.bits, size = uint64(binary.LittleEndian.Uint32(b)), 4
			case want == protowire.Fixed64Type && len(b) >= 8:
				v.bits, size = binary.LittleEndian.Uint64(b), 8
			}
			if size < 0 {
				return &jsontext.Fault{Msg: broken}
			}
			b = b[size:]
			if f := add(&v); f != nil {
				return f
			}
		}
	}
	s.out = append(s.out, ']')
	return nil
}

// object writes a map; of a key that was written twice the last value counts.
func (s *state) object(x *field, all []span) *jsontext.Fault {
	entry := &plan{fields: []field{*x.key2, *x.item}, byNumber: map[protowire.Number]int{1: 0, 2: 1}}
	last := make(map[string]int, len(all))
	keys := make([]string, len(all))
	values := make([][]span, len(all))
	for i := range all {
		found, f := s.split(entry, all[i:i+1])
		if f != nil {
			return f
		}
		k := state{end: s.end, steps: 1}
		if len(found[0]) == 0 {
			k.out = x.key2.zero
		} else if f := k.scalar(x.key2, &found[0][len(found[0])-1]); f != nil {
			return f
		}
		keys[i], values[i] = string(k.out), found[1]
		last[keys[i]] = i
	}
	s.out = append(s.out, '{')
	first := true
	for i, k := range keys {
		if last[k] != i {
			continue
		}
		if f := s.step(); f != nil {
			return f
		}
		if !first {
			s.out = append(s.out, ',')
		}
		first = false
		if x.key2.kind == protoreflect.StringKind {
			s.out = append(append(s.out, k...), ':')
		} else {
			s.out = append(append(append(s.out, '"'), k...), '"', ':')
		}
		var f *jsontext.Fault
		switch {
		case len(values[i]) > 0:
			f = s.field(x.item, values[i])
		case x.item.message != nil:
			f = s.message(x.item.message, nil)
		default:
			s.out = append(s.out, x.item.zero...)
		}
		if f != nil {
			return f.In(k)
		}
	}
	s.out = append(s.out, '}')
	return nil
}

func (s *state) scalar(x *field, v *span) *jsontext.Fault {
	ok := true
	switch x.kind {
	case protoreflect.BoolKind:
		s.out = strconv.AppendBool(s.out, v.bits != 0)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		s.out = strconv.AppendInt(s.out, int64(int32(v.bits)), 10)
	case protoreflect.Sint32Kind:
		s.out = strconv.AppendInt(s.out, int64(int32(protowire.DecodeZigZag(v.bits&math.MaxUint32))), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		s.out = strconv.AppendUint(s.out, uint64(uint32(v.bits)), 10)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		s.out = strconv.AppendInt(s.out, int64(v.bits), 10)
	case protoreflect.Sint64Kind:
		s.out = strconv.AppendInt(s.out, protowire.DecodeZigZag(v.bits), 10)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		s.out = strconv.AppendUint(s.out, v.bits, 10)
	case protoreflect.FloatKind:
		s.out, ok = jsontext.AppendFloat(s.out, float64(math.Float32frombits(uint32(v.bits))), 32)
	case protoreflect.DoubleKind:
		s.out, ok = jsontext.AppendFloat(s.out, math.Float64frombits(v.bits), 64)
	case protoreflect.StringKind:
		if s.out, ok = jsontext.AppendString(s.out, v.data); !ok {
			return &jsontext.Fault{Msg: "a text is not UTF-8"}
		}
	case protoreflect.BytesKind:
		s.out = jsontext.AppendBase64(s.out, v.data)
	case protoreflect.EnumKind:
		n := protoreflect.EnumNumber(int32(v.bits))
		if name := x.names[n]; name != "" {
			s.out = append(append(append(s.out, '"'), name...), '"')
		} else {
			s.out = strconv.AppendInt(s.out, int64(n), 10)
		}
	}
	if !ok {
		return &jsontext.Fault{Msg: "it is NaN or infinite, which is no number"}
	}
	return nil
}

// zero writes a field's value where none was written.
func (s *state) zero(x *field, v protoreflect.Value) *jsontext.Fault {
	var b span
	switch v := v.Interface().(type) {
	case bool:
		if v {
			b.bits = 1
		}
	case int32:
		if b.bits = uint64(uint32(v)); x.kind == protoreflect.Sint32Kind {
			b.bits = protowire.EncodeZigZag(int64(v))
		}
	case int64:
		if b.bits = uint64(v); x.kind == protoreflect.Sint64Kind {
			b.bits = protowire.EncodeZigZag(v)
		}
	case uint32:
		b.bits = uint64(v)
	case uint64:
		b.bits = v
	case float32:
		b.bits = uint64(math.Float32bits(v))
	case float64:
		b.bits = math.Float64bits(v)
	case string:
		b.data = []byte(v)
	case []byte:
		b.data = v
	case protoreflect.EnumNumber:
		b.bits = uint64(uint32(v))
	}
	return s.scalar(x, &b)
}
