package window

import (
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Window is the event times in [Start, End), microseconds UTC.
type Window struct{ Start, End int64 }

// Contains reports whether the event time ts falls into the window.
func (w Window) Contains(ts int64) bool { return ts >= w.Start && ts < w.End }

// Due reports whether the window may be closed: the watermark has passed its
// end by the allowed lateness (microseconds).
func (w Window) Due(watermark, lateness int64) bool { return watermark-lateness >= w.End }

func (w Window) String() string {
	const layout = "2006-01-02T15:04:05.999999Z"
	return feature.Time(w.Start).Format(layout) + "/" + feature.Time(w.End).Format(layout)
}

// Size is the size of tumbling windows; the zero value is not valid.
type Size struct {
	micros int64 // 0 for a calendar month
	shift  int64 // where the grid stands, relative to 1970-01-01 UTC
	text   string
}

const week = 7 * 24 * int64(time.Hour/time.Microsecond)

// Parse reads a duration of at least a second ("15m", "1h", "7d"), or "month".
// Windows stand on a grid through 1970-01-01 UTC; whole weeks begin on Monday;
// a month is the calendar's, in UTC.
func Parse(size string) (Size, error) {
	if size == "month" {
		return Size{text: size}, nil
	}
	d, err := feature.ParseDuration(size)
	switch {
	case err != nil:
		return Size{}, feature.Errorf(feature.Invalid, "window.parse", "size "+size, "%w", err).
			WithHint("use a duration of at least 1s, like 1h or 7d, or month")
	case d < feature.Duration(time.Second), time.Duration(d)%time.Microsecond != 0:
		return Size{}, feature.Errorf(feature.Invalid, "window.parse", "size "+size, "not a window").
			WithHint("use a duration of at least 1s, like 1h or 7d, or month")
	}
	s := Size{micros: d.Micros(), text: size}
	if s.micros%week == 0 {
		s.shift = 4 * 24 * int64(time.Hour/time.Microsecond) // 1970-01-05 was a Monday
	}
	return s, nil
}

func (s Size) String() string { return s.text }

// Of returns the window that an event time falls into.
func (s Size) Of(ts int64) Window {
	if s.micros == 0 {
		y, m, _ := feature.Time(ts).Date()
		first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
		return Window{first.UnixMicro(), first.AddDate(0, 1, 0).UnixMicro()}
	}
	in := (ts - s.shift) % s.micros
	if in < 0 {
		in += s.micros
	}
	return Window{ts - in, ts - in + s.micros}
}
