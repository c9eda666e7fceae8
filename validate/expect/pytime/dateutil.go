package pytime

import "strings"

// Parseable reports whether dateutil's parser.parse reads the text as a date or
// time. The parser guesses: it splits the text into words, numbers and single
// other characters and walks over them once, each number being a day, month,
// year, hour, minute, second or several of them by its length and neighbours.
func Parseable(s string) bool {
	if _, ok := iso(s); ok {
		return true
	}
	var room [48]string
	g := guess{tok: split(s, room[:0])}
	return g.walk() && g.built()
}

// none marks what the text does not say.
const none = -1

// guess is the state of the walk.
type guess struct {
	tok []string
	i   int

	ymd     [4]int // numbers that are year, month or day, in the order of the text
	n       int
	yi, mi  int  // which of ymd is known to be the year and the month; none
	century bool // the year is written with its century

	hour, minute, second       int
	weekday, zone, offset, amp bool // said at all
	bad                        bool
}

func (g *guess) walk() bool {
	g.yi, g.mi = none, none
	g.hour, g.minute, g.second = none, none, none
	for g.i = 0; g.i < len(g.tok); g.i++ {
		if g.word(); g.bad {
			return false
		}
	}
	return true
}

// at is a token, "" past the end. No token is empty.
func (g *guess) at(i int) string {
	if i < 0 || i >= len(g.tok) {
		return ""
	}
	return g.tok[i]
}

// word takes the token at i and those that belong to it, and leaves i on the last one.
func (g *guess) word() {
	t := g.tok[g.i]
	if v, ok := parseDecimal(t); ok {
		g.number(t, v)
		return
	}
	if name(t, notNumber) >= 0 {
		g.bad = true
		return
	}
	if name(t, weekdayNames) >= 0 {
		g.weekday = true
		return
	}
	if m := name(t, monthNames); m >= 0 {
		g.month(m + 1)
		return
	}
	if h := name(t, ampmNames); h >= 0 {
		if g.hour < 0 || g.hour > 12 {
			g.bad = true
			return
		}
		g.hour = adjust(g.hour, h)
		g.amp = true
		return
	}
	if g.couldBeZone(t) && !g.zone && !g.offset {
		g.zone = true
		if t == "z" {
			g.offset = true // the one spelling whose offset is known at once
		}
		if next := g.at(g.i + 1); next == "+" || next == "-" {
			g.offset = false
			if name(t, utcNames) >= 0 {
				g.zone = false
			}
		}
		return
	}
	if g.hour != none && (t == "+" || t == "-") {
		g.zoneOffset()
		return
	}
	g.bad = !jump(t)
}

// month takes what may follow a month's name: "-20-2009", " of 2009".
func (g *guess) month(m int) {
	g.add(m, 'M', false)
	switch next := g.at(g.i + 1); {
	case next == "-" || next == "/":
		g.addText(g.at(g.i+2), 0)
		if g.at(g.i+3) == next {
			g.addText(g.at(g.i+4), 0)
			g.i += 2
		}
		g.i += 2
	case next == " " && g.at(g.i+3) == " " && g.at(g.i+4) != "" && strings.EqualFold(g.at(g.i+2), "of"):
		if t := g.at(g.i + 4); allDigits(t) {
			y := integer(t)
			if y < 100 {
				y += 2000
			}
			g.add(y, 'Y', true)
		}
		g.i += 4
	}
}

func (g *guess) zoneOffset() {
	t := g.at(g.i + 1)
	switch {
	case t == "":
		g.bad = true
	case len([]rune(t)) == 4:
		g.bad = !allDigits(t)
	case g.at(g.i+2) == ":":
		g.bad = !allDigits(t) || !allDigits(g.at(g.i+3))
		g.i += 2
	default:
		g.bad = len([]rune(t)) > 2 || !allDigits(t)
	}
	if g.bad {
		return
	}
	g.offset = true
	if t := g.at(g.i + 4); jump(g.at(g.i+2)) && g.at(g.i+3) == "(" && g.at(g.i+5) == ")" &&
		len(t) >= 3 && g.couldBeZone(t) && !g.zone {
		g.zone = true
		g.i += 4
	}
	g.i++
}

func (g *guess) couldBeZone(t string) bool {
	if g.hour == none || len(t) > 5 {
		return false
	}
	for _, c := range []byte(t) {
		if c < 'A' || c > 'Z' {
			return t == "z"
		}
	}
	return true
}

