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

// History judged later tells what the watch has told at its time, and changes nothing.
func TestBacktestTellsWhatTheWatchTold(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Windows, m.CoolDown = 2, feature.Duration(4*time.Hour) })
	h.flush(1, one(append(h.rows(0, 400, 0), h.rows(1, 400, 0)...)))
	for w, mean := range []float64{0, 0, 0, 4, 0, 4, 4, 4, 0, 0, 4, 4, 4, 4, 4, 4, 4} {
		if w >= 2 {
			h.flush(1, one(h.rows(int64(w), 300, mean)))
		}
	}
	h.flush(1, one([]drifttest.Event{{Time: 17 * hour, Cat: "1"}}))
	require.NoError(t, h.watch.Pass(bg))
	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{"detected.v1", "resolved.v1", "detected.v1"}, h.events())
	live, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
	require.NoError(t, err)

	b := &drift.Backtester{Store: h.store, References: h, History: h}
	got, err := b.Run(bg, h.mon, 2*hour, 17*hour)
	require.NoError(t, err)
	require.Len(t, got.Windows, 15)
	for i, w := range got.Windows {
		require.Equal(t, live[i+2].Start, w.Start)
		require.Equal(t, live[i+2].Rows, w.Rows)
		require.Equal(t, live[i+2].Verdict.Outcome, w.Verdict.Outcome, "window %d", i+2)
		require.Equal(t, live[i+2].Verdict.DriftedFeatures(), w.Verdict.DriftedFeatures())
	}
	require.Len(t, got.Changes, 3)
	for i, c := range got.Changes {
		e := told[len(told)-1-i]
		require.Equal(t, e.Type == drift.DetectedType, c.Drifted)
		require.Equal(t, e.WindowEnd, c.End)
	}
	require.Equal(t, 5*hour, got.Changes[0].Since)
	require.True(t, got.State.Drifting)

	// A store without reference, windows and events stays so.
	empty := newHouse(t, nil)
	empty.table, empty.mon = h.table, h.mon
	b = &drift.Backtester{Store: empty.store, References: h, History: h}
	again, err := b.Run(bg, h.mon, 0, 17*hour)
	require.NoError(t, err)
	require.Len(t, again.Windows, 17, "those of the reference are judged as well")
	require.Equal(t, got.Changes, again.Changes)
	all, err := empty.store.Windows(bg, drift.WindowQuery{})
	require.NoError(t, err)
	require.Empty(t, all)
	left, err := empty.store.Entries(bg, outbox.Query{})
	require.NoError(t, err)
	require.Empty(t, left)

	for _, span := range [][2]int64{{5, 5}, {1, hour - 1}, {0, 20_000 * hour}} {
		_, err = b.Run(bg, h.mon, span[0], span[1])
		require.Equal(t, feature.Invalid, feature.KindOf(err), span)
	}
}

// What comes of a run is bounded by windows and features together: more than a client takes is refused before it is computed.
func TestBacktestOfManyFeatures(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Features, m.ViewOf = nil, &feature.View{Meta: m.ViewOf.Meta}
		for range 500 {
			m.ViewOf.Features = append(m.ViewOf.Features, feature.Field{Name: "x", Type: feature.Float64})
		}
	})
	b := &drift.Backtester{Store: h.store, References: h, History: h}
	_, err := b.Run(bg, h.mon, 0, 501*hour)
	require.Equal(t, feature.Invalid, feature.KindOf(err))
	require.ErrorContains(t, err, "more than 500 windows of 1h with 500 features")
}
