package feastredis

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/registry/feature"
)

// The lists of feast.types.Value: the kind of the elements and ten more, each a message
// with one repeated field.

func (k kind) isList() bool { return k >= 10+kindBytes && k <= 10+kindTime }

// readList reads the message of a list and adds its elements to v, numbers packed or not.
func (v *value) readList(raw []byte) error {
	elem := v.kind - 10
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return protowire.ParseError(n)
		}
		body := raw[n:]
		size := protowire.ConsumeFieldValue(num, typ, body)
		if size < 0 {
			return protowire.ParseError(size)
		}
		raw = body[size:]
		switch {
		case num != 1:
		case typ == wire[elem]:
			v.list = append(v.list, scalar(elem, body))
		case typ == protowire.BytesType:
			packed, _ := protowire.ConsumeBytes(body)
			for len(packed) > 0 {
				n := protowire.ConsumeFieldValue(1, wire[elem], packed)
				if n < 0 {
					return protowire.ParseError(n)
				}
				v.list = append(v.list, scalar(elem, packed))
				packed = packed[n:]
			}
		default:
			return fmt.Errorf("an element of its %s is written in another way", v.kind)
		}
	}
	for i := range v.list {
		if elem == kindString && !utf8.ValidString(v.list[i].s) {
			return fmt.Errorf("string %d of the list is not UTF-8", i)
		}
	}
	return nil
}

// convertList gives a list as an array: a []any with its elements as convert has them.
func (v value) convertList(to feature.Type) (any, error) {
	if !to.IsArray() {
		return nil, mismatch(v.kind, to)
	}
	out := make([]any, len(v.list)) // an empty list may be of any kind: Feast does not always know it
	for i, e := range v.list {
		x, nan, err := e.convert(to.Elem())
		switch {
		case err != nil && err.Error() == mismatch(e.kind, to.Elem()).Error():
			return nil, mismatch(v.kind, to)
		case err != nil:
			return nil, refuse("%s with %s", v.kind, err)
		case nan:
			return nil, refuse("%s with a NaN, which no event can have, nor an array a null", v.kind)
		}
		out[i] = x
	}
	return out, nil
}
