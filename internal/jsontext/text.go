package jsontext

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendString writes a text in quotes; false where it is not UTF-8.
func AppendString(dst []byte, s []byte) ([]byte, bool) {
	dst = append(dst, '"')
	done := 0
	ascii := true
	for i, c := range s {
		if c >= utf8.RuneSelf {
			ascii = false
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"'), ascii || utf8.Valid(s)
}

// AppendBase64 writes bytes as the text that a column of bytes reads.
func AppendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// AppendFloat writes the shortest number that reads back as f, which is of 32 or 64
// bits; false for NaN and infinities.
func AppendFloat(dst []byte, f float64, bits int) ([]byte, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, false
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits), true
}
