package redis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

func TestLossOf(t *testing.T) {
	marks := func(list ...online.Mark) online.Marks { return online.Marks{Part: list} }
	at := func(part int32, settled int64) online.Mark {
		return online.Mark{Partition: part, Settled: settled, Written: settled + 5}
	}
	behind := at(0, 9)
	behind.Written = 9 // a worker has taken the partition over
	lost := at(0, 9)
	lost.LostFrom, lost.LostTo = 3, 4
	again := lost
	again.LostTo = 5
	idle := at(0, 9) // another worker told where the table was when it looked, a moment ago
	idle.Settled = 7
	elsewhere := at(1, 3)
	elsewhere.TopicID = [16]byte{9}
	const rebuild = feature.ImportPartition - 2
	for name, c := range map[string]struct {
		before, now online.Marks
		loss        bool
	}{
		"nothing ever":                    {},
		"the first rows":                  {now: marks(at(0, 9))},
		"as it was":                       {before: marks(at(0, 9), at(1, 3)), now: marks(at(0, 9), at(1, 3))},
		"more":                            {before: marks(at(0, 9)), now: marks(at(0, 12), at(1, 3))},
		"written back by a worker":        {before: marks(at(0, 9)), now: marks(behind)},
		"told of a loss":                  {now: marks(lost), loss: true},
		"empty":                           {before: marks(at(0, 9)), loss: true},
		"empty of imports":                {before: marks(at(feature.ImportPartition, 9)), loss: true},
		"being rebuilt":                   {before: marks(at(0, 9)), now: marks(at(rebuild, 1)), loss: true},
		"rebuilt":                         {before: marks(at(0, 9)), now: marks(at(rebuild, 1), at(0, 9))},
		"yesterday's":                     {before: marks(at(0, 9), at(1, 3)), now: marks(at(0, 9), at(1, 2)), loss: true},
		"a partition of a former topic":   {before: marks(at(0, 9), elsewhere), now: marks(at(0, 9))},
		"a partition":                     {before: marks(at(0, 9), at(1, 3)), now: marks(at(0, 9)), loss: true},
		"settled by one who is late":      {before: marks(at(0, 9)), now: marks(idle)},
		"never had any":                   {before: marks(online.Mark{})},
		"being filled for the first time": {now: marks(at(rebuild, 1)), loss: true},
		"a loss that is believed":         {before: marks(lost), now: marks(lost, at(1, 3))},
		"more than is believed":           {before: marks(lost), now: marks(again), loss: true},
		"a fill that is believed":         {before: marks(at(rebuild, 1)), now: marks(at(rebuild, 1))},
	} {
		why := lossOf(c.before, c.now)
		require.Equal(t, c.loss, why != "", "%s: %s", name, why)
	}
}

// A loss that nobody mends is believed after a while, once and for all; one that is being mended is not.
func TestLossesThatStay(t *testing.T) {
	lost := online.Marks{Part: []online.Mark{{Settled: 9, Written: 12, LostFrom: 3, LostTo: 4}}}
	at, step := time.Now(), mostDoubt/10
	x := &trusted{}
	for range 5 {
		at = at.Add(step)
		require.NotEmpty(t, x.judge(online.Marks{}, lost, at))
	}
	refill := online.Mark{Partition: feature.ImportPartition - 1}
	for range 30 {
		refill.Written += 7
		at = at.Add(step)
		require.NotEmpty(t, x.judge(online.Marks{}, online.Marks{Part: append(lost.Part, refill)}, at))
	}
	for range 10 {
		at = at.Add(step)
		require.NotEmpty(t, x.judge(online.Marks{}, lost, at))
	}
	at = at.Add(2 * step)
	require.Empty(t, x.judge(online.Marks{}, lost, at))
	for range 50 {
		at = at.Add(step / 100)
		require.Empty(t, x.judge(lost, lost, at))
	}
}
