package window

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

func micros(t *testing.T, s string) int64 {
	t.Helper()
	x, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return x.UnixMicro()
}

func TestOf(t *testing.T) {
	for _, c := range []struct{ size, at, start, end string }{
		{"1h", "2013-07-04T12:34:56.000001Z", "2013-07-04T12:00:00Z", "2013-07-04T13:00:00Z"},
		{"1h", "2013-07-04T12:00:00Z", "2013-07-04T12:00:00Z", "2013-07-04T13:00:00Z"},
		{"1h", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"},
		{"1d", "1969-12-31T00:00:00Z", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"7d", "2026-11-20T08:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"}, // a Friday
		{"14d", "1970-01-05T00:00:00Z", "1970-01-05T00:00:00Z", "1970-01-19T00:00:00Z"},
		{"7d", "1970-01-04T23:59:59Z", "1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"},
		{"month", "2012-02-29T23:59:59Z", "2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z"},
		{"month", "1969-12-31T23:59:59Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"},
		{"month", "2013-12-01T00:00:00Z", "2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z"},
		{"month", "9999-12-31T23:59:59.999999Z", "9999-12-01T00:00:00Z", ""},
	} {
		s, err := Parse(c.size)
		require.NoError(t, err)
		w := s.Of(micros(t, c.at))
		require.Equal(t, micros(t, c.start), w.Start, "%s of %s is %s", c.size, c.at, w)
		if c.end != "" {
			require.Equal(t, micros(t, c.end), w.End, "%s of %s is %s", c.size, c.at, w)
		}
	}
}

// Every time lies in exactly one window, and windows meet without a gap.
func TestOfTiles(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, size := range []string{"1s", "90s", "1h", "1d", "7d", "10d", "28d", "month"} {
		s, err := Parse(size)
		require.NoError(t, err)
		for range 2000 {
			ts := feature.MinTime + r.Int64N(feature.MaxTime-feature.MinTime+1)
			w := s.Of(ts)
			require.True(t, w.Contains(ts))
			require.Equal(t, w, s.Of(w.Start))
			require.Equal(t, w, s.Of(w.End-1))
			require.Equal(t, w.End, s.Of(w.End).Start)
			require.Equal(t, w.Start, s.Of(w.Start-1).End)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "1", "0s", "-1h", "999ms", "1000000001ns", "year", "7 days"} {
		_, err := Parse(s)
		require.Equal(t, feature.Invalid, feature.KindOf(err), s)
	}
}

func TestWatermark(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	live := func(ts int64) Partition { return Partition{MaxEvent: ts, Any: true, Since: now} }
	idle := func(ts int64) Partition {
		return Partition{MaxEvent: ts, Any: true, Drained: true, Since: now.Add(-time.Minute)}
	}
	drained := func(ts int64) Partition { return Partition{MaxEvent: ts, Any: true, Drained: true, Since: now} }
	empty := Partition{Drained: true, Since: now.Add(-time.Minute)}
	for _, c := range []struct {
		name     string
		parts    []Partition
		expected int
		mark     int64
		ok       bool
	}{
		{"none", nil, 0, 0, false},
		{"one unseen", []Partition{live(5)}, 2, 0, false},
		{"smallest", []Partition{live(5), live(-3)}, 2, -3, true},
		{"idle does not hold", []Partition{live(5), idle(1)}, 2, 5, true},
		{"just drained holds", []Partition{live(5), drained(1)}, 2, 1, true},
		{"all idle: largest", []Partition{idle(-5), idle(-9)}, 2, -5, true},
		{"empty and idle", []Partition{idle(-5), empty}, 2, -5, true},
		{"empty, not drained", []Partition{idle(4), {Since: now}}, 2, 0, false},
		{"nothing seen at all", []Partition{empty, empty}, 2, 0, false},
	} {
		mark, ok := Watermark(c.parts, c.expected, now, time.Minute)
		require.Equal(t, c.ok, ok, c.name)
		if ok {
			require.Equal(t, c.mark, mark, c.name)
		}
	}
	w := Window{0, 100}
	require.False(t, w.Due(109, 10))
	require.True(t, w.Due(110, 10))
}
