package feature

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that reads and prints days: "30d", "1d12h", "5m".
type Duration time.Duration

// Micros is the duration in microseconds, the unit of all times in Weir.
func (d Duration) Micros() int64 { return time.Duration(d).Microseconds() }

func (d Duration) String() string {
	t := time.Duration(d)
	const day = 24 * time.Hour
	days := ""
	if t >= day && t%time.Second == 0 {
		days = strconv.FormatInt(int64(t/day), 10) + "d"
		if t %= day; t == 0 {
			return days
		}
	}
	s := t.String()
	if t >= time.Minute { // 5m0s -> 5m, 1h0m0s -> 1h
		s = strings.TrimSuffix(s, "m0s") + "m"
		if !strings.HasSuffix(t.String(), "m0s") {
			s = t.String()
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
	}
	return days + s
}

// mostDays is how many whole days a duration holds: 292 years.
const mostDays = math.MaxInt64 / int64(24*time.Hour)

// ParseDuration reads what time.ParseDuration reads, with a leading number of days allowed.
func ParseDuration(s string) (Duration, error) {
	rest, days := s, time.Duration(0)
	if i := strings.IndexByte(s, 'd'); i > 0 {
		n, err := strconv.ParseInt(s[:i], 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: write it like 30d, 12h, 5m or 1d12h", s)
		}
		days, rest = time.Duration(n)*24*time.Hour, s[i+1:]
		if n < -mostDays || n > mostDays {
			return 0, fmt.Errorf("%q is too long: %d days are the most", s, mostDays)
		}
		if rest == "" {
			return Duration(days), nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write it like 30d, 12h, 5m or 1d12h", s)
	}
	if sum := days + d; d > 0 && sum < days || d < 0 && sum > days {
		return 0, fmt.Errorf("%q is too long: %d days are the most", s, mostDays)
	}
	return Duration(days + d), nil
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
