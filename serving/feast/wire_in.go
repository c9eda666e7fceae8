package feast

import (
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// wireRequest is a GetOnlineFeaturesRequest, read without a message being made of it.
type wireRequest struct {
	wanted
	buf []byte     // the message; raw columns are in it
	out wireAnswer // of this request, in memory that is used again
}

// Decode reads the message.
func (r *wireRequest) Decode(data []byte) error {
	r.buf = append(r.buf[:0], data...)
	service, features := r.service, r.features
	r.service, r.fullNames, r.versions, r.rows = "", false, false, 0
	r.features, r.columns = r.features[:0], r.columns[:0]
	return fields(r.buf, func(f field, v []byte, x uint64) error {
		switch f {
		case text1:
			r.service, r.features = again(service, v), r.features[:0]
		case text2:
			if r.service != "" {
				r.service, r.features = "", r.features[:0]
			}
			return fields(v, func(f field, v []byte, _ uint64) error {
				if f == text1 {
					var before string
					if at := len(r.features); at < len(features) {
						before = features[at]
					}
					r.features = append(r.features, again(before, v))
				}
				return nil
			})
		case text3:
			var c column
			var before string
			if at := len(r.columns); at < cap(r.columns) {
				before = r.columns[:at+1][at].name
			}
			err := fields(v, func(f field, v []byte, _ uint64) error {
				switch f {
				case text1:
					c.name = again(before, v)
				case text2:
					c.raw = v
				}
				return nil
			})
			for i := range r.columns { // the last of a map's entries counts
				if r.columns[i].name == c.name {
					r.columns[i] = c
					return err
				}
			}
			r.columns = append(r.columns, c)
			return err
		case whole4:
			r.fullNames = x != 0
		case whole6:
			r.versions = x != 0
		}
		return nil
	})
}

// again is a text, which most requests have in common with the one before.
func again(before string, v []byte) string {
	if before == string(v) {
		return before
	}
	return string(v)
}

// field is a field's number and its type on the wire. One of a type that the field does
// not have is one that nobody knows, and is passed over.
type field int32

// The fields of requests.
const (
	text1  = field(1<<3) | field(protowire.BytesType)
	text2  = field(2<<3) | field(protowire.BytesType)
	text3  = field(3<<3) | field(protowire.BytesType)
	whole4 = field(4<<3) | field(protowire.VarintType)
	whole6 = field(6<<3) | field(protowire.VarintType)
)

// scalarTypes are those of the scalars of a Value, by kind; of a list they are those of its elements.
var scalarTypes = [...]protowire.Type{1: protowire.BytesType, 2: protowire.BytesType, 3: protowire.VarintType, 4: protowire.VarintType,
	5: protowire.Fixed64Type, 6: protowire.Fixed32Type, 7: protowire.VarintType, 8: protowire.VarintType}

// fields calls fn with the fields of a message: v is what has a length, or the bytes of
// a fixed number, x any number.
func fields(b []byte, fn func(f field, v []byte, x uint64) error) error {
	for len(b) > 0 {
		n, t, size := protowire.ConsumeTag(b)
		if size < 0 {
			return broken(size)
		}
		b = b[size:]
		var v []byte
		var x uint64
		switch t {
		case protowire.VarintType:
			x, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(b)
		case protowire.Fixed64Type:
			x, size = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var y uint32
			y, size = protowire.ConsumeFixed32(b)
			x = uint64(y)
		default:
			size = protowire.ConsumeFieldValue(n, t, b)
		}
		if size < 0 {
			return broken(size)
		}
		if err := fn(field(n)<<3|field(t), v, x); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func broken(size int) error {
	return feature.Errorf(feature.Invalid, "lookup", "request", "%w", protowire.ParseError(size))
}

// fillWire reads a feast.types.RepeatedValue. A value that is a list counts as so many.
func fillWire(k feature.Field, raw []byte, v *feature.Vector) (int, error) {
	if rows, ok, err := fillUsual(k, raw, v); ok {
		return rows, err
	}
	return fillAny(k, raw, v)
}

func fillAny(k feature.Field, raw []byte, v *feature.Vector) (int, error) {
	rows := 0
	if err := fields(raw, func(f field, b []byte, _ uint64) error {
		if f != text1 {
			return nil
		}
		return each(b, func(protowire.Number, []byte, uint64) error { rows++; return nil })
	}); err != nil {
		return 0, err
	}
	v.Reset(k.Type, rows)
	at := 0
	err := fields(raw, func(f field, b []byte, _ uint64) error {
		if f != text1 {
			return nil
		}
		return each(b, func(kind protowire.Number, text []byte, x uint64) error {
			if at == rows {
				return broken(-1) // two scalars in one value
			}
			err := put(k, v, at, kind, text, x)
			at++
			return err
		})
	})
	if err == nil && at != rows {
		err = broken(-1)
	}
	return rows, err
}

// fillUsual is fillWire where every value is one scalar, as nearly always; false where one is not.
func fillUsual(k feature.Field, raw []byte, v *feature.Vector) (rows int, ok bool, err error) {
	for b := raw; len(b) > 0; rows++ {
		if b[0] != tag1 {
			return 0, false, nil
		}
		val, n := protowire.ConsumeBytes(b[1:])
		if n < 0 || len(val) == 0 || val[0] < 8 || val[0] >= 9<<3 || protowire.Type(val[0]&7) != scalarTypes[val[0]>>3] {
			return 0, false, nil
		}
		b = b[1+n:]
	}
	v.Reset(k.Type, rows)
	b := raw
	for i := range rows {
		val, n := protowire.ConsumeBytes(b[1:])
		b = b[1+n:]
		kind, rest := protowire.Number(val[0]>>3), val[1:]
		var text []byte
		var x uint64
		switch protowire.Type(val[0] & 7) {
		case protowire.VarintType:
			x, n = protowire.ConsumeVarint(rest)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(rest)
		case protowire.Fixed64Type:
			x, n = protowire.ConsumeFixed64(rest)
		default:
			var y uint32
			y, n = protowire.ConsumeFixed32(rest)
			x = uint64(y)
		}
		if n != len(rest) {
			return 0, false, nil
		}
		if err := put(k, v, i, kind, text, x); err != nil {
			return 0, true, err
		}
	}
	return rows, true, nil
}

// each calls fn with the scalars of a Value: itself, those of its list, or none as kind 0.
func each(b []byte, fn func(kind protowire.Number, text []byte, x uint64) error) error {
	if len(b) == 0 {
		return fn(0, nil, 0)
	}
	none := true
	err := fields(b, func(f field, text []byte, x uint64) error {
		n, t := protowire.Number(f>>3), protowire.Type(f&7)
		switch {
		case n >= 1 && n <= 8:
			if t != scalarTypes[n] {
				return nil
			}
			none = false
			return fn(n, text, x)
		case n >= 11 && n <= 18:
			if t != protowire.BytesType {
				return nil
			}
			none = false
			kind := n - 10
			return fields(text, func(f field, text []byte, x uint64) error {
				switch t := protowire.Type(f & 7); {
				case f>>3 != 1:
					return nil
				case t == scalarTypes[kind]:
					return fn(kind, text, x)
				case t == protowire.BytesType:
					return packed(kind, text, fn)
				}
				return nil
			})
		case n == 19 && t == protowire.VarintType:
			return nil // null_val
		}
		none = false
		return fn(0, nil, uint64(n)) // of a kind that no join key has
	})
	if err == nil && none {
		err = fn(0, nil, 0)
	}
	return err
}

func packed(kind protowire.Number, b []byte, fn func(protowire.Number, []byte, uint64) error) error {
	for len(b) > 0 {
		x, size := uint64(0), 0
		switch kind {
		case 5:
			x, size = protowire.ConsumeFixed64(b)
		case 6:
			var y uint32
			y, size = protowire.ConsumeFixed32(b)
			x = uint64(y)
		default:
			x, size = protowire.ConsumeVarint(b)
		}
		if size < 0 {
			return broken(size)
		}
		if err := fn(kind, nil, x); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// put sets one value of a join key from a scalar of a Value.
func put(k feature.Field, v *feature.Vector, i int, kind protowire.Number, text []byte, x uint64) error {
	switch kind {
	case 0:
		if x == 0 {
			return nil // null: nobody has such a key
		}
		return notA(k, i, "of kind "+strconv.FormatUint(x, 10))
	case 1, 2:
		switch k.Type {
		case feature.String, feature.Bytes:
			if k.Type == feature.String && !utf8.Valid(text) { // it would be given back as a text
				return notA(k, i, strconv.Quote(feature.Shorten(text)))
			}
			v.Valid[i], v.Bytes[i] = true, text // lives as long as the request
			return nil
		}
		if kind == 1 {
			return notA(k, i, "bytes")
		}
		return putText(k, v, i, string(text))
	case 3:
		return putWhole(k, v, i, int64(int32(x)))
	case 4:
		return putWhole(k, v, i, int64(x))
	case 5, 6:
		f := math.Float64frombits(x)
		if kind == 6 {
			f = float64(math.Float32frombits(uint32(x)))
		}
		return putFloat(k, v, i, f)
	case 7:
		if k.Type != feature.Bool {
			return notA(k, i, "a bool")
		}
		v.Valid[i], v.Bools[i] = true, x != 0
		return nil
	default: // 8, seconds
		if k.Type == feature.Timestamp {
			return putSeconds(k, v, i, int64(x))
		}
		return putWhole(k, v, i, int64(x))
	}
}
