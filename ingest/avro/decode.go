package avro

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/weir-ml/weir/internal/avroschema"
	"github.com/weir-ml/weir/internal/jsontext"
)

// maxDepth bounds the nesting of an event.
const maxDepth = 128

// Decoder reads events that were written by one schema as another. It is safe for
// concurrent use.
type Decoder struct {
	root *node
	max  int
}

// New makes a decoder. Max bounds the JSON text of an event, in bytes. An error
// means that no event can be read, or that a default is wrong.
func New(writer, reader *avroschema.Schema, max int) (*Decoder, error) {
	n, err := newCompiler().node(writer, reader)
	if err != nil {
		return nil, err
	}
	if n.op == opFail {
		return nil, &jsontext.Fault{Msg: n.why}
	}
	return &Decoder{root: n, max: max}, nil
}

// AppendJSON appends the JSON text of an event. The error is a *jsontext.Fault; dst is then
// as it was given.
func (d *Decoder) AppendJSON(dst, payload []byte) ([]byte, error) {
	s := state{in: payload, out: dst, end: len(dst) + d.max, steps: d.max}
	f := s.value(d.root)
	if f == nil && len(s.in) > 0 {
		f = &jsontext.Fault{Msg: strconv.Itoa(len(s.in)) + " bytes follow the event: it was written by another schema"}
	}
	if f != nil {
		return dst, f
	}
	return s.out, nil
}

// state is one event on its way.
type state struct {
	in    []byte // what is left of the payload
	out   []byte
	end   int // out may grow to here
	steps int // values that may still be read, also those that need no byte
	depth int
}

var (
	short   = "the payload ends too early: it was written by another schema, or cut off"
	foreign = ": it was written by another schema"
)

func (s *state) long() (int64, *jsontext.Fault) {
	u, n := binary.Uvarint(s.in)
	if n <= 0 {
		if n < 0 {
			return 0, &jsontext.Fault{Msg: "a number has more than 64 bits" + foreign}
		}
		return 0, &jsontext.Fault{Msg: short}
	}
	s.in = s.in[n:]
	return int64(u>>1) ^ -int64(u&1), nil
}

// integer reads an int or a long.
func (s *state) integer(k avroschema.Kind) (int64, *jsontext.Fault) {
	v, f := s.long()
	if f == nil && k == avroschema.Int && int64(int32(v)) != v {
		return 0, &jsontext.Fault{Msg: "an int has more than 32 bits" + foreign}
	}
	return v, f
}

func (s *state) take(n int64) ([]byte, *jsontext.Fault) {
	if n < 0 {
		return nil, &jsontext.Fault{Msg: "a length is negative" + foreign}
	}
	if n > int64(len(s.in)) {
		return nil, &jsontext.Fault{Msg: short}
	}
	b := s.in[:n]
	s.in = s.in[n:]
	return b, nil
}

func (s *state) bytes() ([]byte, *jsontext.Fault) {
	n, f := s.long()
	if f != nil {
		return nil, f
	}
	return s.take(n)
}

// step accounts for a value, so that a payload of few bytes cannot stand for more
// values than a large one.
func (s *state) step() *jsontext.Fault {
	s.steps--
	if s.steps < 0 || len(s.out) > s.end {
		return &jsontext.Fault{Msg: "the event is too large as JSON"}
	}
	return nil
}

