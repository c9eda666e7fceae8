package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// ends marks (high bit of the byte) where a plain ASCII run stops: a quote, a
// backslash, a control character or a byte above 0x7f. Bits above the lowest
// one set may be false; only the lowest counts.
func ends(w uint64) uint64 {
	q := w ^ '"'*ones
	b := w ^ '\\'*ones
	return ((q-ones)&^q | (b-ones)&^b | (w-0x20*ones)&^w | w) & highs
}

// plain returns the position of the first byte from i on that does not belong
// to a plain run, len(data) when there is none.
func plain(data []byte, i int) int {
	for i+8 <= len(data) {
		if m := ends(binary.LittleEndian.Uint64(data[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(data) {
		c := data[i]
		if c == '"' || c == '\\' || c < 0x20 || c >= utf8.RuneSelf {
			return i
		}
		i++
	}
	return i
}

// text finishes a string whose first bytes [start, i) are a plain run. It
// returns the position of the closing quote.
func text(data []byte, start, i int) (int, Flags, *Error) {
	var f Flags
	for {
		i = plain(data, i)
		if i >= len(data) {
			return 0, 0, fault(len(data), "the text ends inside a string")
		}
		switch c := data[i]; {
		case c == '"':
			if f&NonASCII != 0 && !utf8.Valid(data[start:i]) {
				return 0, 0, fault(start, "invalid UTF-8 in a string")
			}
			return i, f, nil
		case c >= utf8.RuneSelf:
			f |= NonASCII
			for i < len(data) && data[i] >= utf8.RuneSelf {
				i++
			}
		case c < 0x20:
			return 0, 0, fault(i, "a control character inside a string must be escaped")
		default: // backslash
			f |= Escaped
			n, err := escape(data, i)
			if err != nil {
				return 0, 0, err
			}
			if n > 2 {
				f |= NonASCII // perhaps; who counts characters counts them
			}
			i += n
		}
	}
}

// escape returns how many bytes the escape at i takes.
func escape(data []byte, i int) (int, *Error) {
	if i+1 >= len(data) {
		return 0, fault(len(data), "the text ends inside a string")
	}
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, nil
	case 'u':
		r, ok := hex4(data, i+2)
		if !ok {
			return 0, fault(i, `\u must be followed by four hex digits`)
		}
		if !utf16.IsSurrogate(r) {
			return 6, nil
		}
		if i+7 < len(data) && data[i+6] == '\\' && data[i+7] == 'u' {
			if r2, ok := hex4(data, i+8); ok && utf16.DecodeRune(r, r2) != utf8.RuneError {
				return 12, nil
			}
		}
		return 0, fault(i, "half of a surrogate pair is not a character")
	}
	return 0, fault(i, "unknown escape in a string")
}

func hex4(data []byte, i int) (rune, bool) {
	if i+4 > len(data) {
		return 0, false
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// Unescape appends the text of a string that Scan has accepted.
func Unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			j := i + 1
			for j < len(raw) && raw[j] != '\\' {
				j++
			}
			dst = append(dst, raw[i:j]...)
			i = j
			continue
		}
		switch c = raw[i+1]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(raw, i+2)
			i += 6
			if utf16.IsSurrogate(r) {
				r2, _ := hex4(raw, i+2)
				r = utf16.DecodeRune(r, r2)
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
		i += 2
	}
	return dst
}
