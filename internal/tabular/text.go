package tabular

import (
	"encoding/base64"
	"math"
	"strconv"
	"unsafe"

	"github.com/weir-ml/weir/registry/feature"
)

// textOf sees bytes as a string for the length of a call.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf sees a string as bytes for the length of a call; they must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// parseInt reads a decimal integer: digits with an optional sign. big tells that
// it is one, but does not fit 64 bits.
func parseInt(b []byte) (v int64, ok, big bool) {
	i, neg := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		i++
	}
	if i == len(b) {
		return 0, false, false
	}
	var u uint64
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			return 0, false, false
		}
		if u > (math.MaxUint64-9)/10 {
			big = true
			continue
		}
		u = u*10 + uint64(d)
	}
	limit := uint64(math.MaxInt64)
	if neg {
		limit++
	}
	if big || u > limit {
		return 0, false, true
	}
	if neg {
		return -int64(u), true, false
	}
	return int64(u), true, false
}

// parseFloat reads a decimal number, nan, inf or infinity. Go's own extras
// (hexadecimal, underscores) and numbers beyond the type's range are refused.
func parseFloat(b []byte, bits int) (float64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c == '_' || c == 'x' || c == 'X' || c == 'p' || c == 'P' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(textOf(b), bits)
	return v, err == nil
}

func parseBool(b []byte) (v, ok bool) {
	switch string(b) {
	case "true", "True", "TRUE", "1":
		return true, true
	case "false", "False", "FALSE", "0":
		return false, true
	}
	return false, false
}

// ParseTime reads a date, or a date with a time after a T or a space: RFC 3339
// with any offset, or naive, which is UTC. Seconds may be left out; digits
// beyond the sixth of the fraction are cut. The answer is microseconds UTC.
func ParseTime(b []byte) (int64, bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	y, ok1 := digits(b[0:4])
	mo, ok2 := digits(b[5:7])
	d, ok3 := digits(b[8:10])
	if !ok1 || !ok2 || !ok3 || y == 0 || mo < 1 || mo > 12 || d < 1 || d > monthDays(y, mo) {
		return 0, false
	}
	t := daysFromCivil(y, mo, d) * 86400
	b = b[10:]
	if len(b) == 0 {
		return t * 1e6, true
	}
	if (b[0] != 'T' && b[0] != 't' && b[0] != ' ') || len(b) < 6 || b[3] != ':' {
		return 0, false
	}
	h, ok1 := digits(b[1:3])
	mi, ok2 := digits(b[4:6])
	if !ok1 || !ok2 || h > 23 || mi > 59 {
		return 0, false
	}
	t += h*3600 + mi*60
	b = b[6:]
	var micros int64
	if len(b) >= 3 && b[0] == ':' {
		s, ok := digits(b[1:3])
		if !ok || s > 59 {
			return 0, false
		}
		t += s
		b = b[3:]
		if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
			b = b[1:]
			n, unit := 0, int64(100_000)
			for ; n < len(b) && b[n]-'0' <= 9; n++ {
				micros += int64(b[n]-'0') * unit
				unit /= 10
			}
			if n == 0 || n > 12 {
				return 0, false
			}
			b = b[n:]
		}
	}
	off, ok := zone(b)
	if !ok {
		return 0, false
	}
	v := (t-off)*1e6 + micros
	return v, v >= feature.MinTime && v <= feature.MaxTime
}

// zone reads what may follow a time: nothing, Z, +hh:mm, +hhmm or +hh; in seconds.
func zone(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	if b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	sign, b := b[0], b[1:]
	if len(b) == 5 && b[2] == ':' {
		b = []byte{b[0], b[1], b[3], b[4]}
	}
	if len(b) == 2 {
		b = []byte{b[0], b[1], '0', '0'}
	}
	if len(b) != 4 {
		return 0, false
	}
	h, ok1 := digits(b[:2])
	m, ok2 := digits(b[2:])
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	off := h*3600 + m*60
	if sign == '-' {
		off = -off
	}
	return off, true
}

func digits(b []byte) (int64, bool) {
	var v int64
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

func monthDays(y, m int64) int64 {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysFromCivil counts days from 1970-01-01, with years starting in March so
// that the leap day comes last.
func daysFromCivil(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - 719468
}

// AppendTime appends microseconds UTC as RFC 3339 with only the digits that are needed.
func AppendTime(dst []byte, micros int64) []byte {
	return feature.Time(micros).AppendFormat(dst, "2006-01-02T15:04:05.999999Z07:00")
}

// appendFloat writes a number so that it reads back as the same number, and as
// a float: 3 is 3.0. NaN and infinities are for the caller to deal with.
func appendFloat(dst []byte, v float64, bits int) []byte {
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, v, format, -1, bits)
	if format == 'f' {
		for _, c := range dst[n:] {
			if c == '.' || c > '9' { // a fraction, NaN or Inf
				return dst
			}
		}
		dst = append(dst, '.', '0')
	}
	return dst
}

func appendBase64(dst, v []byte) []byte { return base64.StdEncoding.AppendEncode(dst, v) }

const hexDigits = "0123456789abcdef"

// appendJSONString writes a JSON string. Bytes that are not UTF-8 go out as they
// are, so that whoever decodes the row sees and names the fault.
func appendJSONString(dst []byte, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// jsonNumber reports whether b is a number as JSON writes it.
func jsonNumber(b []byte) bool {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && b[i] >= '1' && b[i] <= '9':
		i = skipDigits(b, i)
	default:
		return false
	}
	if i < len(b) && b[i] == '.' {
		j := skipDigits(b, i+1)
		if j == i+1 {
			return false
		}
		i = j
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		j := skipDigits(b, i)
		if j == i {
			return false
		}
		i = j
	}
	return i == len(b)
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}
