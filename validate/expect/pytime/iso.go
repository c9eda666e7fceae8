package pytime

import (
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// ParseISO reads 2026-01-31, 2026-01-31T12:30, 2026-01-31 12:30:59.123456 and
// the same with Z or an offset like +01:00 as microseconds UTC. Without an offset it is UTC.
func ParseISO(s string) (int64, error) {
	t, ok := iso(s)
	if !ok {
		return 0, fmt.Errorf("must be a time like 2026-01-31 or 2026-01-31T12:30:00Z (got %q)", feature.Shorten([]byte(s)))
	}
	return t, nil
}

func iso(s string) (int64, bool) {
	p := reader{s: s, ok: true}
	y, mo := p.digits(4), p.then('-').digits(2)
	d := p.then('-').digits(2)
	if !p.ok || !validDate(y, mo, d) {
		return 0, false
	}
	var h, mi, sec, micro, offset int
	if p.s != "" {
		if !p.skip('T') && !p.skip(' ') {
			return 0, false
		}
		h, mi = p.digits(2), p.then(':').digits(2)
		if p.skip(':') {
			if sec = p.digits(2); p.skip('.') {
				micro = p.fraction()
			}
		}
		if p.skip('Z') {
		} else if sign := p.sign(); sign != 0 {
			oh := p.digits(2)
			p.skip(':')
			om := p.digits(2)
			if oh > 23 || om > 59 {
				return 0, false
			}
			offset = sign * (oh*3600 + om*60)
		}
	}
	if !p.ok || p.s != "" || h > 23 || mi > 59 || sec > 59 {
		return 0, false
	}
	return (days(y, mo, d)*86400+int64(h*3600+mi*60+sec-offset))*1e6 + int64(micro), true
}

// reader takes a text apart from the left. Once something is not there, ok is
// false and stays so.
type reader struct {
	s  string
	ok bool
}

func (p *reader) digits(n int) (v int) {
	if len(p.s) < n {
		p.ok = false
		return 0
	}
	for i := range n {
		c := p.s[i] - '0'
		if c > 9 {
			p.ok = false
			return 0
		}
		v = v*10 + int(c)
	}
	p.s = p.s[n:]
	return v
}

// fraction reads one to six digits as millionths.
func (p *reader) fraction() (v int) {
	n := 0
	for n < 6 && n < len(p.s) && p.s[n]-'0' <= 9 {
		v = v*10 + int(p.s[n]-'0')
		n++
	}
	p.ok = p.ok && n > 0
	p.s = p.s[n:]
	for ; n < 6; n++ {
		v *= 10
	}
	return v
}

func (p *reader) skip(c byte) bool {
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

func (p *reader) then(c byte) *reader {
	p.ok = p.skip(c) && p.ok
	return p
}

func (p *reader) sign() int {
	switch {
	case p.skip('+'):
		return 1
	case p.skip('-'):
		return -1
	}
	return 0
}

// validDate reports whether year, month and day are a day of the years 1 to 9999.
func validDate(y, m, d int) bool {
	return y >= 1 && y <= 9999 && m >= 1 && m <= 12 && d >= 1 && d <= monthDays(y, m)
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

func monthDays(y, m int) int {
	switch m {
	case 2:
		if leap(y) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days counts from 1970-01-01. The year is taken to begin in March, so that the
// leap day is its last.
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	return int64(365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - 719468)
}
