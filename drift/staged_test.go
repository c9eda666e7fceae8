package drift

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzStaged(f *testing.F) {
	var up folder
	p := &Profile{Rows: 3}
	up.update(p.at("x", Numbers), floats([]float64{1, 2, 3}, nil), 0, 3)
	s := &Staged{
		Commit: "c", View: "p/v",
		Marks:  []Mark{{TopicID: [16]byte{1}, Partition: -1, FromCommit: "b", FromNext: 4, Next: 9, Partitions: 3, MaxEvent: -8, Any: true, Drained: true, Final: true, Carried: true}},
		Deltas: []Delta{{Series: Series{"p", "m", "1h"}, Start: -5, End: 5, Import: "0a", Profile: p}},
	}
	b, err := s.MarshalBinary()
	require.NoError(f, err)
	var back Staged
	require.NoError(f, back.UnmarshalBinary(b))
	require.Equal(f, s, &back)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Staged
		if s.UnmarshalBinary(b) == nil {
			if _, err := s.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
