package feature

import (
	"fmt"
	"time"
)

// MostPanes is how many panes a sliding window may have: for each verdict the profiles of all of them are merged.
const MostPanes = 64

// Pane is the size of what rows are counted in: windows that overlap are put together of panes as long as
// their slide, so that a row is counted once whatever the number of windows that it belongs to.
func (w Window) Pane() string {
	if w.Slide != "" {
		return w.Slide
	}
	return w.Size
}

// Panes is how many panes a window has.
func (w Window) Panes() int {
	if w.Slide == "" {
		return 1
	}
	size, err := ParseDuration(w.Size)
	slide, err2 := ParseDuration(w.Slide)
	if err != nil || err2 != nil || slide <= 0 {
		return 1 // refused when it was applied
	}
	return max(1, int(size/slide))
}

// Reach is how far before its last pane a window begins, in microseconds.
func (w Window) Reach() int64 {
	n := w.Panes()
	if n == 1 {
		return 0
	}
	slide, _ := ParseDuration(w.Slide)
	return int64(n-1) * slide.Micros()
}

// Name says which windows they are: monitors whose windows have one name count the same panes.
func (w Window) Name() string {
	if w.Slide != "" {
		return w.Size + "/" + w.Slide
	}
	return w.Size
}

// check reports what is wrong with a window at the path at.
func (w Window) check(at string) []Fault {
	var f []Fault
	fault := func(field, msg string, args ...any) { f = append(f, Fault{at + field, fmt.Sprintf(msg, args...)}) }
	size, err := ParseDuration(w.Size)
	sized := w.Size == "month"
	if !sized && (err != nil || size < Duration(time.Second)) {
		fault(".size", "%q is not a window: use a duration of at least 1s, like 1h or 7d, or month", w.Size)
		sized = true // nothing more to say of it
	}
	if w.Slide != "" {
		slide, err := ParseDuration(w.Slide)
		switch {
		case err != nil || slide < Duration(time.Second):
			fault(".slide", "%q is not a slide: use a duration of at least 1s, like 10m", w.Slide)
		case w.Size == "month":
			fault(".slide", "a month has no slide that it is a multiple of: use a size in days, like 28d")
		case sized:
		case slide >= size || size%slide != 0:
			fault(".slide", "the size, %s, must be a multiple of it, twice or more (got %s); windows that do not overlap have none", w.Size, w.Slide)
		case size/slide > MostPanes:
			fault(".slide", "a window may be %d times as long as its slide, %s is %d times %s: use a longer slide", MostPanes, w.Size, size/slide, w.Slide)
		}
	}
	if w.Lateness < 0 || w.IdleFor < 0 {
		fault("", "lateness and idle_after must not be negative")
	}
	return f
}
