package expect

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect/pyregex"
)

// matcher tells whether a text has a pattern.
type matcher func(string) bool

func regexRule(want bool) func(*args) built {
	return func(a *args) built {
		col, ok := a.textColumn()
		p, given := a.str("regex", "a regular expression")
		if !ok || !given {
			return built{}
		}
		return a.patterns(col, want, false, "match of", []string{"regex"}, []string{p}, compileRegex)
	}
}

func regexListRule(want bool) func(*args) built {
	return func(a *args) built {
		return a.patternList("regex_list", "a list of regular expressions", want, "match of", compileRegex)
	}
}

func compileRegex(p string) (matcher, error) {
	re, err := pyregex.Compile(p)
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}

// likeRule matches the whole value with SQL's LIKE: % is any text, _ any
// character, case counts. As in PostgreSQL a backslash before them, or the
// character that escape names, takes their meaning away.
func likeRule(want bool) func(*args) built {
	return func(a *args) built {
		col, ok := a.textColumn()
		p, given := a.str("like_pattern", "a LIKE pattern, like abc%")
		like := a.like()
		if !ok || !given || a.bad {
			return built{}
		}
		return a.patterns(col, want, false, "like", []string{"like_pattern"}, []string{p}, like)
	}
}

func likeListRule(want bool) func(*args) built {
	return func(a *args) built {
		return a.patternList("like_pattern_list", "a list of LIKE patterns", want, "like", a.like())
	}
}

func (a *args) like() func(string) (matcher, error) {
	escape := '\\'
	if r, ok := a.get("escape"); ok {
		var s string
		if a.decode("escape", r, &s, "one character") {
			if rs := []rune(s); len(rs) == 1 && rs[0] != '%' && rs[0] != '_' {
				escape = rs[0]
			} else {
				a.fault("escape", "must be one character that is not a wildcard (got %s)", short(r))
			}
		}
	}
	return func(p string) (matcher, error) { return compileLike(p, escape) }
}

func (a *args) patternList(kwarg, what string, want bool, verb string, compile func(string) (matcher, error)) built {
	col, ok := a.textColumn()
	ps, given := a.strings(kwarg, what)
	all := false
	if want {
		all = a.oneOf("match_on", "any", "all") == "all"
	}
	if !ok || !given || a.bad {
		return built{}
	}
	if len(ps) == 0 {
		a.fault(kwarg, "must have at least one pattern")
		return built{}
	}
	at := make([]string, len(ps))
	for i := range at {
		at[i] = fmt.Sprintf("%s[%d]", kwarg, i)
	}
	return a.patterns(col, want, all, verb, at, ps, compile)
}

// patterns makes the loop of all pattern rules. Wanted, a value must match any
// of the patterns, or all; unwanted it must match none.
func (a *args) patterns(col int, want, all bool, verb string, at, ps []string, compile func(string) (matcher, error)) built {
	ms := make([]matcher, len(ps))
	for i, p := range ps {
		m, err := compile(p)
		if err != nil {
			a.fault(at[i], "%v", err)
			continue
		}
		ms[i] = m
	}
	if a.bad {
		return built{}
	}
	join, ok := " or ", func(s string) bool {
		for _, m := range ms {
			if m(s) {
				return want
			}
		}
		return !want
	}
	if all {
		join, ok = " and ", func(s string) bool {
			for _, m := range ms {
				if !m(s) {
					return false
				}
			}
			return true
		}
	} else if m := ms[0]; len(ms) == 1 {
		ok = func(s string) bool { return m(s) == want }
		if want {
			ok = m
		}
	}
	text := verb + " " + strings.Join(ps, join)
	if !want {
		text = "no " + text
		if verb == "like" {
			text = "not like " + strings.Join(ps, join)
		}
	}
	return built{a.onText(col, ok), feature.Shorten([]byte(text))}
}

// textColumn reads the column of a pattern rule.
func (a *args) textColumn() (int, bool) {
	col, ok := a.column("column")
	if ok && (a.typ(col) == feature.Bytes || a.typ(col) == feature.Timestamp) {
		a.unfits("column", "column %s is %s and has no text to match", a.name(col), a.typ(col))
		return 0, false
	}
	return col, ok
}

// textOf is b as a string without a copy; it lives as long as b is not written.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
