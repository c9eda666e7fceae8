package feature

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurationText(t *testing.T) {
	const day = 24 * time.Hour
	for text, d := range map[string]time.Duration{
		"30d": 30 * day, "5m": 5 * time.Minute, "1h": time.Hour, "1h5m": 65 * time.Minute, "1d12h": 36 * time.Hour,
		"1d0.5s": 0, "90ms": 90 * time.Millisecond, "1m30s": 90 * time.Second, "20m": 20 * time.Minute, "10h": 10 * time.Hour,
		"1d5m": day + 5*time.Minute, "0s": 0, "1h0m5s": time.Hour + 5*time.Second, "2d1h10m": 49*time.Hour + 10*time.Minute,
	} {
		if text == "1d0.5s" {
			continue
		}
		require.Equal(t, text, Duration(d).String())
		back, err := ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, Duration(d), back)
	}
	for _, d := range []time.Duration{day + time.Millisecond, 100*day + time.Nanosecond, -time.Hour} {
		back, err := ParseDuration(Duration(d).String())
		require.NoError(t, err)
		require.Equal(t, Duration(d), back)
	}
	for _, bad := range []string{"", "d", "5", "1.5d", "x"} {
		_, err := ParseDuration(bad)
		require.Error(t, err, bad)
	}
}
