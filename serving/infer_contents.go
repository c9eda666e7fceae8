package serving

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// Typed contents of gRPC: the elements of a tensor in the field of an InferTensorContents that its datatype has. They are
// the same elements as a raw tensor's, so that is what they become, and what they are made from.

// contentsFields are the fields by datatype; FP16 has none.
var contentsFields = [...]protowire.Number{dtBool: 1, int8s: 2, int16s: 2, int32s: 2, int64s: 3, uint8s: 4, uint16s: 4, uint32s: 4, uint64s: 5, fp16: 0, fp32: 6, fp64: 7, dtBytes: 8}

var contentsNames = [...]string{"", "bool_contents", "int_contents", "int64_contents", "uint_contents", "uint64_contents", "fp32_contents", "fp64_contents", "bytes_contents"}

// elements gives each element of typed contents to put, where there is one, and says how many there are.
func (in *inferInput) elements(put func(x uint64, text []byte) bool) (n int64, err error) {
	const varints, fixed32s, fixed64s, texts = protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType
	kinds := [...]protowire.Type{1: varints, varints, varints, varints, varints, fixed32s, fixed64s, texts}
	give := func(number protowire.Number, x uint64, text []byte) error {
		switch {
		case number != contentsFields[in.kind]:
			return feature.Errorf(feature.Invalid, "lookup", "input "+in.name, "a tensor of %s has no %s", in.kind, contentsNames[number])
		case put != nil && !put(x, text):
			return feature.Errorf(feature.Invalid, "lookup", "input "+in.name, "value %d, %d, is no element of a tensor of %s", n, int64(x), in.kind)
		}
		n++
		return nil
	}
	for b := in.contents; len(b) > 0; {
		f, rest, ok := nextField(b)
		if !ok {
			return 0, notMessage()
		}
		b = rest
		if int(f.number) >= len(kinds) {
			continue
		}
		switch kind := kinds[f.number]; {
		case f.kind == kind:
			err = give(f.number, f.x, f.part)
		case f.kind == texts: // packed
			for p := f.part; len(p) > 0 && err == nil; {
				var x uint64
				size := 0
				switch kind {
				case varints:
					x, size = protowire.ConsumeVarint(p)
				case fixed32s:
					var narrow uint32
					narrow, size = protowire.ConsumeFixed32(p)
					x = uint64(narrow)
				default:
					x, size = protowire.ConsumeFixed64(p)
				}
				if size < 0 {
					return 0, notMessage()
				}
				p, err = p[size:], give(f.number, x, nil)
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// unpack makes a raw tensor of n typed elements.
func (r *inferRequest) unpack(in *inferInput, n int) error {
	from := len(r.message.typed)
	_, err := in.elements(func(x uint64, text []byte) bool {
		if in.kind == dtBytes {
			r.message.typed = append(binary.LittleEndian.AppendUint32(r.message.typed, uint32(len(text))), text...)
			return true
		}
		fits := true
		switch in.kind {
		case dtBool:
			x = min(x, 1)
		case int8s:
			fits = int32(x) == int32(int8(x))
		case int16s:
			fits = int32(x) == int32(int16(x))
		case uint8s:
			fits = uint32(x) <= math.MaxUint8
		case uint16s:
			fits = uint32(x) <= math.MaxUint16
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], x)
		r.message.typed = append(r.message.typed, b[:datatypeWidths[in.kind]]...)
		return fits
	})
	in.raw = r.message.typed[from:len(r.message.typed):len(r.message.typed)]
	in.size = len(in.raw)
	return err
}

// contentsSize is how long the field of a raw tensor's elements is in an InferTensorContents.
func contentsSize(kind datatype, raw []byte) (n int) {
	switch kind {
	case int32s, int64s:
		for i := 0; i < len(raw); i += datatypeWidths[kind] {
			n += uvarintSize(wholeAt(kind, raw[i:]))
		}
		return optionalSize(n)
	case dtBytes:
		for len(raw) > 0 {
			var text []byte
			text, raw, _ = cutRaw(raw)
			n += partSize(len(text))
		}
		return n
	}
	return optionalSize(len(raw)) // numbers of one width, and booleans, are the same bytes
}

// appendContents writes the elements of a raw tensor as that field.
func appendContents(dst []byte, kind datatype, raw []byte) []byte {
	if len(raw) == 0 {
		return dst
	}
	tag := byte(contentsFields[kind])<<3 | lengthType
	switch kind {
	case int32s, int64s:
		n := 0
		for i := 0; i < len(raw); i += datatypeWidths[kind] {
			n += uvarintSize(wholeAt(kind, raw[i:]))
		}
		dst = binary.AppendUvarint(append(dst, tag), uint64(n))
		for i := 0; i < len(raw); i += datatypeWidths[kind] {
			dst = binary.AppendUvarint(dst, wholeAt(kind, raw[i:]))
		}
		return dst
	case dtBytes:
		for len(raw) > 0 {
			var text []byte
			text, raw, _ = cutRaw(raw)
			dst = append(binary.AppendUvarint(append(dst, tag), uint64(len(text))), text...)
		}
		return dst
	}
	return append(binary.AppendUvarint(append(dst, tag), uint64(len(raw))), raw...)
}

// wholeAt is a number of a raw tensor as a varint has it: one below zero is as wide as an int64.
func wholeAt(kind datatype, raw []byte) uint64 {
	if kind == int32s {
		return uint64(int64(int32(binary.LittleEndian.Uint32(raw))))
	}
	return binary.LittleEndian.Uint64(raw)
}
