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
	switch {
	case w.Slide != "":
		return w.Size + "/" + w.Slide
	case w.Rows > 0:
		return fmt.Sprintf("%s/%d rows/%s", w.Size, w.Rows, w.most())
	}
	return w.Size
}

// most is AtMost with its default.
func (w Window) most() Duration {
	if w.AtMost == 0 {
		return Duration(24 * time.Hour)
	}
	return w.AtMost
}

// Longest is as long as a window may be.
func (w Window) Longest() string {
	if w.Rows > 0 {
		return w.most().String()
	}
	return w.Size
}

// Anew is when windows of a number of rows begin anew at the latest, before or at a time: the same times
// whatever was counted, so that history from any of them on has the windows that the stream had.
func (w Window) Anew(at int64) int64 {
	most := w.most().Micros()
	in := at % most
	if in < 0 {
		in += most
	}
	return at - in
}

// Needs is for how long before the start of its last pane a window may have panes, in microseconds.
func (w Window) Needs() int64 {
	if w.Rows > 0 {
		return w.most().Micros()
	}
	return w.Reach()
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
	f = append(f, w.checkRows(at, size)...)
	if w.Lateness < 0 || w.IdleFor < 0 {
		fault("", "lateness and idle_after must not be negative")
	}
	return f
}

// checkRows reports what is wrong with windows of a number of rows.
func (w Window) checkRows(at string, size Duration) (f []Fault) {
	fault := func(field, msg string, args ...any) { f = append(f, Fault{at + field, fmt.Sprintf(msg, args...)}) }
	if w.Rows == 0 {
		if w.AtMost != 0 {
			fault(".at_most", "is of windows of a number of rows: give rows as well")
		}
		return f
	}
	switch {
	case w.Rows < 0:
		fault(".rows", "must not be negative")
	case w.Slide != "":
		fault(".rows", "windows of a number of rows do not overlap: give slide or rows, not both")
	case w.Size == "month":
		fault(".rows", "windows of a number of rows are put together of shorter times than a month: use a size like 5m")
	case size < Duration(time.Second):
	case w.most() < 2*size || w.most()%size != 0:
		fault(".at_most", "must be a multiple of the size, %s, twice or more (got %s)", w.Size, w.most())
	case size%Duration(7*24*time.Hour) == 0:
		fault(".rows", "windows of a number of rows are put together of shorter times than a week: use a size like 5m")
	case w.most()/size > MostTrailing:
		fault(".at_most", "has %d times %s, %d at most: use a longer size", w.most()/size, w.Size, MostTrailing)
	}
	return f
}
