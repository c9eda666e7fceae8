package tally_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/registry/feature"
)

var bg = context.Background()

const hour = int64(time.Hour / time.Microsecond)

type (
	record    = tally.Record[*tallytest.Counted, *tallytest.Share]
	judgement = tally.Judgement[*tallytest.Share]
	watched   = tally.Watched[float64]
)

// house is a view whose windows are bad when more than a share of their rows was held back.
type house struct {
	t      *testing.T
	view   *feature.View
	store  tally.Store[*tallytest.Counted, *tallytest.Share]
	tap    *tally.Tap[*tallytest.Counted]
	watch  *tally.Watch[float64, *tallytest.Counted, *tallytest.Share]
	series watched
	skip   int64 // windows that start below are not judged
	waits  bool
	judged int
	gone   bool // nobody watches it
	now    time.Time
	at     feature.Position
}

func newHouse(t *testing.T, lateness time.Duration, fire int) *house {
	h := &house{t: t, view: tallytest.View(), now: time.Unix(1e9, 0), at: feature.Position{TopicID: [16]byte{1}}, skip: -1 << 62}
	h.store = memory.New[*tallytest.Counted, *tallytest.Share](tallytest.DecodeCounted, nil)
	w := tallytest.Windows("1h")
	h.series = watched{Series: w.Series(), ViewID: h.view.ID(), View: "v", Version: 2, Of: 0.5, Fire: fire, Resolve: fire,
		Window: feature.Window{Size: "1h", Lateness: feature.Duration(lateness), IdleFor: feature.Duration(time.Minute)}}
	h.tap = tally.NewTap(h.view, []tally.Target[*tallytest.Counted]{w}, tally.Stager[*tallytest.Counted](h.store),
		tally.TapOptions{Name: "counted", Held: true, Now: h.clock})
	require.NoError(t, h.tap.Assign(bg, []feature.Position{h.at}))
	h.watch = h.newWatch()
	return h
}

func (h *house) newWatch() *tally.Watch[float64, *tallytest.Counted, *tallytest.Share] {
	return tally.NewWatch(h.store, h, tally.WatchOptions{Config: tally.DefaultConfig(), What: "share", Now: h.clock})
}

func (h *house) clock() time.Time { return h.now }

func (h *house) Watched(context.Context) ([]watched, error) {
	if h.gone {
		return nil, nil
	}
	return []watched{h.series}, nil
}
func (h *house) Skips(_ *watched, start, _ int64) bool { return start < h.skip }
func (h *house) Waits(context.Context, *watched, *record, func(int64) bool) (bool, error) {
	return h.waits, nil
}
func (h *house) Recorded(_ *watched, _ *record, _ *judgement) {}

func (h *house) Judge(_ context.Context, w *watched, r *record, _ func(int64) bool) (*tallytest.Share, tally.Outcome, bool, error) {
	h.judged++
	v := &tallytest.Share{Held: float64(r.Profile.Held) / float64(r.Profile.Rows)}
	switch {
	case h.waits:
		return nil, tally.Unsure, true, nil
	case r.Profile.Rows < 2:
		return v, tally.Unsure, false, nil
	case v.Held > w.Of:
		return v, tally.Bad, false, nil
	}
	return v, tally.Good, false, nil
}

func (h *house) Turned(w *watched, r *record, _ *tallytest.Share, t tally.Turn, now time.Time) (*tally.Event, []outbox.Entry, error) {
	kind := "resolved"
	if t.Firing {
		kind = "failed"
	}
	e := &tally.Event{ID: fmt.Sprint(kind, r.Start, "/", r.Amended), Project: w.Project, Owner: w.Owner, Time: now.UnixMicro(),
		Type: fmt.Sprintf("%s %d since %d", kind, r.Start/hour, t.Since/hour), Payload: []byte("{}")}
	return e, e.Entries([]string{"log"}, nil), nil
}

// land writes and lands events, "3.5" at half past three; a "!" holds it back.
func (h *house) land(events string) {
	h.t.Helper()
	var rows []tallytest.Event
	for _, e := range strings.Fields(events) {
		at, held := strings.CutSuffix(e, "!")
		var f float64
		_, err := fmt.Sscan(at, &f)
		require.NoError(h.t, err)
		rows = append(rows, tallytest.Event{Time: int64(f * float64(hour)), Held: held})
	}
	require.NoError(h.t, h.tap.Write(bg, tallytest.Batch(h.view, h.at.TopicID, 0, h.at.Next, rows)))
	to := h.at
	to.Next += int64(len(rows))
	to.Commit = fmt.Sprint("c", to.Next)
	c := &feature.Commit{ID: to.Commit, View: h.view, Partitions: 1, Advances: []feature.Advance{{From: h.at, To: to}}}
	h.tap.Cut(c)
	require.NoError(h.t, h.tap.Stage(bg, c))
	require.NoError(h.t, h.tap.Settle(bg, c))
	h.at = to
}

