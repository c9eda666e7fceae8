package pytime

// resolve decides which of the collected numbers is the year, the month and the
// day; none where the text does not say. US order where nothing else decides.
func (g *guess) resolve() (y, m, d int, ok bool) {
	y, m, d = none, none, none
	a, b, c := g.ymd[0], g.ymd[1], g.ymd[2]
	known := 0
	for _, i := range [...]int{g.yi, g.mi} {
		if i != none {
			known++
		}
	}
	if g.n > 0 && known == g.n || g.n == 3 && known == 2 {
		y, m, d = g.labelled()
		return y, m, d, true
	}
	switch {
	case g.n > 3:
		return y, m, d, false
	case g.n == 1 || g.n == 2 && g.mi != none:
		other := a
		if g.mi != none {
			m = g.ymd[g.mi]
			other = g.ymd[(g.mi+g.n-1)%g.n]
		}
		if g.n > 1 || g.mi == none {
			if other > 31 {
				y = other
			} else {
				d = other
			}
		}
	case g.n == 2:
		switch {
		case a > 31:
			y, m = a, b
		case b > 31:
			m, y = a, b
		default:
			m, d = a, b
		}
	case g.n == 3:
		y, m, d = g.three(a, b, c)
	}
	return y, m, d, true
}

// three orders three numbers of which at most one is known.
func (g *guess) three(a, b, c int) (y, m, d int) {
	switch {
	case g.mi == 0 && b > 31:
		return b, a, c
	case g.mi == 0:
		return c, a, b
	case g.mi == 1 && a > 31:
		return a, b, c
	case g.mi == 1:
		return c, b, a
	case g.mi == 2 && b > 31:
		return b, c, a
	case g.mi == 2:
		return a, c, b
	case a > 31 || g.yi == 0:
		return a, b, c
	case a > 12:
		return c, b, a
	}
	return c, a, b
}

// labelled reads numbers that are all known, or all but the day.
func (g *guess) labelled() (y, m, d int) {
	y, m, d = none, none, none
	if g.yi != none {
		y = g.ymd[g.yi]
	}
	if g.mi != none {
		m = g.ymd[g.mi]
	}
	if g.n == 3 {
		d = g.ymd[3-g.yi-g.mi] // the places add up to 0+1+2
	}
	return y, m, d
}

// built reports whether what was collected makes a time.
func (g *guess) built() bool {
	y, m, d, ok := g.resolve()
	if !ok {
		return false
	}
	if y == none && m == none && d == none && g.hour == none && g.minute == none && g.second == none &&
		!g.weekday && !g.zone && !g.offset && !g.amp {
		return false
	}
	if y != none && y < 100 && !g.century {
		y += 2000
	}
	if y == none {
		y = 2000
	}
	if m == none {
		m = 1
	}
	if d == none {
		d = 1
	}
	return validDate(y, m, d) && g.hour < 24 && g.minute < 60 && g.second < 60
}
