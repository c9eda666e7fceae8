package tally_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/memory"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/internal/wire"
	"github.com/weir-ml/weir/registry/feature"
)

// large is a tally that takes memory when it is read: its rows, and what a store's bytes do not show.
type large struct {
	n    int64
	room []byte
}

func (l *large) Count() int64                   { return l.n }
func (l *large) Merge(o *large)                 { l.n += o.n }
func (l *large) Size() int64                    { return 16 }
func (l *large) MarshalBinary() ([]byte, error) { return wire.Uint(nil, uint64(l.n)), nil }

const room = 64 << 10

// weighing is the judge of large tallies; it weighs the heap at the first window and at the last.
type weighing struct {
	of     watched
	seen   int
	all    int
	weight [2]uint64
}

func (j *weighing) Watched(context.Context) ([]watched, error) { return []watched{j.of}, nil }
func (j *weighing) Skips(*watched, int64, int64) bool          { return false }
func (j *weighing) Waits(context.Context, *watched, *tally.Record[*large, *tallytest.Share], func(int64) bool) (bool, error) {
	return false, nil
}
func (j *weighing) Recorded(*watched, *tally.Record[*large, *tallytest.Share], *judgement) {
	if j.seen++; j.seen == 1 || j.seen == j.all {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		j.weight[min(1, j.seen-1)] = m.HeapAlloc
	}
}
func (j *weighing) Turned(*watched, *tally.Record[*large, *tallytest.Share], *tallytest.Share, tally.Turn, time.Time) (*tally.Event, []outbox.Entry, error) {
	return nil, nil, nil
}
func (j *weighing) Judge(_ context.Context, _ *watched, r *tally.Record[*large, *tallytest.Share], _ func(int64) bool) (*tallytest.Share, tally.Outcome, bool, error) {
	return &tallytest.Share{Held: float64(len(r.Profile.room))}, tally.Good, false, nil
}

// However many windows are to be judged, as an import of years leaves them, a look has the profiles of a few at a time.
func TestManyWindowsAtOnce(t *testing.T) {
	const windows = 400
	for _, byHand := range []bool{false, true} {
		s := memory.New[*large, *tallytest.Share](func(b []byte) (*large, error) {
			r := wire.Read(b)
			l := &large{n: r.Count(), room: make([]byte, room)}
			return l, r.Done()
		}, nil)
		of := watched{Series: tally.Series{Project: "p", Owner: "o", Size: "1h"}, ViewID: "p/v", View: "v", Window: feature.Window{Size: "1h"}}
		x := &tally.Staged[*large]{Commit: "c", View: "p/v", Marks: []tally.Mark{{Next: windows, Partitions: 1, MaxEvent: (windows + 1) * hour, Any: true}}}
		for i := range int64(windows) {
			x.Deltas = append(x.Deltas, tally.Delta[*large]{Series: of.Series, Start: i * hour, End: (i + 1) * hour, Profile: &large{n: 1}})
		}
		require.NoError(t, s.Stage(bg, x))
		_, err := s.Settle(bg, "c", time.Unix(1e9, 0))
		require.NoError(t, err)
		j := &weighing{of: of, all: windows}
		w := tally.NewWatch[float64, *large, *tallytest.Share](s, j, tally.WatchOptions{Config: tally.DefaultConfig(), Now: func() time.Time { return time.Unix(1e9, 0) }})
		if byHand {
			got, err := w.Judge(bg, "p", "o")
			require.NoError(t, err)
			require.Len(t, got, windows)
			require.Equal(t, &tallytest.Share{Held: room}, got[windows-1].Verdict)
			require.Nil(t, got[windows-1].Profile)
		} else {
			require.NoError(t, w.Pass(bg))
		}
		require.Equal(t, windows, j.seen)
		require.Less(t, int64(j.weight[1])-int64(j.weight[0]), int64(windows*room/4))
		runtime.KeepAlive(s)
	}
}
