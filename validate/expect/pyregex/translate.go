package pyregex

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// translator rewrites a Python pattern in Go's syntax. The anchors keep
// meanings that Go's own engine does not have: ^ becomes \A or (?m:^), \Z becomes
// \z, and $ becomes (?m:$), which the engines here read as Python's $, the end of
// the text or before a last newline, unless the m flag is set.
type translator struct {
	src   []rune
	pos   int
	out   strings.Builder
	depth int
	multi bool
	ascii bool
	atom  bool // something stands before, that a quantifier can repeat
}

var (
	errLook   = errors.New("look-ahead and look-behind are not supported: they cannot be decided in one pass over the text; split the rule, or use the negated expectation")
	errBack   = errors.New("back-references are not supported: they cannot be decided in one pass over the text")
	errAtomic = errors.New("atomic groups and possessive quantifiers are not supported: write the plain ones")
)

func (t *translator) more() bool { return t.pos < len(t.src) }
func (t *translator) peek(s string) bool {
	return strings.HasPrefix(string(t.src[t.pos:min(len(t.src), t.pos+len(s))]), s)
}

func (t *translator) run() error {
	if err := t.globalFlags(); err != nil {
		return err
	}
	for t.more() {
		if err := t.next(); err != nil {
			return err
		}
	}
	if t.depth > 0 {
		return errors.New("a parenthesis is not closed")
	}
	return nil
}

// globalFlags reads (?im) and the like, which Python allows only at the start.
func (t *translator) globalFlags() error {
	for t.peek("(?") {
		end := t.pos + 2
		for end < len(t.src) && t.src[end] < 0x80 && unicode.IsLower(t.src[end]) {
			end++
		}
		if end == t.pos+2 || end >= len(t.src) || t.src[end] != ')' {
			return nil
		}
		for _, f := range t.src[t.pos+2 : end] {
			switch f {
			case 'i', 's':
				t.out.WriteString("(?" + string(f) + ")")
			case 'm':
				t.multi = true
			case 'a':
				t.ascii = true
			case 'u':
			case 'x', 'L':
				return fmt.Errorf("the flag %c is not supported", f)
			default:
				return fmt.Errorf("unknown flag %c", f)
			}
		}
		t.pos = end + 1
	}
	return nil
}

func (t *translator) next() error {
	r := t.src[t.pos]
	t.pos++
	switch r {
	case '\\':
		return t.escape()
	case '[':
		t.atom = true
		return t.class()
	case '(':
		return t.group()
	case ')':
		if t.depth--; t.depth < 0 {
			return errors.New("a parenthesis is closed that was not opened")
		}
		t.out.WriteByte(')')
		t.atom = true
	case '|':
		t.out.WriteByte('|')
		t.atom = false
	case '^':
		t.out.WriteString(map[bool]string{false: `\A`, true: `(?m:^)`}[t.multi])
		t.atom = false
	case '$':
		t.out.WriteString(`(?m:$)`)
		t.atom = false
	case '.':
		t.out.WriteByte('.')
		t.atom = true
	case '*', '+', '?':
		return t.repeat(string(r))
	case '{':
		if q, n := counted(t.src[t.pos-1:]); n > 0 {
			t.pos += n - 1
			return t.repeat(q)
		}
		fallthrough
	default:
		t.literal(r)
	}
	return nil
}

func (t *translator) literal(r rune) {
	t.out.WriteString(regexp.QuoteMeta(string(r)))
	t.atom = true
}

// counted reads {m}, {m,}, {,n} or {m,n} and returns it as Go writes it and its
// length, 0 when the brace is only a brace.
func counted(src []rune) (string, int) {
	i := 1
	digits := func() string {
		from := i
		for i < len(src) && src[i] >= '0' && src[i] <= '9' {
			i++
		}
		return string(src[from:i])
	}
	if i < len(src) && src[i] == '}' {
		return "", 0
	}
	lo := digits()
	hi, comma := lo, false
	if i < len(src) && src[i] == ',' {
		i++
		comma = true
		hi = digits()
	}
	if i >= len(src) || src[i] != '}' {
		return "", 0
	}
	if lo == "" {
		lo = "0"
	}
	if !comma {
		return "{" + lo + "}", i + 1
	}
	return "{" + lo + "," + hi + "}", i + 1
}

func (t *translator) repeat(q string) error {
	if !t.atom {
		return errors.New("nothing to repeat before " + q)
	}
	t.out.WriteString(q)
	t.atom = false
	if t.more() {
		switch t.src[t.pos] {
		case '?': // lazy: finds the same texts
			t.pos++
		case '+':
			return errAtomic
		}
	}
	return nil
}

