package drift_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// trailingHouse compares each hour with those before it.
func trailingHouse(t *testing.T, trailing, gap time.Duration, change func(*feature.Monitor)) *house {
	return newHouse(t, func(m *feature.Monitor) {
		m.Reference = feature.Reference{Trailing: feature.Duration(trailing), Gap: feature.Duration(gap)}
		m.Features = []string{"num", "cat"}
		if change != nil {
			change(m)
		}
	})
}

// last is the newest window that was judged, and what it was compared with.
func (h *house) last() (drift.WindowReport, int64) {
	h.t.Helper()
	require.NoError(h.t, h.watch.Pass(bg))
	all, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
	require.NoError(h.t, err)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Verdict != nil {
			return all[i], all[i].Features[0].RefCount
		}
	}
	h.t.Fatal("none is judged")
	return drift.WindowReport{}, 0
}

// Windows are compared with those before them, once these reach back far enough; a change that stays is told once, and
// is no drift any more when what it is compared with knows it.
func TestReferenceThatTrails(t *testing.T) {
	h := trailingHouse(t, 10*time.Hour, time.Hour, nil)
	h.flush(1, one(h.rows(0, 300, 0)))
	for w := int64(1); w <= 60; w++ {
		mean := 0.0
		if w >= 25 {
			mean = 2
		}
		h.flush(1, one(h.rows(w, 300, mean)))
		got, count := h.last()
		require.Equal(t, (w-1)*hour, got.Start)
		if w-1 < 11 {
			require.Equal(t, drift.Insufficient, got.Verdict.Outcome, "hour %d", w-1)
			require.Zero(t, count, "its reference is not whole")
			continue
		}
		require.Equal(t, int64(3000), count, "ten hours")
		if w-1 < 25 {
			require.Equal(t, drift.Steady, got.Verdict.Outcome, "hour %d", w-1)
		}
		if w-1 == 25 || w-1 == 26 {
			require.Equal(t, drift.Drifted, got.Verdict.Outcome, "the hours before are the old ones")
		}
		if w-1 >= 36 {
			require.Equal(t, drift.Steady, got.Verdict.Outcome, "hour %d: all before are like it", w-1)
		}
	}
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Contains(t, string(told[1].Payload), `"reference":{"from":"1970-01-01T14:00:00Z","to":"1970-01-02T00:00:00Z","trailing":"10h","gap":"1h"}`)
	sameAsHistory(t, h, 2*hour, 60*hour)
	got := sameAsHistory(t, h, 0, 60*hour)
	require.Equal(t, drift.Insufficient, got.Windows[10].Verdict.Outcome)

	// A reference that nothing is known of is not one.
	b := &drift.Backtester{Store: h.store, References: h, History: h}
	late, err := b.Run(bg, h.mon, 30*hour, 40*hour)
	require.NoError(t, err)
	require.Len(t, late.Windows, 10)
	require.NotEqual(t, drift.Insufficient, late.Windows[0].Verdict.Outcome, "the table has what is before --from")
}

// After a long pause a window waits again, until half of the time that it trails has rows.
func TestReferenceThatTrailsAfterAPause(t *testing.T) {
	h := trailingHouse(t, 10*time.Hour, 0, nil)
	h.flush(1, one(h.rows(0, 300, 0)))
	for w := int64(1); w <= 140; w++ {
		if w >= 14 && w < 120 {
			continue
		}
		mean := 0.0
		if w >= 120 {
			mean = float64(w-120) / 10 // the first hours after a pause are unlike each other
		}
		h.flush(1, one(h.rows(w, 300, mean)))
		got, count := h.last()
		if since := got.Start/hour - 120; since >= 0 && since < 5 {
			require.Equal(t, drift.Insufficient, got.Verdict.Outcome, "%d hours after the pause", since)
			require.Zero(t, count)
		} else if since >= 5 {
			require.NotZero(t, count)
		}
	}
	sameAsHistory(t, h, 0, 140*hour)
}

