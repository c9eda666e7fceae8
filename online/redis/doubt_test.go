package redis

import (
	"testing"

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
	const rebuild = feature.ImportPartition - 2
	for name, c := range map[string]struct {
		before, now online.Marks
		other       bool // another key of marks than before
		loss        bool
	}{
		"nothing ever":                     {},
		"the first rows":                   {now: marks(at(0, 9))},
		"as it was":                        {before: marks(at(0, 9), at(1, 3)), now: marks(at(0, 9), at(1, 3))},
		"more":                             {before: marks(at(0, 9)), now: marks(at(0, 12), at(1, 3))},
		"written back by a worker":         {before: marks(at(0, 9)), now: marks(behind)},
		"told of a loss":                   {now: marks(lost), loss: true},
		"empty":                            {before: marks(at(0, 9)), loss: true},
		"empty of imports":                 {before: marks(at(feature.ImportPartition, 9)), loss: true},
		"being rebuilt":                    {before: marks(at(0, 9)), now: marks(at(rebuild, 1)), loss: true},
		"rebuilt":                          {before: marks(at(0, 9)), now: marks(at(rebuild, 1), at(0, 9))},
		"yesterday's":                      {before: marks(at(0, 9), at(1, 3)), now: marks(at(0, 9), at(1, 2)), loss: true},
		"a partition of a former topic":    {before: marks(at(0, 9), at(1, 3)), now: marks(at(0, 9))},
		"marks of another name, none here": {before: marks(at(0, 9)), other: true},
	} {
		why := lossOf(c.before, c.now, !c.other)
		require.Equal(t, c.loss, why != "", "%s: %s", name, why)
	}
}
