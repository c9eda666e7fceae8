package serving

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// vectors is Question.Entities: each join key is an input tensor of shape [n] or [n,1]. As in every lookup whole numbers of
// any width are taken where they fit, and text where it reads as the key's type; for null nothing is found.
func (r *inferRequest) vectors(keys []feature.Field) ([]feature.Vector, int, error) {
	if err := sameKeys(keys, len(r.inputs), func(i int) string { return r.inputs[i].name }); err != nil {
		return nil, 0, err
	}
	r.keys = slices.Grow(r.keys[:0], len(keys))[:len(keys)]
	rows := 0
	for i, k := range keys {
		in := &r.inputs[slices.IndexFunc(r.inputs, func(in inferInput) bool { return in.name == k.Name })]
		n, err := r.rows(in)
		if err != nil {
			return nil, 0, err
		}
		if i == 0 {
			rows = n
		}
		if n != rows {
			return nil, 0, unequal(keys, i, n, rows)
		}
		if r.most > 0 && n > r.most {
			return nil, n, nil // who asks refuses so many
		}
		// Only now is n known to be no more than what the body holds.
		r.keys[i].Reset(k.Type, n)
		if in.size < 0 && in.data == 0 {
			err = r.unpack(in, n)
		}
		switch {
		case err != nil:
		case in.size >= 0:
			err = in.fillRaw(&r.keys[i], k)
		default:
			err = r.fill(&r.keys[i], k, in)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return r.keys, rows, nil
}

// rows is how many entities a tensor has: as many as its shape says and its data holds.
func (r *inferRequest) rows(in *inferInput) (int, error) {
	has := int64(0)
	switch w := datatypeWidths[in.kind]; {
	case in.data > 0:
		has = int64(r.doc.Nodes[in.data].Len)
	case in.size < 0:
		var err error
		if has, err = in.elements(nil); err != nil {
			return 0, err
		}
	case w > 0 && in.size%w != 0:
		return 0, feature.Errorf(feature.Invalid, "lookup", "input "+in.name, "%d bytes are no whole number of %s", in.size, in.kind)
	case w > 0:
		has = int64(in.size / w)
	default:
		for b := in.raw; len(b) > 0; has++ {
			var ok bool
			if _, b, ok = cutRaw(b); !ok {
				return 0, feature.Errorf(feature.Invalid, "lookup", "input "+in.name, "element %d runs over the end of the tensor", has)
			}
		}
	}
	if in.rows != has {
		return 0, feature.Errorf(feature.Invalid, "lookup", "input "+in.name, "the shape says %d elements, and there are %d", in.rows, has)
	}
	return int(has), nil
}

// cutRaw takes an element off a raw tensor of BYTES.
func cutRaw(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// fill reads the elements from JSON: a list of them, or of lists of one.
func (r *inferRequest) fill(v *feature.Vector, k feature.Field, in *inferInput) error {
	d := &r.doc
	row := 0
	for at := in.data + 1; at < d.Nodes[in.data].Next; at = d.Nodes[at].Next {
		value := at
		if n := &d.Nodes[at]; n.Kind == jsonscan.Array && n.Len == 1 {
			value++
		}
		if !in.kind.takes(d.Nodes[value].Kind) {
			return feature.Errorf(feature.Invalid, "lookup", "input "+in.name, "value %d, %s, is no element of a tensor of %s", row, strings.ToValidUTF8(short(d.Raw(value)), "\ufffd"), in.kind)
		}
		if !r.key(v, row, value) {
			return notOf(k, row, strings.ToValidUTF8(short(d.Raw(value)), "\ufffd"))
		}
		row++
	}
	return nil
}

// takes reports whether an element of the type is written so.
func (d datatype) takes(k jsonscan.Kind) bool {
	switch k {
	case jsonscan.Null:
		return true
	case jsonscan.True, jsonscan.False:
		return d == dtBool
	case jsonscan.String:
		return d == dtBytes
	case jsonscan.Number:
		return d != dtBool && d != dtBytes
	}
	return false
}

// fillRaw reads the elements from a raw tensor, little-endian. It has no nulls.
func (in *inferInput) fillRaw(v *feature.Vector, k feature.Field) error {
	for i := range v.Valid {
		v.Valid[i] = true
	}
	b, le := in.raw, binary.LittleEndian
	if in.kind == dtBytes {
		for i := range v.Valid {
			var text []byte
			text, b, _ = cutRaw(b)
			switch {
			case k.Type == feature.Bytes:
				v.Bytes[i] = text
			case !utf8.Valid(text):
				return notOf(k, i, strings.ToValidUTF8(short(text), "\ufffd"))
			case k.Type == feature.String:
				v.Bytes[i] = text
			default:
				if err := ParseKey(v, k.Type, i, view(text)); err != nil {
					return notOf(k, i, short(text))
				}
			}
		}
		return nil
	}
	if (in.kind == dtBool) != (k.Type == feature.Bool) || in.kind == fp16 {
		return notOf(k, 0, in.kind)
	}
	for i := range v.Valid {
		var x int64
		fits := true
		switch in.kind {
		case dtBool:
			v.Bools[i] = b[i] != 0
			continue
		case uint8s:
			x = int64(b[i])
		case int8s:
			x = int64(int8(b[i]))
		case uint16s:
			x = int64(le.Uint16(b[2*i:]))
		case int16s:
			x = int64(int16(le.Uint16(b[2*i:])))
		case uint32s:
			x = int64(le.Uint32(b[4*i:]))
		case int32s:
			x = int64(int32(le.Uint32(b[4*i:])))
		case uint64s, int64s:
			x = int64(le.Uint64(b[8*i:]))
			fits = in.kind == int64s || x >= 0
		case fp32:
			x, fits = wholeOf(float64(math.Float32frombits(le.Uint32(b[4*i:]))))
		case fp64:
			x, fits = wholeOf(math.Float64frombits(le.Uint64(b[8*i:])))
		}
		if !fits || !putWhole(v, i, x) {
			return notOf(k, i, in.kind)
		}
	}
	return nil
}

// wholeOf is a float that is a whole number and fits.
func wholeOf(x float64) (int64, bool) {
	if x != math.Trunc(x) || x < -1<<63 || x >= 1<<63 {
		return 0, false
	}
	return int64(x), true
}
