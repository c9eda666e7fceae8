package drift_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// TestTapReplays: rows replayed from quarantine count once, though their offsets
// lie below what the tap has come to on their partition.
func TestTapReplays(t *testing.T) {
	v, s := drifttest.View(), memory.New()
	m := drifttest.Monitor(v, "1h")
	tap := drift.NewTap(v, []*feature.Monitor{m}, s, drift.TapOptions{})
	stream0 := feature.Position{TopicID: stream}
	o := feature.ReplayOrigin()
	replays := feature.Position{Topic: o.Topic, TopicID: o.TopicID, Partition: o.Partition, Next: 5000, Commit: "claim"}
	require.NoError(t, tap.Assign(bg, []feature.Position{stream0, replays}))
	rows := func(n int) (out []drifttest.Event) {
		for i := range n {
			out = append(out, drifttest.Event{Time: int64(i), Num: 1, Cat: "x"})
		}
		return out
	}
	flush := func(id string, from feature.Position, next int64) feature.Position {
		to := from
		to.Next, to.Commit = next, id
		c := &feature.Commit{ID: id, View: v, Advances: []feature.Advance{{From: from, To: to, Drained: true}}}
		tap.Cut(c)
		require.NoError(t, tap.Stage(bg, c))
		require.NoError(t, tap.Settle(bg, c))
		return to
	}
	count := func() (n int64) {
		ws, err := s.Windows(bg, drift.WindowQuery{})
		require.NoError(t, err)
		for _, w := range ws {
			n += w.Rows
		}
		return n
	}
	require.NoError(t, tap.Write(bg, drifttest.Batch(v, stream, 0, 100, rows(50))))
	flush("a", stream0, 150)
	require.EqualValues(t, 50, count())

	b := drifttest.Batch(v, stream, 0, 20, rows(10)) // offsets 20 to 29 of the stream
	o.First, o.Next = 6000, 6010
	b.Replay = &o
	require.NoError(t, tap.Write(bg, b))
	require.NoError(t, tap.Write(bg, b), "the same again")
	at := flush("b", replays, 6010)
	require.EqualValues(t, 60, count())
	require.NoError(t, tap.Write(bg, b), "after it was committed")
	next := *b // the next replayed rows overlap what is there by half
	p := o
	p.First, p.Next = 6005, 6015
	next.Replay = &p
	require.NoError(t, tap.Write(bg, &next))
	flush("c", at, 6015)
	require.EqualValues(t, 65, count())
}