func (s *state) value(n *node) *jsontext.Fault {
	if f := s.step(); f != nil {
		return f
	}
	var ok = true
	switch n.op {
	case opNull:
		s.out = append(s.out, "null"...)
	case opBoolean:
		b, f := s.take(1)
		if f != nil {
			return f
		}
		switch b[0] {
		case 0:
			s.out = append(s.out, "false"...)
		case 1:
			s.out = append(s.out, "true"...)
		default:
			return &jsontext.Fault{Msg: "a boolean is neither 0 nor 1" + foreign}
		}
	case opInteger:
		v, f := s.integer(n.from)
		if f != nil {
			return f
		}
		s.out = strconv.AppendInt(s.out, v, 10)
	case opFloat, opDouble:
		v, f := s.float(n)
		if f != nil {
			return f
		}
		bits := 64
		if n.op == opFloat {
			bits = 32
		}
		if s.out, ok = jsontext.AppendFloat(s.out, v, bits); !ok {
			return &jsontext.Fault{Msg: "it is " + strconv.FormatFloat(v, 'g', -1, 64) + ", which is no number"}
		}
	case opText:
		b, f := s.bytes()
		if f != nil {
			return f
		}
		if s.out, ok = jsontext.AppendString(s.out, b); !ok {
			return &jsontext.Fault{Msg: "a text is not UTF-8"}
		}
	case opBase64:
		b, f := s.bytes()
		if f != nil {
			return f
		}
		s.out = jsontext.AppendBase64(s.out, b)
	case opDecimal:
		b, f := s.raw(n)
		if f != nil {
			return f
		}
		if s.out, ok = jsontext.AppendDecimal(s.out, b, n.prec, n.scale); !ok {
			return &jsontext.Fault{Msg: "a decimal has more than its " + strconv.Itoa(n.prec) + " digits"}
		}
	case opFixed, opUUID, opDuration:
		b, f := s.take(int64(n.size))
		if f != nil {
			return f
		}
		s.fixed(n.op, b)
	case opDate, opClock, opTime:
		v, f := s.integer(n.from)
		if f != nil {
			return f
		}
		return s.time(n, v)
	case opEnum:
		v, f := s.integer(avroschema.Int)
		if f != nil {
			return f
		}
		if v < 0 || v >= int64(len(n.symbols)) {
			return &jsontext.Fault{Msg: "an enum has symbol number " + strconv.FormatInt(v, 10) + " of " + strconv.Itoa(len(n.symbols)) + foreign}
		}
		if n.symbols[v] == nil {
			return &jsontext.Fault{Msg: "the reader's enum has no symbol " + n.names[v] + " and no default"}
		}
		s.out = append(s.out, n.symbols[v]...)
	case opUnion:
		v, f := s.long()
		if f != nil {
			return f
		}
		if v < 0 || v >= int64(len(n.branches)) {
			return &jsontext.Fault{Msg: "a union has branch number " + strconv.FormatInt(v, 10) + " of " + strconv.Itoa(len(n.branches)) + foreign}
		}
		return s.value(n.branches[v])
	case opArray, opMap, opRecord:
		if s.depth++; s.depth > maxDepth {
			return &jsontext.Fault{Msg: "the event nests more than " + strconv.Itoa(maxDepth) + " values"}
		}
		var f *jsontext.Fault
		switch n.op {
		case opRecord:
			f = s.record(n)
		case opArray:
			f = s.array(n)
		default:
			f = s.object(n)
		}
		s.depth--
		return f
	case opSame:
		return s.value(n.items)
	default:
		return &jsontext.Fault{Msg: n.why}
	}
	return nil
}

func (s *state) raw(n *node) ([]byte, *jsontext.Fault) {
	if n.from == avroschema.Fixed {
		return s.take(int64(n.size))
	}
	return s.bytes()
}

func (s *state) float(n *node) (float64, *jsontext.Fault) {
	switch n.from {
	case avroschema.Int, avroschema.Long:
		v, f := s.integer(n.from)
		if n.op == opFloat {
			return float64(float32(v)), f
		}
		return float64(v), f
	case avroschema.Float:
		b, f := s.take(4)
		if f != nil {
			return 0, f
		}
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), nil
	}
	b, f := s.take(8)
	if f != nil {
		return 0, f
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

func (s *state) fixed(o op, b []byte) {
	switch o {
	case opFixed:
		s.out = jsontext.AppendBase64(s.out, b)
	case opUUID:
		s.out = append(s.out, '"')
		for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
			if i > 0 {
				s.out = append(s.out, '-')
			}
			s.out = hex.AppendEncode(s.out, part)
		}
		s.out = append(s.out, '"')
	default:
		for i, name := range [...]string{`{"months":`, `,"days":`, `,"millis":`} {
			s.out = append(s.out, name...)
			s.out = strconv.AppendUint(s.out, uint64(binary.LittleEndian.Uint32(b[4*i:])), 10)
		}
		s.out = append(s.out, '}')
	}
}

func (s *state) time(n *node, v int64) *jsontext.Fault {
	var ok bool
	switch n.op {
	case opDate:
		s.out, ok = jsontext.AppendDate(s.out, v)
	case opClock:
		s.out, ok = jsontext.AppendClock(s.out, v, n.unit, n.digits)
	default:
		seconds, rest := v/n.unit, v%n.unit
		if rest < 0 {
			seconds, rest = seconds-1, rest+n.unit
		}
		s.out, ok = jsontext.AppendTime(s.out, seconds, int(rest*(1_000_000_000/n.unit)), n.digits, n.local)
	}
	if !ok {
		return &jsontext.Fault{Msg: strconv.FormatInt(v, 10) + " is no time of day, or no time between the years 1 and 9999"}
	}
	return nil
}

