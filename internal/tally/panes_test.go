package tally_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/registry/feature"
)

// sliding are windows that overlap.
type sliding struct {
	tallytest.Windows
	w feature.Window
}

func (s sliding) Window() feature.Window { return s.w }
func (s sliding) Series() tally.Series {
	return tally.Series{Project: "p", Owner: "m_1h", Size: s.w.Name()}
}

// newSliding is a house whose windows of an hour begin every so often.
func newSliding(t *testing.T, slide string, lateness time.Duration, fire int) *house {
	h := newHouse(t, lateness, fire)
	h.series.Window.Slide = slide
	to := sliding{"1h", h.series.Window}
	h.series.Series = to.Series()
	h.store = memory.New[*tallytest.Counted, *tallytest.Share](tallytest.DecodeCounted, nil)
	h.tap = tally.NewTap(h.view, []tally.Target[*tallytest.Counted]{to}, tally.Stager[*tallytest.Counted](h.store), tally.TapOptions{Name: "counted", Held: true, Now: h.clock})
	require.NoError(t, h.tap.Assign(bg, []feature.Position{h.at}))
	h.watch = h.newWatch()
	return h
}

// A window is judged when its last pane ends, by the rows of all its panes; states and events name the window, not the pane.
func TestWindowsThatOverlap(t *testing.T) {
	h := newSliding(t, "30m", 45*time.Minute, 1)
	h.land("1.1 1.2 1.6!")
	h.land("2.0")
	require.Equal(t, "1 open 2 0%, 1 open 1 33%, 2 open 1", h.look())
	h.land("1.3! 2.1") // late for the pane before the last: both windows that it is part of are judged anew
	require.Equal(t, "1 open 3 33% amended 1, 1 open 1 50% amended 1, 2 open 2", h.look())
	n := h.judged
	h.land("2.2 2.5! 2.6! 2.7!")
	require.Equal(t, "1 judged 3 33% amended 1, 1 open 1 50% amended 1, 2 open 3 25%, 2 open 3", h.look())
	require.Equal(t, n+1, h.judged, "the first is final by what was seen")
	h.land("4.1! 4.6!")
	require.Contains(t, h.look(), "2 judged 3 25%, 2 judged 3 50%, 4 open 1 100%, 4 open 1", "nothing came from 3 to 4")
	require.Empty(t, h.events(), "one row says nothing")
	h.land("4.2! 5.1")
	h.look()
	require.Equal(t, "failed 3 since 3", h.events(), "from half past 3 to half past 4")
	states, err := h.store.States(bg, "p", "")
	require.NoError(t, err)
	require.Equal(t, 4*hour, states[0].LastStart)
	all, err := h.store.Events(bg, tally.EventQuery{})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint("failed", 3*hour+hour/2, "/1"), all[0].ID)
	judged, err := h.watch.Judge(bg, "p", "m_1h")
	require.NoError(t, err)
	require.Equal(t, [3]int64{4*hour + hour/2, 5*hour + hour/2, 2}, [3]int64{judged[len(judged)-1].Start, judged[len(judged)-1].End, judged[len(judged)-1].Rows})

	// The panes of windows to come stay when profiles are forgotten, and what is compared with them.
	profiles := func() (out []int64) {
		w := h.newWatch()
		h.now = h.now.Add(100 * 24 * time.Hour)
		require.NoError(t, w.Pass(bg))
		all, err := h.store.Windows(bg, tally.WindowQuery{Profiles: true})
		require.NoError(t, err)
		for _, x := range all {
			if x.Profile != nil {
				out = append(out, x.Start*2/hour)
			}
		}
		return out
	}
	h.series.Keep = hour
	require.Equal(t, []int64{5, 8, 9, 10}, profiles())
	h.series.Keep = 0
	require.Equal(t, []int64{8, 9, 10}, profiles())
	h.series.Window.Slide = ""
	require.Empty(t, profiles())
	lost := tally.Whole(0, []record{{Rows: 3}, {Rows: 2, Profile: &tallytest.Counted{Rows: 2}}, {}})
	require.Equal(t, [2]int64{5, 1}, [2]int64{lost.Rows, int64(lost.Lost)})
}

// slid is what a window was last judged by.
type slid struct{ rows, held int64 }

// Every verdict, early or amended or for good, of every window is that of the rows that the panes it is made of
// have taken: counted here from the rows alone, with several workers that land their partitions apart from each other.
func TestWindowsThatOverlapAgreeWithRows(t *testing.T) {
	for seed := range testseed.Each(t, 60) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := []int64{2, 3, 4, 6}[r.IntN(4)]
		pane := hour / n
		lateness := []int64{0, pane / 2, pane, 2 * pane, 2 * hour}[r.IntN(5)]
		agree(t, r, n, pane, lateness)
	}
}

