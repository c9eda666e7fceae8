package pyregex

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// class reads a bracketed set, whose [ is consumed.
func (t *translator) class() error {
	t.out.WriteByte('[')
	if t.more() && t.src[t.pos] == '^' {
		t.out.WriteByte('^')
		t.pos++
	}
	for first := true; ; first = false {
		if !t.more() {
			return errors.New("a [ is not closed")
		}
		if t.src[t.pos] == ']' && !first {
			t.pos++
			t.out.WriteByte(']')
			return nil
		}
		lo, set, err := t.member()
		if err != nil {
			return err
		}
		if t.pos+1 < len(t.src) && t.src[t.pos] == '-' && t.src[t.pos+1] != ']' {
			t.pos++
			hi, set2, err := t.member()
			if err != nil {
				return err
			}
			if set != "" || set2 != "" || hi < lo {
				return errors.New("a range in [] is the wrong way round or has no end")
			}
			fmt.Fprintf(&t.out, `\x{%x}-\x{%x}`, lo, hi)
			continue
		}
		if set != "" {
			t.out.WriteString(set)
		} else {
			fmt.Fprintf(&t.out, `\x{%x}`, lo)
		}
	}
}

// member reads one character of a set, or a shorthand as ranges.
func (t *translator) member() (r rune, set string, err error) {
	r = t.src[t.pos]
	t.pos++
	if r != '\\' {
		return r, "", nil
	}
	if !t.more() {
		return 0, "", errors.New("a backslash ends the pattern")
	}
	switch e := t.src[t.pos]; e {
	case 'd', 'D', 'w', 'W', 's', 'S':
		t.pos++
		return 0, t.shorthand(e), nil
	case 'b':
		t.pos++
		return '\b', "", nil
	case '8', '9':
		return 0, "", fmt.Errorf(`bad escape \%c`, e)
	}
	r, err = t.char()
	return r, "", err
}

// Python's classes for str: digits are decimal digits of any script, word
// characters all letters and numbers and _, spaces what str.isspace says.
var spaces = &unicode.RangeTable{
	R16:         []unicode.Range16{{Lo: '\t', Hi: '\r', Stride: 1}, {Lo: 0x1c, Hi: ' ', Stride: 1}, {Lo: 0x85, Hi: 0x85, Stride: 1}, {Lo: 0xa0, Hi: 0xa0, Stride: 1}},
	LatinOffset: 4,
}

// shorthand is \d, \w, \s or the opposite as ranges inside brackets.
func (t *translator) shorthand(e rune) string {
	var r []rune
	switch unicode.ToLower(e) {
	case 'd':
		r = ranges(unicode.Nd)
	case 'w':
		r = ranges(unicode.L, unicode.N, &unicode.RangeTable{R16: []unicode.Range16{{Lo: '_', Hi: '_', Stride: 1}}})
	default:
		r = ranges(spaces, unicode.Z)
	}
	if t.ascii {
		switch unicode.ToLower(e) {
		case 'd':
			r = []rune{'0', '9'}
		case 'w':
			r = []rune{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}
		default:
			r = []rune{'\t', '\r', ' ', ' '}
		}
	}
	if unicode.IsUpper(e) {
		r = complement(r)
	}
	var b strings.Builder
	for i := 0; i < len(r); i += 2 {
		fmt.Fprintf(&b, `\x{%x}-\x{%x}`, r[i], r[i+1])
	}
	return b.String()
}

// ranges merges tables to sorted pairs of first and last rune.
func ranges(tables ...*unicode.RangeTable) []rune {
	var pairs [][2]rune
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			pairs = append(pairs, [2]rune{lo, hi})
			return
		}
		for r := lo; r <= hi; r += stride {
			pairs = append(pairs, [2]rune{r, r})
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	slices.SortFunc(pairs, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	var out []rune
	for _, p := range pairs {
		if n := len(out); n > 0 && p[0] <= out[n-1]+1 {
			out[n-1] = max(out[n-1], p[1])
		} else {
			out = append(out, p[0], p[1])
		}
	}
	return out
}

func complement(r []rune) []rune {
	var out []rune
	next := rune(0)
	for i := 0; i < len(r); i += 2 {
		if r[i] > next {
			out = append(out, next, r[i]-1)
		}
		next = r[i+1] + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, next, unicode.MaxRune)
	}
	return out
}
