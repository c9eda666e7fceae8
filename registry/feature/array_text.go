package feature

import (
	"encoding/base64"
	"strconv"
)

// ArrayText is an array of type t in its packed form as people read it, a list like
// [1, 2] or ["a", "b"], shortened as Shorten does; bytes are in base64, times in rfc3339.
func ArrayText(t Type, packed []byte) string {
	var v Vector
	if err := v.Unpack(t, packed); err != nil {
		return err.Error()
	}
	out := []byte{'['}
	for i := range v.Valid {
		if i > 0 {
			out = append(out, ", "...)
		}
		if len(out) > shortened {
			break // Shorten cuts the rest off
		}
		out = appendElementForPeople(out, &v, i)
	}
	return Shorten(append(out, ']'))
}

func appendElementForPeople(dst []byte, v *Vector, i int) []byte {
	switch v.Type {
	case Bool:
		return strconv.AppendBool(dst, v.Bools[i])
	case Int32:
		return strconv.AppendInt(dst, int64(v.Int32s[i]), 10)
	case Int64:
		return strconv.AppendInt(dst, v.Int64s[i], 10)
	case Float32:
		return strconv.AppendFloat(dst, float64(v.Float32[i]), 'g', -1, 32)
	case Float64:
		return strconv.AppendFloat(dst, v.Float64[i], 'g', -1, 64)
	case Timestamp:
		return Time(v.Int64s[i]).AppendFormat(dst, "2006-01-02T15:04:05.999999Z07:00")
	case Bytes:
		return base64.StdEncoding.AppendEncode(dst, v.Bytes[i])
	}
	text := v.Bytes[i]
	return strconv.AppendQuote(dst, string(text[:min(len(text), 4*shortened)]))
}