func (t *translator) group() error {
	t.atom = false
	if !t.peek("?") {
		t.depth++
		t.out.WriteString("(?:")
		return nil
	}
	switch {
	case t.peek("?="), t.peek("?!"), t.peek("?<="), t.peek("?<!"):
		return errLook
	case t.peek("?P="):
		return errBack
	case t.peek("?>"):
		return errAtomic
	case t.peek("?("):
		return errors.New("conditional groups are not supported")
	case t.peek("?#"):
		for t.more() && t.src[t.pos] != ')' {
			t.pos++
		}
		if !t.more() {
			return errors.New("a comment is not closed")
		}
		t.pos++
		t.atom = true // what stood before can still be repeated
		return nil
	case t.peek("?P<"):
		from := t.pos + 3
		for t.more() && t.src[t.pos] != '>' {
			t.pos++
		}
		if !t.more() || !isIdentifier(string(t.src[from:t.pos])) {
			return errors.New("a group's name is wrong")
		}
		t.pos++
		t.out.WriteString("(?:")
		t.depth++
		return nil
	case t.peek("?:"):
		t.pos += 2
		t.out.WriteString("(?:")
		t.depth++
		return nil
	}
	return t.scopedFlags()
}

// scopedFlags reads (?i: (?-i: (?s: and so on.
func (t *translator) scopedFlags() error {
	from := t.pos
	for t.pos++; t.more() && t.src[t.pos] != ':' && t.src[t.pos] != ')'; t.pos++ {
		switch t.src[t.pos] {
		case 'i', 's', '-':
		case 'm', 'x', 'a', 'u', 'L':
			return fmt.Errorf("the flag %c is supported for the whole pattern at most", t.src[t.pos])
		default:
			return errors.New("unknown group: (" + clip(string(t.src[from:])))
		}
	}
	if !t.more() || t.src[t.pos] == ')' {
		return errors.New("flags for the whole pattern belong at its start")
	}
	t.pos++
	t.out.WriteByte('(')
	t.out.WriteString(string(t.src[from:t.pos]))
	t.depth++
	return nil
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != ""
}

// escape reads what follows a backslash outside of brackets.
func (t *translator) escape() error {
	if !t.more() {
		return errors.New("a backslash ends the pattern")
	}
	t.atom = true
	switch r := t.src[t.pos]; r {
	case 'd', 'D', 'w', 'W', 's', 'S':
		t.pos++
		t.out.WriteString("[" + t.shorthand(r) + "]")
		return nil
	case 'b', 'B', 'A':
		t.pos++
		t.out.WriteString(`\` + string(r))
		t.atom = false
		return nil
	case 'Z', 'z':
		t.pos++
		t.out.WriteString(`\z`)
		t.atom = false
		return nil
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if !(t.octal(0) && t.octal(1) && t.octal(2)) {
			return errBack
		}
	}
	c, err := t.char()
	if err != nil {
		return err
	}
	t.literal(c)
	return nil
}

func (t *translator) octal(i int) bool {
	return t.pos+i < len(t.src) && t.src[t.pos+i] >= '0' && t.src[t.pos+i] <= '7'
}

// char reads an escape that stands for one character, backslash consumed.
func (t *translator) char() (rune, error) {
	r := t.src[t.pos]
	t.pos++
	hex := func(n int) (rune, error) {
		if t.pos+n > len(t.src) {
			return 0, fmt.Errorf(`incomplete escape \%c`, r)
		}
		v, err := strconv.ParseUint(string(t.src[t.pos:t.pos+n]), 16, 32)
		if err != nil || v > unicode.MaxRune {
			return 0, fmt.Errorf(`bad escape \%c%s`, r, string(t.src[t.pos:t.pos+n]))
		}
		t.pos += n
		return rune(v), nil
	}
	switch r {
	case 'n':
		return '\n', nil
	case 't':
		return '\t', nil
	case 'r':
		return '\r', nil
	case 'f':
		return '\f', nil
	case 'v':
		return '\v', nil
	case 'a':
		return '\a', nil
	case 'x':
		return hex(2)
	case 'u':
		return hex(4)
	case 'U':
		return hex(8)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		v := r - '0'
		for n := 1; n < 3 && t.octal(0); n++ {
			v = v*8 + t.src[t.pos] - '0'
			t.pos++
		}
		if v > 0o377 {
			return 0, errors.New("an octal escape is above 0o377")
		}
		return v, nil
	}
	if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return 0, fmt.Errorf(`bad escape \%c`, r)
	}
	return r, nil
}
