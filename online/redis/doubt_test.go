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
		why, _ := lossOf(c.before, c.now)
		require.Equal(t, c.loss, why != "", "%s: %s", name, why)
	}
}

// A loss of rows that the table never had is believed after a while; one that is being mended is not.
func TestLossesThatStay(t *testing.T) {
	lost := online.Marks{Part: []online.Mark{{Settled: 9, Written: 12, LostFrom: 3, LostTo: 4}}}
	why, unsettled := lossOf(online.Marks{}, lost)
	require.True(t, unsettled)
	x, now := &trusted{}, time.Now()
	look := func(m online.Marks, ago time.Duration) string {
		x.progress(m, now)
		x.first = x.first.Add(-ago)
		return x.patient(why)
	}
	for range 5 {
		require.NotEmpty(t, look(lost, mostDoubt/10))
	}
	refill := online.Mark{Partition: feature.ImportPartition - 1}
	for range 30 {
		refill.Written += 7
		require.NotEmpty(t, look(online.Marks{Part: append(lost.Part, refill)}, mostDoubt/10))
	}
	require.Empty(t, look(online.Marks{Part: append(lost.Part, refill)}, mostDoubt))
}

// What a table has and the marks do not vouch for may be missing.
func TestBehind(t *testing.T) {
	at := func(part int32, next int64) feature.Position { return feature.Position{Partition: part, Next: next} }
	table := []feature.Position{at(0, 9), at(1, 0), at(feature.ImportPartition, 3)}
	whole := []online.Mark{{Partition: 0, Written: 11}, {Partition: feature.ImportPartition, Written: 3}}
	require.Empty(t, behind(table, online.Marks{Part: whole}))
	require.Empty(t, behind(nil, online.Marks{}))
	require.NotEmpty(t, behind(table, online.Marks{}))
	require.NotEmpty(t, behind(table, online.Marks{Part: whole[:1]}), "an import is missing")
	whole[0].LostFrom, whole[0].LostTo = 10, 11
	require.Empty(t, behind(table, online.Marks{Part: whole}), "the table never had them")
	whole[0].LostFrom = 8
	require.NotEmpty(t, behind(table, online.Marks{Part: whole}))
	whole[0] = online.Mark{Partition: 0, Written: 8}
	require.NotEmpty(t, behind(table, online.Marks{Part: whole}), "yesterday's")
}
