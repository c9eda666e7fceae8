package feature

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQualityFaults(t *testing.T) {
	hour := Duration(time.Hour)
	for _, c := range []struct {
		q     *Quality
		field string // of the only fault; empty for none
	}{
		{nil, ""},
		{&Quality{}, ""},
		{&Quality{Window: Window{Size: "month", Lateness: hour}, FailWindows: 2, OKWindows: 3, Parameters: map[string]json.RawMessage{"most": []byte("1")}}, ""},
		{&Quality{Freshness: hour, Volume: Volume{Per: hour, Max: 5}, MaxRejectRate: 0.2, RejectEvents: 10, Mask: []string{"a", "b.c"}}, ""},
		{&Quality{Window: Window{Size: "1 hour"}}, "spec.quality.window.size"},
		{&Quality{Window: Window{Lateness: hour}}, "spec.quality.window.size"},
		{&Quality{Window: Window{Size: "1h", Lateness: -1}}, "spec.quality.window"},
		{&Quality{Parameters: map[string]json.RawMessage{"most": []byte("1")}}, "spec.quality.parameters"},
		{&Quality{FailWindows: 1}, "spec.quality"},
		{&Quality{Window: Window{Size: "1h"}, FailWindows: -1}, "spec.quality.fail_windows"},
		{&Quality{Window: Window{Size: "1h"}, OKWindows: -1}, "spec.quality.ok_windows"},
		{&Quality{Freshness: Duration(time.Millisecond)}, "spec.quality.freshness"},
		{&Quality{Freshness: -hour}, "spec.quality.freshness"},
		{&Quality{Freshness: 32 * 24 * hour}, "spec.quality.freshness"},
		{&Quality{Volume: Volume{Min: 1}}, "spec.quality.volume.per"},
		{&Quality{Volume: Volume{Per: 1, Min: 1}}, "spec.quality.volume.per"},
		{&Quality{Volume: Volume{Per: hour}}, "spec.quality.volume"},
		{&Quality{Volume: Volume{Per: hour, Min: -1}}, "spec.quality.volume"},
		{&Quality{Volume: Volume{Per: hour, Min: 2, Max: 1}}, "spec.quality.volume.max"},
		{&Quality{MaxRejectRate: 1}, "spec.quality.max_reject_rate"},
		{&Quality{RejectEvents: 5}, "spec.quality.reject_events"},
		{&Quality{MaxRejectRate: 0.5, RejectEvents: -5}, "spec.quality.reject_events"},
		{&Quality{Mask: []string{"a", ""}}, "spec.quality.mask[1]"},
		{&Quality{Mask: []string{"a", "a"}}, "spec.quality.mask[1]"},
	} {
		got := c.q.check("spec.quality")
		if c.field == "" {
			require.Empty(t, got, "%+v", c.q)
			continue
		}
		require.Len(t, got, 1, "%+v", c.q)
		require.Equal(t, c.field, got[0].Field)
	}
}

func TestQualityDefaults(t *testing.T) {
	var q *Quality
	require.False(t, q.Watched())
	d := q.WithDefaults()
	require.Equal(t, 1, d.FailWindows)
	require.EqualValues(t, 1000, d.RejectEvents)
	require.Zero(t, d.Window, "nothing is watched that was not asked for")
	q = &Quality{Window: Window{Size: "1h"}, OKWindows: 3}
	d = q.WithDefaults()
	require.Equal(t, Duration(time.Minute), d.Window.IdleFor)
	require.Equal(t, 3, d.OKWindows)
	require.Zero(t, q.Window.IdleFor, "a copy")

	b, err := json.Marshal(&View{Quality: &Quality{Freshness: Duration(time.Hour)}})
	require.NoError(t, err)
	require.Contains(t, string(b), `"quality":{"freshness":"1h"}`)
	b, err = json.Marshal(&View{})
	require.NoError(t, err)
	require.NotContains(t, string(b), "quality", "a view without it is stored as before")
}
