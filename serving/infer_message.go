package serving

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// inferMessage is the memory of a request that came as an inference.ModelInferRequest. It is read from its bytes, so that
// nothing is allocated that grows with the rows; what the generated code reads is read (fields in any order, lists in
// pieces, fields of a newer contract).
type inferMessage struct {
	buf    []byte // the message; names and elements are parts of it
	typed  []byte // elements of typed contents, as raw tensors have them
	params []namedParam
}

type namedParam struct {
	name string
	inferParam
}

// mostInputs is more join keys than anything has: an input takes room that it may not have brought with it.
const mostInputs = 256

func (m *inferMessage) small() bool { return cap(m.buf) <= largestKept && cap(m.typed) <= largestKept }

// Decode takes a copy of data. It is read once the call has begun, so that what is wrong with it counts, and is told, as all that is wrong.
func (r *inferRequest) Decode(data []byte) error {
	r.message.buf = append(r.message.buf[:0], data...)
	return nil
}

func notMessage() error {
	return feature.Errorf(feature.Invalid, "lookup", "request", "it is no ModelInferRequest")
}

// wireField is a field of a message.
type wireField struct {
	number protowire.Number
	kind   protowire.Type
	part   []byte // of BytesType
	x      uint64 // of the numbers
}

// nextField takes a field off b.
func nextField(b []byte) (f wireField, rest []byte, ok bool) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, nil, false
	}
	f, b = wireField{number: number, kind: kind}, b[n:]
	switch kind {
	case protowire.BytesType:
		f.part, n = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		f.x, n = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.x, n = protowire.ConsumeFixed64(b)
	case protowire.Fixed32Type:
		var x uint32
		x, n = protowire.ConsumeFixed32(b)
		f.x = uint64(x)
	default:
		n = protowire.ConsumeFieldValue(number, kind, b)
	}
	if n < 0 {
		return f, nil, false
	}
	return f, b[n:], true
}

// is reports whether the field is the one of a number that has a text or a message.
func (f *wireField) is(number protowire.Number) bool {
	return f.number == number && f.kind == protowire.BytesType
}

// text is a text of the message, good as long as that.
func (f *wireField) text() (string, error) {
	if !utf8.Valid(f.part) {
		return "", notMessage()
	}
	return view(f.part), nil
}

// readMessage reads the message that Decode took. The request refers to it until the next.
func (r *inferRequest) readMessage() error {
	r.reset()
	r.message.typed, r.message.params = r.message.typed[:0], r.message.params[:0]
	raws := 0
	var service, version, id string
	for b := r.message.buf; len(b) > 0; {
		f, rest, ok := nextField(b)
		if !ok {
			return notMessage()
		}
		b = rest
		var err error
		switch {
		case f.is(1):
			service, err = f.text()
		case f.is(2):
			version, err = f.text()
		case f.is(3):
			id, err = f.text()
		case f.is(4):
			r.message.params, err = addParam(r.message.params, f.part)
		case f.is(5):
			err = r.inputMessage(f.part)
		case f.is(6):
			err = r.outputMessage(f.part)
		case f.is(7):
			raws++
		}
		if err != nil {
			return err
		}
	}
	// They outlive the message.
	r.Service, r.version = strings.Clone(service), strings.Clone(version)
	if id != "" {
		r.named(strings.Clone(id))
	}
	for _, p := range r.message.params {
		if err := r.parameter(p.name, p.inferParam); err != nil {
			return err
		}
	}
	if r.forward {
		return badMember("parameters", "over gRPC an answer is a response").WithHint("leave out as; the tensors of a response are those of a request but for their names, outputs and raw_output_contents")
	}
	if !r.chosen {
		r.binary = raws > 0 // who has them knows them
	}
	return r.rawContents(raws)
}

// rawContents gives each input its raw tensor.
func (r *inferRequest) rawContents(raws int) error {
	if raws == 0 {
		return nil
	}
	if raws != len(r.inputs) {
		return badMember("raw_input_contents", "there are %d for %d inputs", raws, len(r.inputs)).WithHint("give every input as raw contents, or none")
	}
	i := 0
	for b := r.message.buf; len(b) > 0; {
		f, rest, ok := nextField(b)
		if b = rest; !ok || !f.is(7) {
			continue
		}
		in := &r.inputs[i]
		if len(in.contents) > 0 {
			return badMember("inputs", "%q has contents, and there are raw_input_contents: one of them", in.name)
		}
		in.raw, in.size = f.part, len(f.part)
		i++
	}
	return nil
}

