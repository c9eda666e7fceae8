package drift_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// Windows that overlap, counted by three partitions that land apart, out of order and with rows that are too late, hold
// what is counted here from the rows themselves: rows, nulls, every category, and the quantiles within their error.
func TestWindowsThatOverlapHoldTheirRows(t *testing.T) {
	for seed := range testseed.Each(t, 12) {
		r := rand.New(rand.NewPCG(seed, 1))
		slide := []string{"10m", "15m", "20m", "30m"}[r.IntN(4)]
		lateness := []time.Duration{0, 5 * time.Minute, 40 * time.Minute, 3 * time.Hour}[r.IntN(4)]
		h := newHouse(t, func(m *feature.Monitor) {
			m.Window.Slide, m.Window.Lateness = slide, feature.Duration(lateness)
			m.Features = []string{"num", "cat"}
		})
		pane := hour / int64(h.mon.Window.Panes())
		var taken []drifttest.Event
		for step := range 60 {
			at := int64(step) * hour / 8
			if step > 40 {
				at += 2 * hour // nothing for two hours
			}
			var fs []flush
			closed := map[int64]bool{}
			all, err := h.store.Windows(bg, drift.WindowQuery{})
			require.NoError(t, err)
			for _, w := range all {
				closed[w.Start] = w.State != drift.Open
			}
			for p := range 3 {
				if step > 0 && r.IntN(3) == 0 {
					continue
				}
				f := flush{topic: stream, p: int32(p)}
				for range r.IntN(40) {
					e := drifttest.Event{Time: max(0, at+r.Int64N(hour/4)-r.Int64N(hour/2)), Num: r.NormFloat64(), Cat: fmt.Sprint(r.IntN(5)), Null: r.IntN(9) == 0, Deleted: r.IntN(30) == 0}
					f.rows = append(f.rows, e)
					if !e.Deleted && !closed[drifttest.Floor(e.Time, pane)] {
						taken = append(taken, e)
					}
				}
				fs = append(fs, f)
			}
			h.flush(3, fs...)
			require.NoError(t, h.watch.Pass(bg))
		}
		_, err := h.watch.Judge(bg, "p", "m_1h")
		require.NoError(t, err)
		reader := drift.NewReader(h.store)
		windows, err := reader.Windows(bg, h.mon, 0)
		require.NoError(t, err)
		ends := map[int64]bool{}
		for _, e := range taken {
			ends[drifttest.Floor(e.Time, pane)+pane] = true
		}
		require.Len(t, windows, len(ends), "one for each pane that has rows")
		for _, w := range windows {
			in := slices.DeleteFunc(slices.Clone(taken), func(e drifttest.Event) bool { return e.Time < w.End-hour || e.Time >= w.End })
			require.True(t, ends[w.End])
			require.Equal(t, [2]int64{w.End - hour, int64(len(in))}, [2]int64{w.Start, w.Rows})
			cats, nulls, nums := map[string]int64{}, int64(0), []float64{}
			for _, e := range in {
				if e.Null {
					nulls++
					continue
				}
				cats[e.Cat]++
				nums = append(nums, e.Num)
			}
			p, err := reader.Profiled(bg, h.mon, w.Start+1)
			require.NoError(t, err)
			require.Equal(t, [3]int64{w.Start, w.End, w.Rows}, [3]int64{p.Start, p.End, p.Rows})
			for _, f := range p.Profile.Features {
				require.Equal(t, [2]int64{int64(len(nums)), nulls}, [2]int64{f.Count, f.Nulls})
				if f.Name == "cat" {
					of := map[string]int64{}
					top, _ := f.Categories()
					for _, c := range top {
						of[c.Value] = c.Count
					}
					require.Equal(t, cats, of)
				}
			}
			if w.Verdict != nil {
				require.Equal(t, int64(len(nums)), w.Features[0].Count)
			} else {
				require.Equal(t, drift.ReferenceOnly, w.State)
				require.LessOrEqual(t, w.End, 2*hour)
			}
		}
	}
}

