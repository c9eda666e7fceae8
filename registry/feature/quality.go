package feature

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Quality says what is expected of a view's stream as a whole, beside what its
// suites say of each row. Whatever is left out is not watched.
type Quality struct {
	// Window has the view's suites judged per window of event time: rates, aggregates, distributions.
	Window Window `json:"window,omitzero"`
	// Parameters stand for {"$PARAMETER": name} in the suites' expectations of a window.
	Parameters map[string]json.RawMessage `json:"parameters,omitempty"`
	// FailWindows is how many failed windows in a row raise the alert, OKWindows how
	// many good ones in a row end it; 1 when 0.
	FailWindows int `json:"fail_windows,omitempty"`
	OKWindows   int `json:"ok_windows,omitempty"`
	// Freshness raises the alert when, by the wall clock, no event has landed for so long; 0 does not watch.
	Freshness Duration `json:"freshness,omitempty"`
	// Volume bounds how many rows land in a time of the wall clock.
	Volume Volume `json:"volume,omitzero"`
	// MaxRejectRate pauses the view when a larger share of the last RejectEvents
	// events of a worker would be held back, whatever for; 0 does not pause.
	// RejectEvents is 1000 when 0.
	MaxRejectRate float64 `json:"max_reject_rate,omitempty"`
	RejectEvents  int64   `json:"reject_events,omitempty"`
	// Mask names features, keys or paths of events whose values are shown nowhere:
	// not in reasons, not in results, not in alerts.
	Mask []string `json:"mask,omitempty"`
}

// Volume bounds the rows that land in the last Per, by the wall clock.
type Volume struct {
	Per Duration `json:"per,omitempty"`
	Min int64    `json:"min,omitempty"` // 0 is no bound
	Max int64    `json:"max,omitempty"` // 0 is no bound
}

// Windowed reports whether the view's suites are judged per window.
func (q *Quality) Windowed() bool { return q != nil && q.Window.Size != "" }

// Timed reports whether anything is watched by the wall clock.
func (q *Quality) Timed() bool { return q != nil && (q.Freshness > 0 || q.Volume.Per > 0) }

// Watched reports whether the view's stream has to be counted.
func (q *Quality) Watched() bool { return q.Windowed() || q.Timed() }

// WithDefaults returns a copy whose numbers are filled in; of nil an empty one.
func (q *Quality) WithDefaults() Quality {
	var c Quality
	if q != nil {
		c = *q
	}
	if c.FailWindows == 0 {
		c.FailWindows = 1
	}
	if c.OKWindows == 0 {
		c.OKWindows = 1
	}
	if c.RejectEvents == 0 {
		c.RejectEvents = 1000
	}
	if c.Windowed() && c.Window.IdleFor == 0 {
		c.Window.IdleFor = Duration(time.Minute)
	}
	return c
}

// mostRejectEvents bounds what each worker remembers: a bit an event.
const mostRejectEvents = 1_000_000

// mostWatched is the longest time that wall clock rules look back: what is kept of the past is bounded.
const mostWatched = Duration(31 * 24 * time.Hour)

// check reports what is wrong with the quality of a view at the path at.
func (q *Quality) check(at string) []Fault {
	if q == nil {
		return nil
	}
	var f []Fault
	fault := func(field, msg string, args ...any) { f = append(f, Fault{at + field, fmt.Sprintf(msg, args...)}) }
	if q.Windowed() {
		f = append(f, q.Window.check(at+".window")...)
		if q.Window.Slide != "" {
			f = append(f, Fault{at + ".window.slide", "windows of data quality do not overlap: leave it out"})
		}
		if q.Window.Rows != 0 {
			f = append(f, Fault{at + ".window.rows", "windows of data quality are as long as their size: leave it out"})
		}
	} else {
		if q.Window != (Window{}) {
			fault(".window.size", "a window needs a size, like 1h")
		}
		if len(q.Parameters) > 0 {
			fault(".parameters", "only expectations of a window have parameters: set window, or leave them out")
		}
		if q.FailWindows != 0 || q.OKWindows != 0 {
			fault("", "fail_windows and ok_windows count windows: set window, or leave them out")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Parameters)) {
		if name == "" {
			fault(".parameters", "a parameter needs a name")
		}
	}
	if q.FailWindows < 0 {
		fault(".fail_windows", "must not be negative (got %d)", q.FailWindows)
	}
	if q.OKWindows < 0 {
		fault(".ok_windows", "must not be negative (got %d)", q.OKWindows)
	}
	watched := func(field string, d Duration) {
		if d != 0 && (d < Duration(time.Second) || d > mostWatched) {
			fault(field, "must be between 1s and %s (got %s)", mostWatched, d)
		}
	}
	watched(".freshness", q.Freshness)
	watched(".volume.per", q.Volume.Per)
	switch v := q.Volume; {
	case v == Volume{}:
	case v.Per == 0:
		fault(".volume.per", "a volume is rows in a time: set per, like 1h")
	case v.Min < 0, v.Max < 0:
		fault(".volume", "min and max must not be negative")
	case v.Min == 0 && v.Max == 0:
		fault(".volume", "set min, max or both")
	case v.Max > 0 && v.Max < v.Min:
		fault(".volume.max", "must not be below min (%d, got %d)", v.Min, v.Max)
	}
	if r := q.MaxRejectRate; r < 0 || r >= 1 || math.IsNaN(r) {
		fault(".max_reject_rate", "must be a share from 0 to below 1, like 0.2; 0 never pauses (got %v)", r)
	}
	switch {
	case q.RejectEvents < 0:
		fault(".reject_events", "must not be negative (got %d)", q.RejectEvents)
	case q.RejectEvents > mostRejectEvents:
		fault(".reject_events", "must be at most %d (got %d)", mostRejectEvents, q.RejectEvents)
	case q.RejectEvents > 0 && q.MaxRejectRate == 0:
		fault(".reject_events", "says over how many events max_reject_rate is taken: set that, or leave it out")
	}
	for i, m := range q.Mask {
		switch {
		case m == "":
			fault(fmt.Sprintf(".mask[%d]", i), "name a feature, a join key or the path of a value in the event")
		case slices.Contains(q.Mask[:i], m):
			fault(fmt.Sprintf(".mask[%d]", i), "%q is there twice", m)
		}
	}
	return f
}
