package online

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/weir-ml/weir/registry/feature"
)

// A row's key is w:{project/entity/key}:view, for example
//
//	w:{default/customer/7590-VHVEG}:customer_profile
//	w:{default/customer,shop/7590-VHVEG,12}:basket
//
// On a cluster the braces put all views of one entity into one slot. Join keys
// stand in the view's order, separated by commas: whole numbers and timestamps
// (microseconds) in decimal, a bool as 0 or 1, a text as it is, with these bytes as
// %XX: percent, comma, braces, control characters and the space.

const hexDigits = "0123456789ABCDEF"

func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c == '%' || c == ',' || c == '{' || c == '}' || c == 0x7f:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, '1')
	}
	return append(dst, '0')
}

// keyFormat builds the keys of one view.
type keyFormat struct{ prefix, suffix string }

func projectOf(v *feature.View) string {
	if v.Meta.Project == "" {
		return "default"
	}
	return v.Meta.Project
}

func newKeyFormat(v *feature.View) keyFormat {
	return keyFormat{
		prefix: "w:{" + projectOf(v) + "/" + v.EntityName() + "/",
		suffix: "}:" + v.Meta.Name,
	}
}

// appendRow appends the key of row i of a batch's key columns.
func (k keyFormat) appendRow(dst []byte, cols []arrow.Array, i int) []byte {
	dst = append(dst, k.prefix...)
	for n, c := range cols {
		if n > 0 {
			dst = append(dst, ',')
		}
		switch c := c.(type) {
		case *array.String:
			dst = appendEscaped(dst, c.Value(i))
		case *array.Int64:
			dst = strconv.AppendInt(dst, c.Value(i), 10)
		case *array.Int32:
			dst = strconv.AppendInt(dst, int64(c.Value(i)), 10)
		case *array.Binary:
			dst = appendEscaped(dst, c.Value(i))
		case *array.Boolean:
			dst = appendBool(dst, c.Value(i))
		case *array.Timestamp:
			dst = strconv.AppendInt(dst, int64(c.Value(i)), 10)
		default:
			panic("online: " + c.DataType().String() + " is not a key type")
		}
	}
	return append(dst, k.suffix...)
}

// appendAsked appends the key of row i of a request; false when a join key is null.
func (k keyFormat) appendAsked(dst []byte, cols []feature.Vector, use []int, i int) ([]byte, bool) {
	dst = append(dst, k.prefix...)
	for n, u := range use {
		c := &cols[u]
		if !c.Valid[i] {
			return dst, false
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		switch c.Type {
		case feature.String, feature.Bytes:
			dst = appendEscaped(dst, c.Bytes[i])
		case feature.Int64, feature.Timestamp:
			dst = strconv.AppendInt(dst, c.Int64s[i], 10)
		case feature.Int32:
			dst = strconv.AppendInt(dst, int64(c.Int32s[i]), 10)
		case feature.Bool:
			dst = appendBool(dst, c.Bools[i])
		default:
			panic("online: " + c.Type.String() + " is not a key type")
		}
	}
	return append(dst, k.suffix...), true
}
