package drift_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/registry/feature"
)

// A drift whose monitor is deleted, or has other windows, ends: nothing would ever judge it again.
func TestDriftOfAMonitorThatIsGone(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Severity = feature.Critical })
	for w := range int64(5) {
		mean := 0.0
		if w >= 2 {
			mean = 3
		}
		h.flush(1, one(h.rows(w, 300, mean)))
		require.NoError(t, h.watch.Pass(bg))
	}
	require.Equal(t, []string{"detected.v1"}, h.events())

	gone := h.mon
	other := *gone
	other.Window.Size = "30m"
	h.mon = &other
	look := func() {
		h.now = h.now.Add(11 * time.Minute)
		require.NoError(t, h.watch.Pass(bg))
	}
	look() // another process may know a newer catalog than this one
	require.Equal(t, []string{"detected.v1"}, h.events())
	look()
	look()
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())

	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	var ce struct{ Data drift.EventData }
	require.NoError(t, json.Unmarshal(told[0].Payload, &ce))
	require.Equal(t, told[1].ID, ce.Data.Resolves)
	require.Equal(t, feature.Critical, ce.Data.Severity)
	require.Contains(t, ce.Data.Reason, "no longer watched")
	require.Nil(t, ce.Data.Retrain, "an end asks for nothing")
	states, err := h.store.States(bg, "", "")
	require.NoError(t, err)
	for _, st := range states {
		require.False(t, st.Firing)
	}

	// Watched again, it begins anew.
	h.mon = gone
	h.flush(1, one(h.rows(5, 300, 3)), one(h.rows(6, 300, 3)))
	require.NoError(t, h.watch.Pass(bg))
	require.Equal(t, []string{"detected.v1", "resolved.v1", "detected.v1"}, h.events())
}
