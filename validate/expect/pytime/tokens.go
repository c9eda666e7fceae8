package pytime

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// vocabulary is a list of words; the meaning of one is its place modulo of.
type vocabulary struct {
	of    int
	words []string
}

var (
	weekdayNames = vocabulary{7, []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun",
		"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}}
	monthNames = vocabulary{12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
		"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
		"", "", "", "", "", "", "", "", "sept"}}
	unitNames = vocabulary{3, []string{"h", "m", "s", "hour", "minute", "second", "hours", "minutes", "seconds"}}
	ampmNames = vocabulary{2, []string{"am", "pm", "a", "p"}}
	utcNames  = vocabulary{1, []string{"utc", "gmt", "z"}}
	jumpNames = vocabulary{1, []string{" ", ".", ",", ";", "-", "/", "'", "at", "on", "and", "ad", "m", "t", "of", "st", "nd", "rd", "th"}}
	notNumber = vocabulary{1, []string{"nan", "inf", "infinity"}}
)

// name is the meaning of a token, whatever its case; -1 when it is not in the vocabulary.
func name(t string, in vocabulary) int {
	if t == "" || t[0] >= utf8.RuneSelf {
		return -1
	}
	for i, w := range in.words {
		if len(w) == len(t) && strings.EqualFold(w, t) {
			return i % in.of
		}
	}
	return -1
}

func jump(t string) bool { return name(t, jumpNames) >= 0 }

func allDigits(t string) bool {
	for _, c := range []byte(t) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return t != ""
}

// tooLarge stands for every number that no part of a date can be.
const tooLarge = 1 << 30

func integer(t string) (v int) {
	for _, c := range []byte(t) {
		if v = v*10 + int(c-'0'); v > tooLarge {
			v = tooLarge
		}
	}
	return v
}

// decimal is a number of a text.
type decimal struct {
	whole int
	part  bool // it has a fraction that is not zero
}

func parseDecimal(t string) (decimal, bool) {
	whole, part, dot := strings.Cut(t, ".")
	if !allDigits(whole) || dot && part != "" && !allDigits(part) {
		return decimal{}, false
	}
	return decimal{integer(whole), strings.Trim(part, "0") != ""}, true
}

func adjust(hour, half int) int {
	switch {
	case hour < 12 && half == 1:
		return hour + 12
	case hour == 12 && half == 0:
		return 0
	}
	return hour
}

// split cuts a text into runs of letters, runs of digits, and single other
// characters. A dot, or a comma after two digits, stays inside a number when
// only digits surround it ("4:30:21.447") and separates otherwise ("Sep.20.2009").
func split(s string, out []string) []string {
	s = strings.ReplaceAll(s, "\x00", "")
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		kind := kindOf(r)
		if kind == 0 {
			if unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f {
				out = append(out, " ")
			} else {
				out = append(out, s[:size])
			}
			s = s[size:]
			continue
		}
		n, mixed := run(s, kind)
		t := s[:n]
		s = s[n:]
		last := t[len(t)-1]
		switch {
		case !strings.ContainsAny(t, ".,"):
			out = append(out, t)
		case mixed || strings.Count(t, ".") > 1 || last == '.' || last == ',':
			for t != "" {
				i := strings.IndexAny(t, ".,")
				switch {
				case i < 0:
					out, t = append(out, t), ""
				case i > 0:
					out, t = append(out, t[:i]), t[i:]
				default:
					out, t = append(out, t[:1]), t[1:]
				}
			}
		case strings.IndexByte(t, '.') < 0:
			out = append(out, strings.Replace(t, ",", ".", 1))
		default:
			out = append(out, t)
		}
	}
	return out
}

// kindOf is 'a' for a letter, '0' for a digit and 0 for anything else.
func kindOf(r rune) byte {
	switch {
	case r >= '0' && r <= '9':
		return '0'
	case unicode.IsLetter(r):
		return 'a'
	}
	return 0
}

// run is how many bytes at the start of s belong together, and whether more
// than one letter was seen on the way, the character that ends the run included.
func run(s string, kind byte) (n int, mixed bool) {
	dotted := false
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		k := kindOf(r)
		mixed = mixed || n > 0 && kind == 'a'
		switch {
		case k == kind:
		case r == '.' && n > 0:
			dotted = true
		case r == ',' && kind == '0' && !dotted && n >= 2:
			dotted = true
		case k != 0 && dotted && s[n-1] == '.':
			kind = k
		default:
			return n, mixed
		}
		n += size
	}
	return n, mixed
}
