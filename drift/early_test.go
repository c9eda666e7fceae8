package drift_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/registry/feature"
)

// A monitor that allows lateness tells of a drift at the window's end, and takes
// it back when the rows that were late say otherwise.
func TestWatchAmends(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Window.Lateness = feature.Duration(30 * time.Minute) })
	status := func() drift.Status {
		t.Helper()
		all, err := drift.NewReader(h.store).Status(bg, []*feature.Monitor{h.mon})
		require.NoError(t, err)
		return all[0]
	}
	h.flush(1, one(append(h.rows(0, 400, 0), h.rows(1, 400, 0)...)))
	h.flush(1, one(h.rows(2, 300, 0)))
	h.flush(1, one(h.rows(3, 300, 4)))
	require.Contains(t, h.windows(), "2 steady 300, 3 open 300")
	h.flush(1, one([]drifttest.Event{{Time: 4 * hour, Cat: "1"}}))
	require.Contains(t, h.windows(), "2 steady 300, 3 drifted 300, 4 open 1")
	require.Equal(t, []string{"detected.v1"}, h.events())
	require.True(t, status().Drifting)
	require.Equal(t, 2, status().Open)
	require.Equal(t, 3*hour, status().Last.Start)
	require.Contains(t, h.log.String(), "drift detected")

	h.flush(1, one(h.rows(3, 20000, 0)))
	require.Contains(t, h.windows(), "3 steady 20300, 4 open 1")
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	require.False(t, status().Drifting)
	h.flush(1, one(h.rows(3, 20000, 4)))
	require.Contains(t, h.windows(), "3 drifted 40300, 4 open 1")
	require.Equal(t, []string{"detected.v1", "resolved.v1", "detected.v1"}, h.events(), "told again, under another id")
	entries, err := h.store.Entries(bg, outbox.Query{})
	require.NoError(t, err)
	require.Len(t, entries, 3)

	h.flush(1, one([]drifttest.Event{{Time: 4*hour + hour/2, Cat: "1"}}))
	require.Contains(t, h.windows(), "3 drifted 40300, 4 open 2")
	require.Equal(t, int64(2), status().Last.Amended)
	require.Equal(t, drift.Judged, status().Last.State)
	h.flush(1, one([]drifttest.Event{{Time: 3 * hour, Cat: "1"}}))
	require.Contains(t, h.windows(), "3 drifted 40300+1, 4 open 2")
	require.Len(t, h.events(), 3)
}
