package pyregex

import (
	"fmt"
	"regexp/syntax"
	"sync"
)

// Regexp is a compiled pattern, safe for use by many goroutines.
type Regexp struct {
	prog  *syntax.Prog
	multi bool // the m flag: $ is the end of a line, not of the text
	ascii bool // the a flag: word characters are those of ASCII
	table *table
	pool  sync.Pool // *machine
}

// Compile reads a Python pattern.
func Compile(pattern string) (*Regexp, error) {
	t := translator{src: []rune(pattern)}
	if err := t.run(); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
	}
	parsed, err := syntax.Parse(t.out.String(), syntax.Perl)
	if err != nil {
		if e, ok := err.(*syntax.Error); ok {
			err = fmt.Errorf("%s: %q", e.Code, clip(e.Expr))
		}
		return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
	}
	re := &Regexp{prog: prog, multi: t.multi, ascii: t.ascii}
	re.table = newTable(re)
	return re, nil
}

// MatchString reports whether some part of s matches.
func (re *Regexp) MatchString(s string) bool {
	if re.table != nil {
		if found, ok := re.table.match(s); ok {
			return found
		}
	}
	return re.search(s)
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
