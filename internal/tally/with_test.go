package tally_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/registry/feature"
)

// waiting judges windows of a view when another one has come two hours further than their ends.
type waiting struct {
	*house
	other int // commits of the other view
}

func (w *waiting) Watched(ctx context.Context) ([]watched, error) {
	all, err := w.house.Watched(ctx)
	for i := range all {
		all[i].With = []tally.With{{ViewID: "p/other", After: 2 * hour}}
	}
	return all, err
}

func (w *waiting) Waits(_ context.Context, _ *watched, r *record, past func(int64) bool) (bool, error) {
	return !past(r.End), nil
}

func (w *waiting) Judge(ctx context.Context, x *watched, r *record, past func(int64) bool) (*tallytest.Share, tally.Outcome, bool, error) {
	if !past(r.End) {
		return nil, tally.Unsure, true, nil
	}
	return w.house.Judge(ctx, x, r, past)
}

// landOther lands an event of the other view at an hour; of an import where one is named.
func (w *waiting) landOther(at float64, topic byte, final bool) {
	w.t.Helper()
	w.other++
	m := tally.Mark{TopicID: [16]byte{topic}, FromNext: int64(w.other - 1), Next: int64(w.other), Partitions: 1, MaxEvent: int64(at * float64(hour)), Any: true, Rows: 1, Drained: true}
	if topic != 9 {
		m.Partition, m.Partitions, m.FromNext, m.Next, m.Final = feature.ImportPartition, 0, 0, int64(w.other), final
	}
	id := fmt.Sprint("other", w.other)
	require.NoError(w.t, w.store.Stage(bg, &tally.Staged[*tallytest.Counted]{Commit: id, View: "p/other", Marks: []tally.Mark{m}}))
	_, err := w.store.Settle(bg, id, w.now)
	require.NoError(w.t, err)
}

func newWaiting(t *testing.T) *waiting {
	w := &waiting{house: newHouse(t, 0, 1)}
	w.watch = tally.NewWatch(w.store, w, tally.WatchOptions{Config: tally.DefaultConfig(), What: "share", Now: w.clock})
	return w
}

// Windows that are judged with another stream wait for it, but not for ever.
func TestWindowsWaitForAnotherStream(t *testing.T) {
	w := newWaiting(t)
	w.land("0.1 0.2 1.5")
	require.Equal(t, "0 closed 2, 1 open 1", w.look())
	w.land("4.5")
	require.Equal(t, "0 closed 2, 1 closed 1, 4 open 1", w.look(), "nothing is known of the other stream")
	w.landOther(2.5, 9, false)
	require.Equal(t, "0 closed 2, 1 closed 1, 4 open 1", w.look(), "it has not come so far")
	w.landOther(3, 9, false)
	require.Equal(t, "0 judged 2 0%, 1 closed 1, 4 open 1", w.look())
	w.land("5.5")
	w.now = w.now.Add(time.Minute - 1)
	require.Equal(t, "0 judged 2 0%, 1 closed 1, 4 closed 1, 5 open 1", w.look())
	w.now = w.now.Add(1)
	require.Equal(t, "0 judged 2 0%, 1 judged 1 0%, 4 closed 1, 5 open 1", w.look(), "it is idle: the watched stream says how late it is")
	w.landOther(4, 9, false)
	w.landOther(7, 3, false)
	require.Equal(t, "0 judged 2 0%, 1 judged 1 0%, 4 closed 1, 5 open 1", w.look())
	w.landOther(7, 3, true)
	require.Equal(t, "0 judged 2 0%, 1 judged 1 0%, 4 judged 1 0%, 5 open 1", w.look(), "an import that has ended says how far it is")
	w.land("9.5")
	require.Equal(t, "0 judged 2 0%, 1 judged 1 0%, 4 judged 1 0%, 5 closed 1, 9 open 1", w.look())
	w.now = w.now.Add(2 * time.Minute)
	w.landOther(7, 4, false)
	require.Equal(t, "0 judged 2 0%, 1 judged 1 0%, 4 judged 1 0%, 5 closed 1, 9 open 1", w.look(), "an import is under way")
	got, err := w.watch.Judge(bg, "p", "m_1h")
	require.NoError(t, err)
	require.Len(t, got, 2, "by hand it is now")
}
