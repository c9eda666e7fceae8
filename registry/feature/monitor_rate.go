package feature

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// year is a mean one of the Gregorian calendar.
const year = 365.2425 * 24 * float64(time.Hour)

// WindowsAYear is how many windows the monitor judges in a year of events, at most; 0 where its window is none.
func (m *Monitor) WindowsAYear() float64 {
	if m.Window.Size == "month" {
		return 12
	}
	d, err := ParseDuration(m.Window.Pane())
	if err != nil || d <= 0 {
		return 0
	}
	return year / float64(d)
}

// FalseAlarms is how many drifts a year the monitor is expected to tell of where there is none, at
// most: each window is called drifted with a chance of alpha, and so many in a row
// make a drift. It holds for rows that are draws independent of each other; the effect
// size that must be reached too makes false alarms fewer, by how much depends on the data.
func (m *Monitor) FalseAlarms() float64 {
	m = m.WithDefaults()
	n := m.inARow(m.Windows)
	if m.CoolDown > 0 {
		n = min(n, year/float64(m.CoolDown))
	}
	return n
}

// inARow is how many times a year k windows in a row are drifted by chance, at most. Windows that overlap
// have rows in common, so that one is likely drifted when the one before was; two things hold all
// the same: of k in a row, those that are a whole window apart have none in common, and
// every drift takes k drifted windows that no other takes.
func (m *Monitor) inARow(k int) float64 {
	n, panes := m.WindowsAYear(), m.Window.Panes()
	apart := n * math.Pow(m.Alpha, float64(1+(k-1)/panes))
	if panes == 1 {
		return apart
	}
	return min(apart, n*m.Alpha/float64(k))
}

// Promise says in a sentence what FalseAlarms does, and how to have fewer where they are many.
func (m *Monitor) Promise() string {
	d := m.WithDefaults()
	s := fmt.Sprintf("at most %s false alarms a year are expected: %s windows, alpha %s", short(m.FalseAlarms()), short(m.WindowsAYear()), short(d.Alpha))
	if d.Window.Rows > 0 {
		s = strings.Replace(s, short(m.WindowsAYear())+" windows", "up to "+short(m.WindowsAYear())+" windows", 1)
	}
	if n := d.Window.Panes(); n > 1 {
		s = strings.Replace(s, " windows,", fmt.Sprintf(" windows of which %d overlap,", n), 1)
	}
	if d.Windows > 1 {
		s += fmt.Sprintf(", %d in a row", d.Windows)
	}
	if m.FalseAlarms() > 12 {
		// What is at most one a month.
		k := d.Windows
		for k < 10*d.Window.Panes() && d.inARow(k) > 12 {
			k++
		}
		if d.inARow(k) <= 12 {
			s += fmt.Sprintf("; windows: %d would make it %s", k, short(d.inARow(k)))
		}
	}
	return s
}

// short is a number for people, with two digits that say something.
func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 0.01 || x == 0:
		s := fmt.Sprintf("%.2f", x)
		return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return fmt.Sprintf("%.2g", x)
}
