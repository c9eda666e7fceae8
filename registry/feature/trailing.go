package feature

import (
	"fmt"
	"time"
)

// A trailing reference is put together of the panes of windows before, for each verdict anew, and
// says little when it is of few windows.
const (
	MostTrailing  = 2048 // panes
	LeastTrailing = 2    // windows
)

// Before is the time that a window starting at start is compared with where the reference trails: [from, to), in microseconds.
func (r *Reference) Before(start int64) (from, to int64) {
	to = start - r.Gap.Micros()
	return to - r.Trailing.Micros(), to
}

// before is the reference for people.
func (r *Reference) before() string {
	if r.Gap > 0 {
		return fmt.Sprintf("the %s up to %s before each window", r.Trailing, r.Gap)
	}
	return fmt.Sprintf("the %s before each window", r.Trailing)
}

// checkTrailing reports what is wrong with a reference that trails its windows.
func (m *Monitor) checkTrailing() (f []Fault) {
	r := m.Reference
	fault := func(field, msg string, args ...any) {
		f = append(f, Fault{"spec.reference" + field, fmt.Sprintf(msg, args...)})
	}
	switch {
	case r.Trailing <= 0:
		fault(".trailing", "must be a duration, like 7d: gap says how long before a window it ends")
		return f
	case r.Gap < 0:
		fault(".gap", "must not be negative")
	case r.Snapshot != "" || r.Model != "" || !r.From.IsZero() || !r.To.IsZero():
		fault("", "give a snapshot, a model, a time range or trailing, and one of them alone")
	case m.Window.Rows != 0:
		fault(".trailing", "is of windows that are all as long: give a snapshot, a model or a time range where windows have a number of rows")
	case m.Performance != nil:
		fault(".trailing", "is of windows before, which have no outcomes yet: give from: and to:, or performance.baseline:")
	}
	size, pane, month := Duration(0), Duration(0), Duration(31*24*time.Hour)
	if m.Window.Size == "month" {
		size, pane = month, month
	} else {
		var err, err2 error
		size, err = ParseDuration(m.Window.Size)
		pane, err2 = ParseDuration(m.Window.Pane())
		if err != nil || err2 != nil || pane <= 0 {
			return f // reported with the window
		}
	}
	switch {
	case r.Trailing < LeastTrailing*size:
		fault(".trailing", "must be %d times as long as a window, at least (got %s for windows of %s)", LeastTrailing, r.Trailing, m.Window.Size)
	case r.Trailing/pane > MostTrailing:
		fault(".trailing", "has %d times %s: %d at most are compared with, so use longer windows or a shorter time", r.Trailing/pane, m.Window.Pane(), MostTrailing)
	}
	return f
}
