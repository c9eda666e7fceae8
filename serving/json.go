package serving

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// appendText writes s as a JSON string. What is not UTF-8 becomes U+FFFD, as in encoding/json.
func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
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
			i++
			from = i
			continue
		}
		if size := runeAt(s[i:min(len(s), i+utf8.UTFMax)]); size > 0 {
			i += size
			continue
		}
		dst = append(append(dst, s[from:i]...), `\ufffd`...)
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// runeAt is how many bytes the first character of s has; 0 when it is none.
func runeAt[T string | []byte](s T) int {
	var b [utf8.UTFMax]byte
	r, size := utf8.DecodeRune(b[:copy(b[:], s)])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}
