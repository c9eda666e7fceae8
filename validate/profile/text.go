package profile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// text is what is known of the texts of a column.
type text struct {
	shortest, longest int // in characters
	empty, blank      bool
	objects, lists    bool // some begin as JSON objects do, as lists do
	others            bool // or as neither
	example           string
	shapes            map[string]*shape
	free              bool // too many shapes to say anything
	key               []byte
	runs              []run
	kinds             []kindOfText
	seen              bool
}

// run is a stretch of a text whose characters are of one class.
type run struct {
	class byte // 'd' digits, 'u' upper case, 'l' lower case, else the character itself
	n     int
}

// shape is a sequence of runs: 7590-VHVEG is four digits, a dash, five capitals.
type shape struct {
	classes  []byte
	min, max []int
}

const (
	maxShapes = 6
	maxRuns   = 12
)

// kindOfText is a form that all texts may have.
type kindOfText struct {
	name     string
	strftime string // how Python writes it
	regex    string
	is       func(s string) bool
}

const (
	uuidRegex  = `^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
	emailRegex = `^[^@\s]+@[^@\s]+\.[^@\s]+$`
	urlRegex   = `^https?://\S+$`
	ipRegex    = `^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$`
)

func kindsOfText() []kindOfText {
	layout := func(l string) func(string) bool {
		return func(s string) bool {
			if len(s) != len(l) {
				return false
			}
			_, err := time.Parse(l, s)
			return err == nil
		}
	}
	return []kindOfText{
		{"dates", "%Y-%m-%d", "", layout("2006-01-02")},
		{"dates", "%d.%m.%Y", "", layout("02.01.2006")},
		{"dates", "%m/%d/%Y", "", layout("01/02/2006")},
		{"dates", "%d/%m/%Y", "", layout("02/01/2006")},
		{"dates", "%Y%m%d", "", layout("20060102")},
		{"UUIDs", "", uuidRegex, isUUID},
		{"addresses of e-mail", "", emailRegex, isEmail},
		{"URLs", "", urlRegex, isURL},
		{"IP addresses", "", ipRegex, isIP},
	}
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

func isEmail(s string) bool {
	at := strings.IndexByte(s, '@')
	if at <= 0 || strings.IndexByte(s[at+1:], '@') >= 0 || strings.ContainsFunc(s, unicode.IsSpace) {
		return false
	}
	dot := strings.LastIndexByte(s, '.')
	return dot > at+1 && dot < len(s)-1
}

func isURL(s string) bool {
	rest, ok := strings.CutPrefix(s, "http://")
	if !ok {
		rest, ok = strings.CutPrefix(s, "https://")
	}
	return ok && rest != "" && !strings.ContainsFunc(s, unicode.IsSpace)
}

func isIP(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return false
	}
	for _, p := range parts {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// container is the JSON type of texts that are all objects or all lists, else "".
func (t *text) container() string {
	switch {
	case t == nil || t.others || t.objects == t.lists:
		return ""
	case t.objects:
		return "object"
	}
	return "array"
}

func newText() *text { return &text{shapes: map[string]*shape{}, kinds: kindsOfText()} }

func (t *text) see(s string) {
	n := utf8.RuneCountInString(s)
	if !t.seen {
		t.shortest, t.longest, t.seen = n, n, true
	}
	t.shortest, t.longest = min(t.shortest, n), max(t.longest, n)
	switch {
	case s == "":
		t.empty = true
	case strings.TrimSpace(s) == "":
		t.blank = true
	case t.example == "":
		t.example = string([]byte(s))
	}
	switch {
	case strings.HasPrefix(s, "{"):
		t.objects = true
	case strings.HasPrefix(s, "["):
		t.lists = true
	default:
		t.others = true
	}
	if len(t.kinds) > 0 {
		t.kinds = slices.DeleteFunc(t.kinds, func(k kindOfText) bool { return !k.is(s) })
	}
	if t.free {
		return
	}
	if !t.shape(s) {
		t.free = true
		t.shapes = nil
	}
}

// shape files a text under its shape; false when there are too many.
func (t *text) shape(s string) bool {
	t.runs = t.runs[:0]
	for i := range len(s) {
		b := s[i]
		c := b
		switch {
		case b >= '0' && b <= '9':
			c = 'd'
		case b >= 'A' && b <= 'Z':
			c = 'u'
		case b >= 'a' && b <= 'z':
			c = 'l'
		case b >= 0x80 || b < ' ' || b == 0x7f:
			return false
		}
		if k := len(t.runs) - 1; k >= 0 && t.runs[k].class == c {
			t.runs[k].n++
			continue
		}
		if len(t.runs) == maxRuns {
			return false
		}
		t.runs = append(t.runs, run{c, 1})
	}
	t.key = t.key[:0]
	for _, r := range t.runs {
		t.key = append(t.key, r.class)
	}
	x := t.shapes[string(t.key)]
	if x == nil {
		if len(t.shapes) == maxShapes {
			return false
		}
		x = &shape{classes: bytes.Clone(t.key)}
		for _, r := range t.runs {
			x.min, x.max = append(x.min, r.n), append(x.max, r.n)
		}
		t.shapes[string(t.key)] = x
		return true
	}
	for i, r := range t.runs {
		x.min[i], x.max[i] = min(x.min[i], r.n), max(x.max[i], r.n)
	}
	return true
}

// regex is a pattern that all texts match, "" when they have none in common
// that would say something.
func (t *text) regex() string {
	if t.free || len(t.shapes) == 0 {
		return ""
	}
	var parts []string
	telling := false
	for _, k := range slices.Sorted(maps.Keys(t.shapes)) {
		x := t.shapes[k]
		parts = append(parts, x.regex())
		if len(x.classes) > 1 || len(x.classes) == 1 && x.classes[0] != 'l' && x.classes[0] != 'u' {
			telling = true
		}
	}
	switch {
	case !telling && len(parts) > 1:
		return ""
	case len(parts) == 1:
		return "^" + parts[0] + "$"
	}
	return "^(?:" + strings.Join(parts, "|") + ")$"
}

func (x *shape) regex() string {
	var b strings.Builder
	for i, c := range x.classes {
		switch c {
		case 'd':
			b.WriteString("[0-9]")
		case 'u':
			b.WriteString("[A-Z]")
		case 'l':
			b.WriteString("[a-z]")
		default:
			b.WriteString(quoteByte(c))
		}
		switch lo, hi := x.min[i], x.max[i]; {
		case lo == 1 && hi == 1:
		case lo == hi:
			fmt.Fprintf(&b, "{%d}", lo)
		case hi > 30:
			b.WriteString("+")
		default:
			fmt.Fprintf(&b, "{%d,%d}", lo, hi)
		}
	}
	return b.String()
}

// quoteByte writes a character so that every engine reads it as itself.
func quoteByte(c byte) string {
	if strings.IndexByte(`\.+*?()|[]{}^$`, c) >= 0 {
		return `\` + string(c)
	}
	return string(c)
}
