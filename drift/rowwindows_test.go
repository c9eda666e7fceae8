package drift_test

import (
	"fmt"
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

// span is a window and how many rows it has.
type span struct{ start, end, rows int64 }

// cut makes windows of rows in the plain way: panes in their order are put together until there are enough, anew every so often.
func cut(times []int64, pane, rows, most int64) (out []span) {
	counts := map[int64]int64{}
	for _, ts := range times {
		counts[drifttest.Floor(ts, pane)]++
	}
	var starts []int64
	for s := range counts {
		starts = append(starts, s)
	}
	slices.Sort(starts)
	var now span
	for _, s := range starts {
		if now.rows > 0 && drifttest.Floor(s, most) != drifttest.Floor(now.start, most) {
			now = span{}
		}
		if now.rows == 0 {
			now.start = s
		}
		now.rows, now.end = now.rows+counts[s], s+pane
		if now.rows >= rows {
			out = append(out, now)
			now = span{}
		}
	}
	return out
}

func spans(all []drift.WindowReport) (out []span) {
	for _, w := range all {
		out = append(out, span{w.Start, w.End, w.Rows})
	}
	return out
}

// Windows of a number of rows are those that are counted here from the rows, whatever way they came: three partitions that land
// apart, out of order, with rows that are too late. History from any time has them too.
func TestWindowsOfRows(t *testing.T) {
	for seed := range testseed.Each(t, 16) {
		r := rand.New(rand.NewPCG(seed, 3))
		most, late := []int64{3 * hour, 24 * hour}[r.IntN(2)], r.IntN(2) == 0
		rows := int64(40 + r.IntN(400))
		h := newHouse(t, func(m *feature.Monitor) {
			m.Window = feature.Window{Size: "15m", Rows: rows, AtMost: feature.Duration(most * 1000), Lateness: feature.Duration(2 * time.Hour)}
			if late {
				m.Window.Lateness = 0
			}
			m.Features, m.MinCount = []string{"num", "cat"}, 20
		})
		const pane = hour / 4
		var taken []int64
		for step := range 70 {
			closed := map[int64]bool{}
			all, err := h.store.Windows(bg, drift.WindowQuery{})
			require.NoError(t, err)
			for _, w := range all {
				closed[w.Start] = w.State != drift.Open
			}
			var fs []flush
			for p := range 3 {
				f := flush{topic: stream, p: int32(p)}
				n := r.IntN(50)
				if step%17 == 3 {
					n = 300 // a pane that is a window by itself
				}
				for range n {
					e := drifttest.Event{Time: max(0, int64(step)*hour/5+r.Int64N(hour/4)-r.Int64N(hour/2)), Num: r.NormFloat64(), Cat: fmt.Sprint(r.IntN(5))}
					f.rows = append(f.rows, e)
					if !closed[drifttest.Floor(e.Time, pane)] {
						taken = append(taken, e.Time)
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
		live, err := reader.Windows(bg, h.mon, 0)
		require.NoError(t, err)
		want := cut(taken, pane, rows, most)
		require.NotEmpty(t, want)
		require.Equal(t, want, spans(live), "seed %d", seed)
		for _, w := range live {
			p, err := reader.Profiled(bg, h.mon, w.Start+1)
			require.NoError(t, err)
			require.Equal(t, w.Rows, p.Profile.Rows)
			require.Equal(t, w.Rows, p.Profile.Features[0].Count)
			require.Equal(t, w.Start >= 0 && w.End <= 2*hour, w.State == drift.ReferenceOnly)
			if w.Verdict != nil {
				require.Equal(t, w.Rows, w.Features[0].Count)
			}
		}
		three, err := reader.Windows(bg, h.mon, 3)
		require.NoError(t, err)
		require.Equal(t, want[max(0, len(want)-3):], spans(three))
		st, err := reader.Status(bg, []*feature.Monitor{h.mon})
		require.NoError(t, err)
		require.Equal(t, len(want), st[0].Judged)
		require.Equal(t, want[len(want)-1].start, st[0].Last.Start)
		if late {
			continue
		}
		from := 2*hour + r.Int64N(8*hour)
		b := &drift.Backtester{Store: h.store, References: h, History: h}
		got, err := b.Run(bg, h.mon, from, 15*hour)
		require.NoError(t, err)
		want = slices.DeleteFunc(want, func(w span) bool { return w.start < from || w.end > 15*hour })
		require.Equal(t, want, spans(got.Windows), "seed %d, from %d", seed, from)
	}
}

// A monitor of such windows tells of a drift as others do, by windows in a row.
func TestWindowsOfRowsTellOfDrift(t *testing.T) {
	h := newHouse(t, func(m *feature.Monitor) {
		m.Window, m.Windows = feature.Window{Size: "1h", Rows: 500, AtMost: feature.Duration(6 * time.Hour)}, 2
	})
	for w := range int64(26) {
		mean := 0.0
		if w >= 12 && w < 18 {
			mean = 3
		}
		h.flush(1, one(h.rows(w, 300, mean)))
		require.NoError(t, h.watch.Pass(bg))
	}
	require.Equal(t, "0 reference 600, 2 steady 600, 4 steady 600, 6 steady 600, 8 steady 600, 10 steady 600, 12 drifted 600, 14 drifted 600, 16 drifted 600, "+
		"18 steady 600, 20 steady 600, 22 steady 600", h.show()[:len(h.show())-len(", 24 open 600")])
	require.Equal(t, []string{"detected.v1", "resolved.v1"}, h.events())
	told, err := drift.NewReader(h.store).Events(bg, drift.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, [2]int64{14 * hour, 16 * hour}, [2]int64{told[1].WindowStart, told[1].WindowEnd})
	all, err := h.store.Windows(bg, drift.WindowQuery{States: []drift.WindowState{"part"}})
	require.NoError(t, err)
	require.Len(t, all, 13, "the first hour of each")
	sameAsHistory(t, h, 2*hour, 24*hour)
}

// History that is imported between panes whose windows are judged is in none: a row of them would be in two, and what was judged be another window now.
// While an import is under way that has brought rows for a time, what comes after it waits, so that they are in it; and what
// an import brings ahead of the stream waits for the stream.
func TestWindowsOfRowsAndImports(t *testing.T) {
	open := func() *house {
		h := newHouse(t, func(m *feature.Monitor) {
			m.Window = feature.Window{Size: "1h", Rows: 500, AtMost: feature.Duration(6 * time.Hour)}
		})
		for w := range int64(3) {
			h.flush(1, one(h.rows(w, 300, 0)))
		}
		require.NoError(t, h.watch.Pass(bg))
		return h
	}
	imports := func(h *house, hours []int64, final bool) flush {
		var rows []drifttest.Event
		for _, w := range hours {
			rows = append(rows, h.rows(w, 300, 0)...)
		}
		return flush{topic: [16]byte{9}, p: feature.ImportPartition, rows: rows, final: final}
	}

	h := open()
	for _, w := range []int64{6, 8, 9, 10, 12} {
		h.flush(1, one(h.rows(w, 300, 0)))
		require.NoError(t, h.watch.Pass(bg))
	}
	const judged = "0 reference 600, 6 steady 600, 9 steady 600"
	require.Equal(t, judged, h.show())
	h.flush(1, imports(h, []int64{5, 7, 11}, true))
	require.Equal(t, "0 reference 600, 2 steady 600, 6 steady 600, 9 steady 600", h.windows(), "hour 5 is the end of what 2 began, 7 is in none")
	all, err := h.store.Windows(bg, drift.WindowQuery{States: []drift.WindowState{"passed"}})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, 7*hour, all[0].Start)
	require.Contains(t, h.log.String(), "rows are in no window")
	p, err := drift.NewReader(h.store).Profiled(bg, h.mon, 7*hour)
	require.NoError(t, err)
	require.Equal(t, []int64{6 * hour, 9 * hour, 600, 600}, []int64{p.Start, p.End, p.Rows, p.Profile.Rows})

	h = open()
	h.flush(1, one(h.rows(6, 300, 0)), imports(h, []int64{8}, true)) // ahead of the stream
	require.NotContains(t, h.windows(), "steady")
	for _, w := range []int64{7, 9, 10} {
		h.flush(1, one(h.rows(w, 300, 0)))
		require.NoError(t, h.watch.Pass(bg))
	}
	require.Contains(t, h.show(), "6 steady 600, 8 steady 600", "none of the stream's is passed over")

	for _, ends := range []bool{true, false} {
		h := open()
		h.flush(1, imports(h, []int64{6}, false), one(h.rows(7, 300, 0)))
		for w := range int64(3) {
			h.flush(1, one(h.rows(8+w, 300, 0)))
			require.NotContains(t, h.windows(), "steady", "an import that is under way has rows for hour 6")
		}
		if ends {
			h.flush(1, imports(h, nil, true))
			require.Contains(t, h.windows(), "6 steady 600, 8 steady 600")
		} else {
			h.now = h.now.Add(2 * time.Minute) // it has stopped
			require.Contains(t, h.windows(), "7 steady 600")
			h.flush(1, imports(h, nil, true))
			require.Contains(t, h.windows(), "7 steady 600")
		}
	}
}

// Whatever is imported, and however late rows are: windows do not overlap, and one that is judged stays what it is.
func TestWindowsOfRowsStay(t *testing.T) {
	for seed := range testseed.Each(t, 12) {
		r := rand.New(rand.NewPCG(seed, 4))
		h := newHouse(t, func(m *feature.Monitor) {
			m.Window = feature.Window{Size: "15m", Rows: int64(20 + r.IntN(100)), AtMost: feature.Duration([]time.Duration{3 * time.Hour, 24 * time.Hour}[r.IntN(2)])}
			m.Features, m.MinCount = []string{"num"}, 20
		})
		reader := drift.NewReader(h.store)
		seen := map[int64]span{}
		imported := byte(0)
		look := func(step int) {
			all, err := reader.Windows(bg, h.mon, 0)
			require.NoError(t, err)
			until, now := int64(-1), map[int64]span{}
			for _, w := range all {
				if w.State == drift.Open || w.State == drift.Closed {
					continue
				}
				now[w.Start] = span{w.Start, w.End, w.Rows}
				require.GreaterOrEqual(t, w.Start, until, "seed %d, step %d: windows overlap", seed, step)
				until = w.End
				if w.Verdict != nil {
					require.Equal(t, w.Rows, w.Features[0].Count)
				}
			}
			for start, w := range seen {
				require.Equal(t, w, now[start], "seed %d, step %d", seed, step)
			}
			seen = now
		}
		for step := range 60 {
			at := int64(step) * hour / 3
			some := func(n int, from, to int64) (rows []drifttest.Event) {
				for range n {
					rows = append(rows, drifttest.Event{Time: max(0, at+from+r.Int64N(to-from)), Num: r.NormFloat64()})
				}
				return rows
			}
			fs := []flush{one(some(r.IntN(40), -hour/4, hour/4))}
			if r.IntN(4) == 0 { // late
				fs[0].rows = append(fs[0].rows, some(r.IntN(20), -6*hour, 0)...)
			}
			if r.IntN(2) == 0 {
				fs = append(fs, flush{topic: [16]byte{9, imported}, p: feature.ImportPartition, rows: some(r.IntN(60), -8*hour, hour), final: r.IntN(3) == 0})
				if fs[1].final {
					imported++
				}
			}
			h.flush(1, fs...)
			h.now = h.now.Add(time.Duration(r.IntN(40)) * time.Second)
			require.NoError(t, h.watch.Pass(bg))
			look(step)
		}
		_, err := h.watch.Judge(bg, "p", "m_1h")
		require.NoError(t, err)
		look(60)
		require.NotEmpty(t, seen)
	}
}