func agree(t *testing.T, r *rand.Rand, n, pane, lateness int64) {
	h := newSliding(t, fmt.Sprint(60/n, "m"), time.Duration(lateness)*time.Microsecond, 1)
	got := map[int64]slid{} // by start of the window
	w := tally.NewWatch(h.store, &listening{house: h, got: got}, tally.WatchOptions{Config: tally.DefaultConfig(), What: "share", Now: h.clock})
	const workers = 3
	var taps [workers]*tally.Tap[*tallytest.Counted]
	var at [workers]feature.Position
	newest := [workers]int64{}
	for p := range taps {
		at[p] = feature.Position{TopicID: [16]byte{1}, Partition: int32(p)}
		taps[p] = tally.NewTap(h.view, []tally.Target[*tallytest.Counted]{sliding{"1h", h.series.Window}}, tally.Stager[*tallytest.Counted](h.store),
			tally.TapOptions{Name: "counted", Held: true, Now: h.clock})
		require.NoError(t, taps[p].Assign(bg, []feature.Position{at[p]}))
	}
	taken := map[int64]*slid{} // by pane
	closed := map[int64]bool{}
	late := int64(0)
	for step := range 120 {
		p := r.IntN(workers)
		var rows []tallytest.Event
		for range 1 + r.IntN(12) {
			// In the middle nothing comes for a while: panes without rows.
			ts := int64(step)*pane/7 + r.Int64N(pane) - r.Int64N(2*pane)
			if step > 50 {
				ts += 3 * pane
			}
			rows = append(rows, tallytest.Event{Time: ts, Held: r.IntN(3) == 0})
		}
		require.NoError(t, taps[p].Write(bg, tallytest.Batch(h.view, at[p].TopicID, int32(p), at[p].Next, rows)))
		to := at[p]
		to.Next += int64(len(rows))
		to.Commit = fmt.Sprint(p, "/", to.Next)
		c := &feature.Commit{ID: to.Commit, View: h.view, Partitions: workers, Advances: []feature.Advance{{From: at[p], To: to}}}
		taps[p].Cut(c)
		require.NoError(t, taps[p].Stage(bg, c))
		require.NoError(t, taps[p].Settle(bg, c))
		at[p] = to
		for i, e := range rows {
			if i == 0 && newest[p] == 0 || e.Time > newest[p] {
				newest[p] = e.Time
			}
			start := tallytest.Floor(e.Time, pane)
			if closed[start] {
				late++
				continue
			}
			if taken[start] == nil {
				taken[start] = &slid{}
			}
			taken[start].rows++
			if e.Held {
				taken[start].held++
			}
		}
		if r.IntN(3) == 0 {
			continue
		}
		require.NoError(t, w.Pass(bg))
		check(t, h, n, pane, taken, closed, got)
	}
	require.NotEmpty(t, got)
	if lateness == 0 {
		require.NotZero(t, late, "some rows come too late for every window")
	}
}

// check compares what was judged with the rows, and notes which panes are closed.
func check(t *testing.T, h *house, n, pane int64, taken map[int64]*slid, closed map[int64]bool, got map[int64]slid) {
	t.Helper()
	all, err := h.store.Windows(bg, tally.WindowQuery{})
	require.NoError(t, err)
	require.Len(t, all, len(taken))
	mark := int64(-1 << 62)
	for _, x := range all {
		if x.State != tally.Open {
			closed[x.Start] = true
		}
		if x.Verdict != nil {
			mark = max(mark, x.End)
		}
	}
	for _, x := range all {
		require.Equal(t, taken[x.Start].rows, x.Rows)
		require.Equal(t, x.End <= mark, x.Verdict != nil, "all that is over has a verdict")
		if x.Verdict == nil {
			continue
		}
		want := slid{}
		for k := range n {
			if p := taken[x.Start-k*pane]; p != nil {
				want.rows, want.held = want.rows+p.rows, want.held+p.held
			}
		}
		start := x.End - n*pane
		require.Equal(t, want, got[start], "window at %d", start)
		require.InDelta(t, float64(want.held)/float64(want.rows), x.Verdict.Held, 1e-12)
	}
}

// listening notes what is judged.
type listening struct {
	*house
	got map[int64]slid
}

func (l *listening) Judge(ctx context.Context, w *watched, r *record, past func(int64) bool) (*tallytest.Share, tally.Outcome, bool, error) {
	l.got[r.Start] = slid{r.Rows, r.Profile.Held}
	if r.Rows != r.Profile.Rows || r.End-r.Start != hour {
		l.t.Errorf("window %d..%d: %d rows, its profile %d", r.Start, r.End, r.Rows, r.Profile.Rows)
	}
	return l.house.Judge(ctx, w, r, past)
}