func (r *inferRequest) inputMessage(b []byte) error {
	if len(r.inputs) == mostInputs {
		return badMember("inputs", "more than %d of them", mostInputs)
	}
	in := inferInput{size: -1}
	var dims [8]int64
	n := 0
	dim := func(x uint64) {
		if n < len(dims) {
			dims[n] = int64(x)
		}
		n++
	}
	kind := ""
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return notMessage()
		}
		b = rest
		var err error
		switch {
		case f.is(1):
			in.name, err = f.text()
		case f.is(2):
			kind, err = f.text()
		case f.number == 3 && f.kind == protowire.VarintType:
			dim(f.x)
		case f.is(3):
			for p := f.part; len(p) > 0; {
				x, size := protowire.ConsumeVarint(p)
				if size < 0 {
					return notMessage()
				}
				dim(x)
				p = p[size:]
			}
		case f.is(4): // of others
			_, err = addParam(nil, f.part)
		case f.is(5):
			if in.contents == nil {
				in.contents = f.part
			} else { // messages one behind the other are the message of both
				in.contents = append(in.contents[:len(in.contents):len(in.contents)], f.part...)
			}
		}
		if err != nil {
			return err
		}
	}
	if in.name == "" || kind == "" || n == 0 {
		return noTensor()
	}
	var err error
	if in.kind, err = inputType(kind); err != nil {
		return err
	}
	shape, ok := dims[:min(n, len(dims))], false
	if in.rows, ok = rowsOf(shape); !ok {
		return badShape(in.name, fmt.Sprint(shape))
	}
	r.inputs = append(r.inputs, in)
	return nil
}

func (r *inferRequest) outputMessage(b []byte) error {
	out := inferOutput{}
	from := len(r.message.params)
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return notMessage()
		}
		b = rest
		var err error
		switch {
		case f.is(1):
			out.name, err = f.text()
		case f.is(2):
			var own []namedParam
			own, err = addParam(r.message.params[from:], f.part)
			r.message.params = append(r.message.params[:from], own...)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range r.message.params[from:] {
		if err := out.parameter(p.name, p.inferParam); err != nil {
			return err
		}
	}
	r.message.params = r.message.params[:from]
	r.outputs = append(r.outputs, out)
	return nil
}

// known are the names of parameters that somebody here looks at.
var known = map[string]bool{"as": true, "tensor": true, "datatype": true, "binary_data_output": true, "binary_data": true, "include_statuses": true, "include_event_times": true, "include_validity": true}

// addParam adds an entry of a map of parameters, in the place of one of its name.
func addParam(to []namedParam, entry []byte) ([]namedParam, error) {
	var p namedParam
	p.kind = "nothing"
	for len(entry) > 0 {
		f, rest, ok := nextField(entry)
		if !ok {
			return to, notMessage()
		}
		entry = rest
		var err error
		switch {
		case f.is(1):
			p.name, err = f.text()
		case f.is(2):
			err = p.read(f.part)
		}
		if err != nil {
			return to, err
		}
	}
	if !known[p.name] {
		return to, nil
	}
	for i := range to {
		if to[i].name == p.name {
			to[i] = p
			return to, nil
		}
	}
	return append(to, p), nil
}

// read reads an InferParameter, of which the last choice counts.
func (p *inferParam) read(b []byte) error {
	for len(b) > 0 {
		f, rest, ok := nextField(b)
		if !ok {
			return notMessage()
		}
		b = rest
		switch {
		case f.number == 1 && f.kind == protowire.VarintType:
			*p = inferParam{kind: "bool", isBool: true, yes: f.x != 0}
		case f.number == 2 && f.kind == protowire.VarintType:
			*p = inferParam{kind: "int64"}
		case f.is(3):
			text, err := f.text()
			if err != nil {
				return err
			}
			*p = inferParam{kind: "string", isText: true, text: text}
		case f.number == 4 && f.kind == protowire.Fixed64Type:
			*p = inferParam{kind: "double"}
		case f.number == 5 && f.kind == protowire.VarintType:
			*p = inferParam{kind: "uint64"}
		}
	}
	return nil
}