func (s *state) record(n *node) *jsontext.Fault {
	s.out = append(s.out, '{')
	first := true
	for i := range n.fields {
		x := &n.fields[i]
		if x.node == nil {
			if f := s.skip(x.skip); f != nil {
				return f.In(x.name)
			}
			continue
		}
		if !first {
			s.out = append(s.out, ',')
		}
		first = false
		s.out = append(s.out, x.key...)
		if f := s.value(x.node); f != nil {
			return f.In(x.name)
		}
	}
	if len(n.tail) > 0 {
		if !first {
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, n.tail...)
	}
	s.out = append(s.out, '}')
	return nil
}

// block reads how many values follow; 0 is the end. A negative count is followed by
// the size of the block, which is for those who skip it.
func (s *state) block() (count, size int64, f *jsontext.Fault) {
	count, f = s.long()
	if f != nil || count >= 0 {
		return count, -1, f
	}
	if count == math.MinInt64 {
		return 0, 0, &jsontext.Fault{Msg: "a block has too many values" + foreign}
	}
	if size, f = s.long(); f == nil && size < 0 {
		f = &jsontext.Fault{Msg: "a length is negative" + foreign}
	}
	return -count, size, f
}

func (s *state) array(n *node) *jsontext.Fault {
	s.out = append(s.out, '[')
	at := 0
	for {
		count, _, f := s.block()
		if f != nil {
			return f
		}
		if count == 0 {
			s.out = append(s.out, ']')
			return nil
		}
		for ; count > 0; count-- {
			if at > 0 {
				s.out = append(s.out, ',')
			}
			if f := s.value(n.items); f != nil {
				return f.At(at)
			}
			at++
		}
	}
}

func (s *state) object(n *node) *jsontext.Fault {
	s.out = append(s.out, '{')
	first, ok := true, true
	for {
		count, _, f := s.block()
		if f != nil {
			return f
		}
		if count == 0 {
			s.out = append(s.out, '}')
			return nil
		}
		for ; count > 0; count-- {
			if !first {
				s.out = append(s.out, ',')
			}
			first = false
			key, f := s.bytes()
			if f != nil {
				return f
			}
			if s.out, ok = jsontext.AppendString(s.out, key); !ok {
				return &jsontext.Fault{Msg: "a key is not UTF-8"}
			}
			s.out = append(s.out, ':')
			if f := s.value(n.items); f != nil {
				return f.In(string(key))
			}
		}
	}
}

// skip goes over a value that the reader does not have.
func (s *state) skip(t *avroschema.Schema) *jsontext.Fault {
	if f := s.step(); f != nil {
		return f
	}
	if s.depth++; s.depth > maxDepth {
		return &jsontext.Fault{Msg: "the event nests more than " + strconv.Itoa(maxDepth) + " values"}
	}
	defer func() { s.depth-- }()
	var f *jsontext.Fault
	switch t.Kind {
	case avroschema.Null:
	case avroschema.Boolean:
		_, f = s.take(1)
	case avroschema.Int, avroschema.Long, avroschema.Enum:
		_, f = s.long()
	case avroschema.Float:
		_, f = s.take(4)
	case avroschema.Double:
		_, f = s.take(8)
	case avroschema.Bytes, avroschema.String:
		_, f = s.bytes()
	case avroschema.Fixed:
		_, f = s.take(int64(t.Size))
	case avroschema.Record:
		for i := range t.Fields {
			if f := s.skip(t.Fields[i].Type); f != nil {
				return f.In(t.Fields[i].Name)
			}
		}
	case avroschema.Union:
		v, f := s.long()
		if f != nil {
			return f
		}
		if v < 0 || v >= int64(len(t.Branches)) {
			return &jsontext.Fault{Msg: "a union has branch number " + strconv.FormatInt(v, 10) + " of " + strconv.Itoa(len(t.Branches)) + foreign}
		}
		return s.skip(t.Branches[v])
	default:
		return s.skipBlocks(t)
	}
	return f
}

func (s *state) skipBlocks(t *avroschema.Schema) *jsontext.Fault {
	for {
		count, size, f := s.block()
		if f != nil || count == 0 {
			return f
		}
		if size >= 0 {
			if _, f := s.take(size); f != nil {
				return f
			}
			continue
		}
		for ; count > 0; count-- {
			if t.Kind == avroschema.Map {
				if _, f := s.bytes(); f != nil {
					return f
				}
			}
			if f := s.skip(t.Items); f != nil {
				return f
			}
		}
	}
}
