package feature

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// year is a mean one of the Gregorian calendar.
const year = 365.2425 * 24 * float64(time.Hour)

// WindowsAYear is how many windows the monitor judges in a year of events; 0 where its window is none.
func (m *Monitor) WindowsAYear() float64 {
	if m.Window.Size == "month" {
		return 12
	}
	d, err := ParseDuration(m.Window.Size)
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
	n := m.WindowsAYear() * math.Pow(m.Alpha, float64(m.Windows))
	if m.CoolDown > 0 {
		n = min(n, year/float64(m.CoolDown))
	}
	return n
}

// Promise says in a sentence what FalseAlarms does, and how to have fewer where they are many.
func (m *Monitor) Promise() string {
	d := m.WithDefaults()
	s := fmt.Sprintf("at most %s false alarms a year are expected: %s windows, alpha %s", short(m.FalseAlarms()), short(m.WindowsAYear()), short(d.Alpha))
	if d.Windows > 1 {
		s += fmt.Sprintf(", %d in a row", d.Windows)
	}
	if m.FalseAlarms() > 12 {
		// What is at most one a month.
		k := d.Windows
		for k < 10 && m.WindowsAYear()*math.Pow(d.Alpha, float64(k)) > 12 {
			k++
		}
		if m.WindowsAYear()*math.Pow(d.Alpha, float64(k)) <= 12 {
			s += fmt.Sprintf("; windows: %d would make it %s", k, short(m.WindowsAYear()*math.Pow(d.Alpha, float64(k))))
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
