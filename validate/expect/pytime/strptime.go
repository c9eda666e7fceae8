package pytime

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Format is a compiled strptime format, safe for use by many goroutines.
type Format struct {
	re     *regexp.Regexp
	groups []byte // by capture: its directive, 0 for none
	fixed  []item // nil when the format has more than fixed numbers and separators
}

// item is a directive, or a byte that has to be there.
type item struct {
	directive byte
	literal   byte
}

// What a directive matches. As in Python's strptime a number may lack its
// leading zero, and the first alternative that fits is taken and never revised.
var directives = map[byte]string{
	'd': `3[0-1]|[1-2][0-9]|0[1-9]|[1-9]| [1-9]`,
	'f': `[0-9]{1,6}`,
	'H': `2[0-3]|[0-1][0-9]|[0-9]`,
	'I': `1[0-2]|0[1-9]|[1-9]`,
	'G': `[0-9]{4}`,
	'j': `36[0-6]|3[0-5][0-9]|[1-2][0-9][0-9]|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]`,
	'm': `1[0-2]|0[1-9]|[1-9]`,
	'M': `[0-5][0-9]|[0-9]`,
	'S': `6[0-1]|[0-5][0-9]|[0-9]`,
	'U': `5[0-3]|[0-4][0-9]|[0-9]`,
	'W': `5[0-3]|[0-4][0-9]|[0-9]`,
	'w': `[0-6]`,
	'u': `[1-7]`,
	'V': `5[0-3]|0[1-9]|[1-4][0-9]|[0-9]`,
	'y': `[0-9]{2}`,
	'Y': `[0-9]{4}`,
	'z': `[+-][0-9]{2}:?[0-5][0-9](?::?[0-5][0-9](?:\.[0-9]{1,6})?)?|(?-i:Z)`,
	'A': `wednesday|thursday|saturday|tuesday|monday|friday|sunday`,
	'a': `mon|tue|wed|thu|fri|sat|sun`,
	'B': `september|february|november|december|january|october|august|march|april|june|july|may`,
	'b': `jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec`,
	'p': `am|pm`,
	'Z': `utc|gmt`,
}

// Directives that stand for others, in the C locale.
var composed = strings.NewReplacer("%%", "%%", "%c", "%a %b %d %H:%M:%S %Y", "%x", "%m/%d/%y", "%X", "%H:%M:%S")

// CompileFormat reads a strptime format. It refuses a format with which no text
// could be read.
func CompileFormat(format string) (*Format, error) {
	f := &Format{groups: []byte{0}}
	src := []rune(composed.Replace(format))
	var re strings.Builder
	re.WriteString(`\A(?i)`)
	fixed, seen := true, map[byte]bool{}
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '%':
			if i++; i >= len(src) {
				return nil, fmt.Errorf("format %q: it ends in a single %%", format)
			}
			if src[i] == '%' {
				re.WriteByte('%')
				f.fixed = append(f.fixed, item{literal: '%'})
				continue
			}
			d := byte(src[i])
			want, ok := directives[d]
			if !ok || src[i] > 0x7f {
				return nil, fmt.Errorf("format %q: %%%c is not a directive that strptime reads", format, src[i])
			}
			if seen[d] {
				return nil, fmt.Errorf("format %q: %%%c is there twice", format, d)
			}
			seen[d] = true
			re.WriteString("(" + want + ")")
			f.groups = append(f.groups, d)
			f.fixed = append(f.fixed, item{directive: d})
			fixed = fixed && strings.IndexByte("YmdHMSfy", d) >= 0
		case unicode.IsSpace(c) || c >= 0x1c && c <= 0x1f:
			for i+1 < len(src) && (unicode.IsSpace(src[i+1]) || src[i+1] >= 0x1c && src[i+1] <= 0x1f) {
				i++
			}
			re.WriteString(`[\t-\r\x1c-\x20\x{85}\x{a0}\p{Z}]+`)
			f.fixed = append(f.fixed, item{literal: ' '})
		default:
			re.WriteString(regexp.QuoteMeta(string(c)))
			fixed = fixed && c < 0x80
			f.fixed = append(f.fixed, item{literal: byte(c)})
		}
	}
	if !fixed {
		f.fixed = nil
	}
	weekday := seen['A'] || seen['a'] || seen['w'] || seen['u']
	switch year := seen['Y'] || seen['y']; {
	case !year && seen['G'] && !(seen['V'] && weekday):
		return nil, fmt.Errorf("format %q: %%G needs %%V and a weekday beside it", format)
	case !year && seen['G'] && seen['j']:
		return nil, fmt.Errorf("format %q: %%G and %%j exclude each other", format)
	case seen['V'] && !seen['U'] && !seen['W'] && (year || !seen['G']):
		return nil, fmt.Errorf("format %q: %%V needs %%G and a weekday beside it, and no other year", format)
	}
	var err error
	f.re, err = regexp.Compile(re.String())
	if err != nil {
		return nil, fmt.Errorf("format %q: %w", format, err)
	}
	return f, nil
}