// History judged later has the windows, verdicts and changes that the stream had.
func TestBacktestOfWindowsThatOverlap(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Window.Slide, m.Windows, m.CoolDown = "20m", 4, feature.Duration(time.Hour)
	})
	means := map[int64]float64{6: 4, 7: 4, 13: 4, 14: 4, 15: 4, 16: 4}
	for w := range int64(18) {
		if w != 11 {
			h.flush(1, one(h.rows(w, 600, means[w])))
		}
		require.NoError(t, h.watch.Pass(bg))
	}
	h.flush(1, one([]drifttest.Event{{Time: 18 * hour, Cat: "1"}}))
	require.NoError(t, h.watch.Pass(bg))
	require.Equal(t, []string{"detected.v1", "resolved.v1", "detected.v1"}, h.events())
	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, [2]int64{hour, 6*hour + hour/3}, [2]int64{told[2].WindowEnd - told[2].WindowStart, told[2].WindowEnd - hour}, "the fourth window with rows of hour 6")
	require.Contains(t, string(told[2].Payload), `"since":"1970-01-01T05:20:00Z"`)
	sameAsHistory(t, h, 2*hour, 18*hour)
}

// A cool-down begins with the end of the window that ended the drift, as where windows do not overlap: it is no longer by
// what they have in common.
func TestCoolDownOfWindowsThatOverlap(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) { m.Window.Slide, m.CoolDown = "20m", feature.Duration(time.Hour) })
	for w, mean := range []float64{2: 4, 3: 0, 4: 0, 5: 4, 6: 4} {
		h.flush(1, one(h.rows(int64(w), 600, mean)))
		require.NoError(t, h.watch.Pass(bg))
	}
	h.flush(1, one([]drifttest.Event{{Time: 7 * hour, Cat: "1"}}))
	require.NoError(t, h.watch.Pass(bg))
	require.Equal(t, []string{"detected.v1", "resolved.v1", "detected.v1"}, h.events())
	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, []int64{4 * hour, 5*hour + hour/3}, []int64{told[1].WindowEnd, told[0].WindowEnd}, "the first that ends with more than the hour after")
	sameAsHistory(t, h, hour+hour/3, 7*hour)
}

// sameAsHistory judges history from one time to another, and compares with what the stream told.
func sameAsHistory(t *testing.T, h *house, from, to int64) *drift.Backtest {
	t.Helper()
	b := &drift.Backtester{Store: h.store, References: h, History: h}
	got, err := b.Run(bg, h.mon, from, to)
	require.NoError(t, err)
	all, err := drift.NewReader(h.store).Windows(bg, h.mon, 0)
	require.NoError(t, err)
	live := slices.DeleteFunc(all, func(w drift.WindowReport) bool { return w.Start < from || w.End > to })
	require.Len(t, got.Windows, len(live))
	clear, same := 0, true
	for i, w := range got.Windows {
		l := live[i]
		require.Equal(t, [3]int64{l.Start, l.End, l.Rows}, [3]int64{w.Start, w.End, w.Rows})
		close := false // sketches of the same values differ a little
		for k := range w.Features {
			require.Equal(t, l.Features[k].RefCount, w.Features[k].RefCount, "window at %s", feature.Time(w.Start))
			for _, c := range append(slices.Clone(w.Features[k].Checks), l.Features[k].Checks...) {
				close = close || math.Abs(c.Value-c.Threshold) < 0.2*c.Threshold || c.Adjusted > 1e-4 && c.Adjusted < 0.1
			}
		}
		if !close {
			require.Equal(t, l.Verdict.Outcome, w.Verdict.Outcome, "window at %s", feature.Time(w.Start))
			clear++
		}
		same = same && l.Verdict.Outcome == w.Verdict.Outcome
	}
	require.Greater(t, clear*2, len(live), "most")
	if !same {
		return got // of those that are close one at least was decided otherwise, and what follows from it is other, too
	}
	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Len(t, got.Changes, len(told))
	for i, c := range got.Changes {
		e := told[len(told)-1-i]
		require.Equal(t, e.Type == drift.DetectedType, c.Drifted)
		require.Equal(t, e.WindowEnd, c.End)
	}
	return got
}
