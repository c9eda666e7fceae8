package tabular

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// A cell appends one value of a column as text. One is made for each column and
// batch, so that the choice by type is not made for each value.
type cell func(dst []byte, i int) []byte

// csvCell writes values as CSV does: null is nothing, an empty string is "".
func csvCell(c arrow.Array, sep byte) cell {
	var put cell
	switch c := c.(type) {
	case *array.String:
		put = func(dst []byte, i int) []byte { return appendCSVText(dst, c.Value(i), sep) }
	case *array.Float32:
		put = func(dst []byte, i int) []byte { return appendFloat(dst, float64(c.Value(i)), 32) }
	case *array.Float64:
		put = func(dst []byte, i int) []byte { return appendFloat(dst, c.Value(i), 64) }
	case *array.Timestamp:
		put = func(dst []byte, i int) []byte { return AppendTime(dst, int64(c.Value(i))) }
	case *array.Binary:
		put = func(dst []byte, i int) []byte { return appendBase64(dst, c.Value(i)) }
	case *array.List:
		var text []byte
		list := jsonCell(c, nil)
		put = func(dst []byte, i int) []byte {
			text = list(text[:0], i)
			return appendCSVText(dst, textOf(text), sep)
		}
	default:
		put = jsonCell(c, nil) // numbers and booleans are the same in both
	}
	return func(dst []byte, i int) []byte {
		if c.IsNull(i) {
			return dst
		}
		return put(dst, i)
	}
}

func appendCSVText(dst []byte, v string, sep byte) []byte {
	plain := v != ""
	for i := 0; i < len(v) && plain; i++ {
		plain = v[i] != sep && v[i] != '"' && v[i] != '\n' && v[i] != '\r'
	}
	if plain {
		return append(dst, v...)
	}
	dst = append(dst, '"')
	for i := 0; i < len(v); i++ {
		if v[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, v[i])
	}
	return append(dst, '"')
}

// jsonCell writes values as JSON does; times through stamp (AppendTime in
// quotes when nil). NaN and infinities have no form in JSON and become null.
func jsonCell(c arrow.Array, stamp func(dst []byte, micros int64) []byte) cell {
	if stamp == nil {
		stamp = quotedTime
	}
	var put cell
	switch c := c.(type) {
	case *array.Boolean:
		put = func(dst []byte, i int) []byte { return strconv.AppendBool(dst, c.Value(i)) }
	case *array.Int32:
		put = func(dst []byte, i int) []byte { return strconv.AppendInt(dst, int64(c.Value(i)), 10) }
	case *array.Int64:
		put = func(dst []byte, i int) []byte { return strconv.AppendInt(dst, c.Value(i), 10) }
	case *array.Float32:
		put = func(dst []byte, i int) []byte { return appendJSONFloat(dst, float64(c.Value(i)), 32) }
	case *array.Float64:
		put = func(dst []byte, i int) []byte { return appendJSONFloat(dst, c.Value(i), 64) }
	case *array.String:
		put = func(dst []byte, i int) []byte { return appendJSONString(dst, bytesOf(c.Value(i))) }
	case *array.Binary:
		put = func(dst []byte, i int) []byte { return append(appendBase64(append(dst, '"'), c.Value(i)), '"') }
	case *array.Timestamp:
		put = func(dst []byte, i int) []byte { return stamp(dst, int64(c.Value(i))) }
	case *array.List:
		put = listCell(c, stamp)
	}
	if put == nil {
		put = func(dst []byte, i int) []byte {
			b, err := json.Marshal(c.GetOneForMarshal(i))
			if err != nil {
				return append(dst, "null"...)
			}
			return append(dst, b...)
		}
	}
	return func(dst []byte, i int) []byte {
		if c.IsNull(i) {
			return append(dst, "null"...)
		}
		return put(dst, i)
	}
}

func quotedTime(dst []byte, micros int64) []byte {
	return append(AppendTime(append(dst, '"'), micros), '"')
}

func appendJSONFloat(dst []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...)
	}
	return appendFloat(dst, v, bits)
}
