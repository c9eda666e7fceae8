package expect

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// compileLike splits a LIKE pattern at its % signs. The parts are found from
// left to right, each at the first place it fits, which is enough to decide:
// the first part is bound to the start, the last one to the end.
func compileLike(p string, escape rune) (matcher, error) {
	parts := []likePart{{}}
	esc := false
	for _, r := range p {
		last := &parts[len(parts)-1]
		switch {
		case esc:
			esc = false
			*last = append(*last, likeRune{r: r})
		case r == escape:
			esc = true
		case r == '%':
			parts = append(parts, likePart{})
		default:
			*last = append(*last, likeRune{r: r, any: r == '_'})
		}
	}
	if esc {
		return nil, errors.New("a LIKE pattern must not end in its escape character")
	}
	return func(s string) bool {
		n, ok := parts[0].at(s)
		if !ok {
			return false
		}
		s = s[n:]
		if len(parts) == 1 {
			return s == ""
		}
		for _, part := range parts[1 : len(parts)-1] {
			if s, ok = part.after(s); !ok {
				return false
			}
		}
		return parts[len(parts)-1].ends(s)
	}, nil
}

type likeRune struct {
	r   rune
	any bool
}

type likePart []likeRune

// at matches the part at the start of s and returns the bytes it took.
func (p likePart) at(s string) (n int, ok bool) {
	for _, l := range p {
		r, size := utf8.DecodeRuneInString(s[n:])
		if size == 0 || !l.any && r != l.r {
			return 0, false
		}
		n += size
	}
	return n, true
}

// after finds the part in s and returns what follows it.
func (p likePart) after(s string) (rest string, ok bool) {
	for {
		if len(p) > 0 && !p[0].any {
			i := strings.IndexRune(s, p[0].r)
			if i < 0 {
				return "", false
			}
			s = s[i:]
		}
		if n, ok := p.at(s); ok {
			return s[n:], true
		}
		_, size := utf8.DecodeRuneInString(s)
		if size == 0 {
			return "", false
		}
		s = s[size:]
	}
}

// ends matches the part at the end of s.
func (p likePart) ends(s string) bool {
	from := len(s)
	for range p {
		if from == 0 {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(s[:from])
		from -= size
	}
	_, ok := p.at(s[from:])
	return ok
}