// look passes once and prints the windows (? early), then the events so far.
func (h *house) look() string {
	h.t.Helper()
	require.NoError(h.t, h.watch.Pass(bg))
	all, err := h.store.Windows(bg, tally.WindowQuery{})
	require.NoError(h.t, err)
	var out []string
	for _, w := range all {
		s := fmt.Sprintf("%d %s %d", w.Start/hour, w.State, w.Rows)
		if w.Verdict != nil {
			s += fmt.Sprintf(" %.0f%%", 100*w.Verdict.Held)
		}
		if w.Amended > 0 {
			s += fmt.Sprintf(" amended %d", w.Amended)
		}
		if w.Late > 0 {
			s += fmt.Sprintf(" late %d", w.Late)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (h *house) events() string {
	h.t.Helper()
	all, err := h.store.Events(bg, tally.EventQuery{})
	require.NoError(h.t, err)
	var out []string
	for i := len(all) - 1; i >= 0; i-- {
		out = append(out, all[i].Type)
	}
	entries, err := h.store.Entries(bg, outbox.Query{})
	require.NoError(h.t, err)
	require.Len(h.t, entries, len(all))
	return strings.Join(out, ", ")
}

// Within the lateness a verdict is amended, and with it the state, back and forth.
func TestEarlyVerdicts(t *testing.T) {
	h := newHouse(t, 30*time.Minute, 1)
	h.land("1.1 1.2 1.3! 1.9")
	require.Equal(t, "1 open 4", h.look())
	h.land("2.0")
	require.Equal(t, "1 open 4 25%, 2 open 1", h.look(), "at its end")
	require.Equal(t, 1, h.judged)
	h.look()
	require.Equal(t, 1, h.judged, "nothing has come since")
	require.Empty(t, h.events())
	h.land("1.4! 1.5! 1.6! 2.1")
	require.Equal(t, "1 open 7 57% amended 1, 2 open 2", h.look())
	require.Equal(t, "failed 1 since 1", h.events())
	h.land("1.5")
	require.Equal(t, "1 open 8 50% amended 2, 2 open 2", h.look())
	require.Equal(t, "failed 1 since 1, resolved 1 since 1", h.events(), "an amendment flips it back")
	h.land("1.5! 1.5!")
	require.Equal(t, "1 open 10 60% amended 3, 2 open 2", h.look())
	require.Equal(t, "failed 1 since 1, resolved 1 since 1, failed 1 since 1", h.events())
	n := h.judged
	h.land("2.5")
	require.Equal(t, "1 judged 10 60% amended 3, 2 open 3", h.look(), "for good")
	require.Equal(t, n, h.judged, "on what was seen already")
	h.land("1.7 2.6 3.2")
	require.Equal(t, "1 judged 10 60% amended 3 late 1, 2 open 4 0%, 3 open 1", h.look())
	require.Equal(t, "failed 1 since 1, resolved 1 since 1, failed 1 since 1, resolved 2 since 1", h.events())
	h.land("2.8! 3.6")
	require.Equal(t, "1 judged 10 60% amended 3 late 1, 2 judged 5 20% amended 1, 3 open 2", h.look(), "rows and the end of lateness at once")
	states, err := h.store.States(bg, "p", "")
	require.NoError(t, err)
	require.Len(t, states, 1)
	require.Equal(t, []any{false, 2 * hour, "v", 2}, []any{states[0].Firing, states[0].LastStart, states[0].View, states[0].Version})

	// By hand, an early verdict becomes the last.
	h.land("4.1")
	require.Contains(t, h.look(), "3 open 2 0%, 4 open 1")
	judged, err := h.watch.Judge(bg, "p", "m_1h")
	require.NoError(t, err)
	require.Len(t, judged, 2)
	require.Contains(t, h.look(), "3 judged 2 0%, 4 judged 1 0%")
	_, err = h.watch.Judge(bg, "p", "nobody")
	require.ErrorIs(t, err, tally.ErrNotWatched)
}

// Windows that are no longer watched do not stay open, and are not gone on with when they are watched again.
func TestWindowsNobodyWatches(t *testing.T) {
	h := newHouse(t, 30*time.Minute, 1)
	h.land("1.1! 2.1 2.2 3.1")
	require.Equal(t, "1 judged 1 100%, 2 open 2 0%, 3 open 1", h.look())
	h.gone = true
	h.now = h.now.Add(10 * time.Minute)
	require.Contains(t, h.look(), "2 open 2 0%, 3 open 1", "the catalog may be behind")
	h.gone = false
	h.now = h.now.Add(10 * time.Minute)
	h.look()
	h.gone = true
	h.now = h.now.Add(10 * time.Minute)
	require.Contains(t, h.look(), "3 open 1", "it was watched in between")
	h.now = h.now.Add(10 * time.Minute)
	require.Equal(t, "1 judged 1 100%, 2 abandoned 2 0%, 3 abandoned 1", h.look())
	require.Empty(t, h.events())
	h.gone = false
	h.land("3.2 4.1 4.2 5.6")
	require.Equal(t, "1 judged 1 100%, 2 abandoned 2 0%, 3 abandoned 1 late 1, 4 judged 2 0%, 5 open 1", h.look())
}

// The same counts with bad windows in a row: an amendment of the last one counted is counted as if it were new.
func TestAmendedStreaks(t *testing.T) {
	h := newHouse(t, 50*time.Minute, 2)
	h.land("1.1! 1.2! 2.1")
	require.Equal(t, "1 open 2 100%, 2 open 1", h.look())
	h.land("1.3!")
	h.look()
	h.land("1.4!")
	h.look()
	require.Empty(t, h.events(), "one bad window, looked at three times")
	h.land("2.2! 2.3! 3.1")
	require.Equal(t, "1 judged 4 100% amended 2, 2 open 3 67%, 3 open 1", h.look())
	require.Equal(t, "failed 2 since 1", h.events())
	h.land("2.4 2.5")
	h.look()
	require.Equal(t, "failed 2 since 1, resolved 2 since 1", h.events(), "there were not two")
	h.land("3.2! 3.3! 4.1")
	h.look()
	require.Equal(t, "failed 2 since 1, resolved 2 since 1", h.events(), "nor are there now")
}

// Without lateness there is one verdict; what is only counted has none, early or late; and
// what waits for what it is compared with waits.
func TestNoEarlyVerdicts(t *testing.T) {
	h := newHouse(t, 0, 1)
	h.land("1.1 1.2! 2.0")
	require.Equal(t, "1 judged 2 50%, 2 open 1", h.look())
	h.land("1.5! 2.5")
	require.Equal(t, "1 judged 2 50% late 1, 2 open 2", h.look())

	h = newHouse(t, 30*time.Minute, 1)
	h.skip = 2 * hour
	h.land("1.1 1.2! 2.1")
	require.Equal(t, "1 open 2, 2 open 1", h.look())
	h.land("2.9 3.1")
	require.Equal(t, "1 reference 2, 2 open 2 0%, 3 open 1", h.look())
	require.Equal(t, 1, h.judged)

	h = newHouse(t, 30*time.Minute, 1)
	h.waits = true
	h.land("1.1 1.2! 2.1")
	require.Equal(t, "1 open 2, 2 open 1", h.look())
	h.land("3.1")
	require.Equal(t, "1 closed 2, 2 open 1, 3 open 1", h.look())
	h.waits = false
	require.Equal(t, "1 judged 2 50%, 2 open 1 0%, 3 open 1", h.look())
}

// Where a suite holds everything back, windows end all the same.
func TestAllHeldBack(t *testing.T) {
	h := newHouse(t, 0, 1)
	h.land("1.1! 1.2!")
	h.land("2.1! 2.2!")
	require.Equal(t, "1 judged 2 100%, 2 open 2", h.look())
	require.Equal(t, "failed 1 since 1", h.events())
	p, err := h.store.Progress(bg, h.view.ID())
	require.NoError(t, err)
	require.Equal(t, [3]int64{0, 0, 4}, [3]int64{p[0].Rows, p[0].Landed, p[0].Next}, "nothing has landed")
}

// Several watches amend the same windows while rows land: each change is told once, in order.
func TestEarlyVerdictsSideBySide(t *testing.T) {
	h := newHouse(t, time.Hour, 1)
	var wg sync.WaitGroup
	over := make(chan struct{})
	for range 3 {
		mine := *h
		w := tally.NewWatch(h.store, &mine, tally.WatchOptions{Config: tally.DefaultConfig(), What: "share", Now: h.clock})
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := w.Pass(bg); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	h.land("1.1 1.2 2.1")
	for i := range 200 { // half of the rows, and then one more, and then half
		h.land([]string{"1.3!", "1.4"}[i/2%2] + " 2.2")
	}
	h.land("3.5 4.5 5.5")
	close(over)
	wg.Wait()
	require.Contains(t, h.look(), "1 judged 202 50%")
	for i, e := range strings.Split(h.events(), ", ") {
		if e != "" {
			require.Equal(t, []string{"failed 1 since 1", "resolved 1 since 1"}[i%2], e)
		}
	}
	states, err := h.store.States(bg, "p", "")
	require.NoError(t, err)
	require.False(t, states[0].Firing)
}
