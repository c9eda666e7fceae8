package tally_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/internal/tally/tallytest"
	"github.com/weir-ml/weir/internal/wire"
)

func staged() *tally.Staged[*tallytest.Counted] {
	return &tally.Staged[*tallytest.Counted]{
		Commit: "c", View: "p/v",
		Marks: []tally.Mark{{TopicID: [16]byte{1}, Partition: -1, FromCommit: "b", FromNext: 4, Next: 9, Partitions: 3, MaxEvent: -8, Any: true, Rows: 5, Drained: true, Final: true, Carried: true}},
		Deltas: []tally.Delta[*tallytest.Counted]{{Series: tally.Series{Project: "p", Owner: "m", Size: "1h"}, Start: -5, End: 5, Import: "0a",
			Profile: &tallytest.Counted{Rows: 3, Held: 1}}},
	}
}

func FuzzStaged(f *testing.F) {
	s := staged()
	b, err := s.Encode()
	require.NoError(f, err)
	back, err := tally.DecodeStaged(b, tallytest.DecodeCounted)
	require.NoError(f, err)
	require.Equal(f, s, back)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := tally.DecodeStaged(b, tallytest.DecodeCounted); err == nil {
			if _, err := s.Encode(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Commits that were staged before marks had rows are still to be settled.
func TestStagedOfOld(t *testing.T) {
	old := wire.Text(wire.Text([]byte{1}, "c"), "p/v")
	old = append(wire.Uint(old, 1), make([]byte, 16)...)
	old[len(old)-16] = 1
	old = wire.Int(wire.Text(wire.Int(old, -1), "b"), 4)
	old = wire.Int(wire.Uint(wire.Int(old, 9), 3), -8)
	old = wire.Bool(wire.Bool(wire.Bool(wire.Bool(old, true), true), true), true)
	old = wire.Text(wire.Text(wire.Text(wire.Uint(old, 1), "p"), "m"), "1h")
	old = wire.Text(wire.Text(wire.Int(wire.Int(old, -5), 5), "0a"), []byte{3, 1})
	got, err := tally.DecodeStaged(old, tallytest.DecodeCounted)
	require.NoError(t, err)
	want := staged()
	want.Marks[0].Rows = 0
	require.Equal(t, want, got)
	_, err = tally.DecodeStaged(append([]byte{9}, old[1:]...), tallytest.DecodeCounted)
	require.Error(t, err)
	_, err = tally.DecodeStaged(old[:len(old)-1], tallytest.DecodeCounted)
	require.Error(t, err)
}