// Windows that overlap are compared with windows before them; the same from history.
func TestWindowsThatOverlapTrailed(t *testing.T) {
	h := trailingHouse(t, 12*time.Hour, 30*time.Minute, func(m *feature.Monitor) { m.Window.Slide, m.Windows = "20m", 3 })
	for w := range int64(30) {
		mean := 0.0
		if w == 20 || w == 21 {
			mean = 3
		}
		if w != 24 {
			h.flush(1, one(h.rows(w, 600, mean)))
		}
		require.NoError(t, h.watch.Pass(bg))
	}
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	h.flush(1, one([]drifttest.Event{{Time: 30 * hour, Cat: "1"}}))
	require.NoError(t, h.watch.Pass(bg))
	sameAsHistory(t, h, 0, 30*hour)
}

// What a window is compared with is what its panes had counted when they took no more rows, late ones left out: counted here from the
// rows. An early verdict waits until they are over, and so nothing but a window's own rows amends it.
func TestReferenceThatTrailsIsWhatWasCounted(t *testing.T) {
	for seed := range testseed.Each(t, 12) {
		r := rand.New(rand.NewPCG(seed, 2))
		lateness := []time.Duration{0, 20 * time.Minute, 90 * time.Minute}[r.IntN(3)]
		gap := []int64{0, hour, 3 * hour / 2}[r.IntN(3)]
		h := trailingHouse(t, 4*time.Hour, time.Duration(gap*1000), func(m *feature.Monitor) {
			m.Window.Lateness, m.MinCount = feature.Duration(lateness), 20
			m.Window.Slide = []string{"", "30m", "15m"}[r.IntN(3)]
		})
		pane := hour / int64(h.mon.Window.Panes())
		taken := map[int64]int64{} // by pane
		for step := range 80 {
			closed := map[int64]bool{}
			all, err := h.store.Windows(bg, drift.WindowQuery{})
			require.NoError(t, err)
			for _, w := range all {
				closed[w.Start] = w.State != drift.Open
			}
			var fs []flush
			for p := range 3 {
				f := flush{topic: stream, p: int32(p)}
				for range 1 + r.IntN(20) {
					e := drifttest.Event{Time: max(0, int64(step)*hour/6+r.Int64N(hour/4)-r.Int64N(hour)), Num: r.NormFloat64(), Cat: fmt.Sprint(r.IntN(5))}
					f.rows = append(f.rows, e)
					if start := drifttest.Floor(e.Time, pane); !closed[start] {
						taken[start]++
					}
				}
				fs = append(fs, f)
			}
			h.flush(3, fs...)
			require.NoError(t, h.watch.Pass(bg))
			live, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
			require.NoError(t, err)
			compared := 0
			for _, w := range live {
				if w.Verdict == nil {
					continue
				}
				from, to := h.mon.Reference.Before(w.Start)
				want := int64(0)
				for start, n := range taken {
					if start >= from && start+pane <= to && from > -pane {
						want += n
					}
				}
				require.Equal(t, want, w.Features[0].RefCount, "seed %d, window at %s", seed, feature.Time(w.Start))
				if want > 0 {
					compared++
				}
			}
			if step == 79 {
				require.Greater(t, compared, 3)
			}
		}
	}
}

// Panes that others are yet to be compared with keep their profiles, and where they are gone nothing is judged.
func TestReferenceThatTrailsIsKept(t *testing.T) {
	h := trailingHouse(t, 3*time.Hour, 0, nil)
	for w := range int64(8) {
		if w != 5 {
			h.flush(1, one(h.rows(w, 300, 0)))
		}
		require.NoError(t, h.watch.Pass(bg))
	}
	h.now = h.now.Add(200 * 24 * time.Hour)
	h.watch = h.newWatch()
	h.flush(1, one(h.rows(8, 300, 0)))
	got, count := h.last()
	require.Equal(t, []any{7 * hour, drift.Steady, int64(600)}, []any{got.Start, got.Verdict.Outcome, count}, "of three hours two have rows")
	all, err := h.store.Windows(bg, drift.WindowQuery{Profiles: true})
	require.NoError(t, err)
	require.Nil(t, all[4].Profile)
	require.NotNil(t, all[5].Profile)

	h.flush(1, one(h.rows(9, 300, 0)), flush{topic: [16]byte{9}, p: feature.ImportPartition, rows: h.rows(5, 300, 0), final: true})
	require.NoError(t, h.watch.Pass(bg))
	require.Contains(t, h.show(), "4 steady 300, 5 insufficient 300, 6 steady 300, 7 steady 300, 8 steady 300, 9 open 300", "an import of what was before")
}