// number takes a number and decides by its length and neighbours what it is.
func (g *guess) number(t string, v decimal) {
	next := g.at(g.i + 1)
	long := len(t)
	hms, from := g.unit()
	switch {
	case g.n == 3 && (long == 2 || long == 4) && g.hour == none && next != ":" && name(next, unitNames) < 0:
		g.hour = g.digits(t[:2])
		if long == 4 {
			g.minute = g.digits(t[2:])
		}
	case long == 6 || long > 6 && strings.IndexByte(t, '.') == 6:
		if g.n == 0 && strings.IndexByte(t, '.') < 0 {
			g.addText(t[:2], 0)
			g.addText(t[2:4], 0)
			g.addText(t[4:], 0)
			return
		}
		g.hour, g.minute = g.digits(t[:2]), g.digits(t[2:4])
		g.seconds(t[4:])
	case long == 8 || long == 12 || long == 14:
		g.addText(t[:4], 'Y')
		g.addText(t[4:6], 0)
		g.addText(t[6:8], 0)
		if long > 8 {
			g.hour, g.minute = g.digits(t[8:10]), g.digits(t[10:12])
		}
		if long > 12 {
			g.second = g.digits(t[12:])
		}
	case hms != none:
		g.i = from
		switch hms {
		case 0:
			if g.hour = v.whole; v.part {
				g.minute = 0
			}
		case 1:
			if g.minute, g.second = v.whole, none; v.part {
				g.second = 0
			}
		case 2:
			g.seconds(t)
		}
	case next == ":" && g.at(g.i+2) != "":
		m, ok := parseDecimal(g.at(g.i + 2))
		if g.hour, g.minute, g.second = v.whole, m.whole, none; m.part {
			g.second = 0
		}
		g.bad = !ok
		if g.at(g.i+3) == ":" && g.at(g.i+4) != "" {
			g.seconds(g.at(g.i + 4))
			g.i += 2
		}
		g.i += 2
	case next == "-" || next == "/" || next == ".":
		g.separated(t, next)
	case next == "" || jump(next):
		if h := name(g.at(g.i+2), ampmNames); h >= 0 {
			g.hour = adjust(v.whole, h)
			g.i++
		} else {
			g.add(v.whole, 0, v.whole > 100 || v.whole == 100 && v.part)
		}
		g.i++
	case name(next, ampmNames) >= 0 && v.whole < 24:
		g.hour = adjust(v.whole, name(next, ampmNames))
		g.i++
	case g.couldBeDay(v):
		g.add(v.whole, 0, false)
	default:
		g.bad = true
	}
}

// separated takes a date like 1-2-2003, 1/Feb/2003 or 1.2.
func (g *guess) separated(t, sep string) {
	g.addText(t, 0)
	second := g.at(g.i + 2)
	if second != "" && !jump(second) {
		if allDigits(second) {
			g.addText(second, 0)
		} else if m := name(second, monthNames); m >= 0 {
			g.add(m+1, 'M', false)
		} else {
			g.bad = true
		}
		if g.at(g.i+3) == sep {
			third := g.at(g.i + 4)
			if m := name(third, monthNames); m >= 0 {
				g.add(m+1, 'M', false)
			} else {
				g.addText(third, 0)
			}
			g.i += 2
		}
		g.i++
	}
	g.i++
}

// unit finds an h, m or s that makes a number hours, minutes or seconds: after
// it, or before it and then the next smaller unit. from is where the walk goes on.
func (g *guess) unit() (unit, from int) {
	i := g.i
	if u := name(g.at(i+1), unitNames); u >= 0 {
		return u, i + 1
	}
	if g.at(i+1) == " " {
		if u := name(g.at(i+2), unitNames); u >= 0 {
			return u, i + 2
		}
	}
	if u := name(g.at(i-1), unitNames); u >= 0 {
		return u + 1, i
	}
	if i > 1 && i == len(g.tok)-1 && g.at(i-1) == " " {
		if u := name(g.at(i-2), unitNames); u >= 0 {
			return u + 1, i
		}
	}
	return none, i
}

// seconds reads 59 or 59.123456.
func (g *guess) seconds(t string) {
	whole, part, dot := strings.Cut(t, ".")
	g.second = g.digits(whole)
	if dot && part != "" && !allDigits(part) {
		g.bad = true
	}
}

func (g *guess) digits(t string) int {
	if !allDigits(t) {
		g.bad = true
		return 0
	}
	return integer(t)
}

// addText adds a number to the date; one of more than two digits is a year.
func (g *guess) addText(t string, label byte) {
	v := g.digits(t)
	if !g.bad {
		g.add(v, label, len(t) > 2)
	}
}

func (g *guess) add(v int, label byte, year bool) {
	if year {
		g.century = true
		if label != 0 && label != 'Y' {
			g.bad = true
			return
		}
		label = 'Y'
	}
	if g.n == len(g.ymd) {
		g.bad = true // more than year, month and day
		return
	}
	g.ymd[g.n] = v
	switch label {
	case 'Y':
		g.bad, g.yi = g.bad || g.yi != none, g.n
	case 'M':
		g.bad, g.mi = g.bad || g.mi != none, g.n
	}
	g.n++
}

func (g *guess) couldBeDay(v decimal) bool {
	most := 31
	if g.mi != none {
		y := 2000
		if g.yi != none {
			y = g.ymd[g.yi]
		}
		most = monthDays(y, g.ymd[g.mi])
	}
	return v.whole >= 1 && (v.whole < most || v.whole == most && !v.part)
}