// Match reports whether strptime reads the text with the format.
func (f *Format) Match(s string) bool {
	return f.fixed != nil && f.fast(s) || f.slow(s)
}

// fast reads the usual case: every number with all its digits. What it does not
// take goes to slow, which decides.
func (f *Format) fast(s string) bool {
	p := reader{s: s, ok: true}
	y, m, d := 1900, 1, 1
	for _, it := range f.fixed {
		switch it.directive {
		case 0:
			p.then(it.literal)
		case 'Y':
			y = p.digits(4)
		case 'y':
			y = 2000 + p.digits(2)
			if y > 2068 {
				y -= 100
			}
		case 'm':
			m = p.digits(2)
		case 'd':
			d = p.digits(2)
		case 'H':
			p.ok = p.digits(2) < 24 && p.ok
		case 'M', 'S':
			p.ok = p.digits(2) < 60 && p.ok
		case 'f':
			p.fraction()
		}
	}
	return p.ok && p.s == "" && validDate(y, m, d)
}

func (f *Format) slow(s string) bool {
	at := f.re.FindStringSubmatchIndex(s)
	if at == nil || at[1] != len(s) {
		return false
	}
	v := map[byte]int{} // by directive
	for g, d := range f.groups[1:] {
		text := s[at[2*g+2]:at[2*g+3]]
		switch d {
		case 'z':
			if !validOffset(text) {
				return false
			}
		case 'A', 'a':
			v['u'] = 1 + strings.Index("montuewedthufrisatsun", strings.ToLower(text[:3]))/3
		case 'B', 'b':
			v['m'] = 1 + strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(text[:3]))/3
		case 'f', 'p', 'Z':
		default:
			v[d], _ = strconv.Atoi(strings.TrimSpace(text))
		}
	}
	if v['S'] > 59 {
		return false // read, and then no datetime has it
	}
	return f.dated(v)
}

// dated reports whether the parts make a day.
func (f *Format) dated(v map[byte]int) bool {
	get := func(d byte, def int) int {
		if n, ok := v[d]; ok {
			return n
		}
		return def
	}
	has := func(d byte) bool { _, ok := v[d]; return ok }
	year := get('Y', 1900)
	if has('y') && !has('Y') {
		if year = 1900 + v['y']; v['y'] <= 68 {
			year += 100
		}
	}
	if has('w') && !has('u') {
		v['u'] = (v['w']+6)%7 + 1
	}
	yearOf := func(y, ordinal int) bool { // a day by its number in the year
		if y < 1 || y > 9999 {
			return false
		}
		day := days(y, 1, 1) + int64(ordinal-1)
		return day >= days(1, 1, 1) && day <= days(9999, 12, 31)
	}
	switch {
	case has('j'):
		return yearOf(year, v['j'])
	case has('u') && has('G') && has('V') && !has('Y') && !has('y') && !has('U') && !has('W'):
		return v['G'] >= 1 && yearOf(v['G'], 1)
	case has('u') && (has('U') || has('W')):
		return year >= 1 && yearOf(year, 7*(get('U', 0)+get('W', 0)))
	}
	return validDate(year, get('m', 1), get('d', 1))
}

// validOffset refuses +hh:mmss, and an offset of a day or more.
func validOffset(z string) bool {
	if z == "Z" {
		return true
	}
	if z[3] == ':' {
		z = z[:3] + z[4:]
		if len(z) > 5 {
			if z[5] != ':' {
				return false
			}
			z = z[:5] + z[6:]
		}
	}
	hours, _ := strconv.Atoi(z[1:3])
	return hours < 24
}
