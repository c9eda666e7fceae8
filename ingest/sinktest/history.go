package sinktest

import (
	"cmp"
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/weir-ml/weir/registry/feature"
)

// History reads a Table back in batches, for sinks that write rows again from
// their view's table. It satisfies online.History.
type History struct{ T *Table }

// Positions returns where the table stands.
func (h History) Positions(context.Context, *feature.View) ([]feature.Position, error) {
	return h.T.Positions(), nil
}

// Newest gives the newest row of every key, tombstones included.
func (h History) Newest(_ context.Context, v *feature.View, fn func(*feature.Batch) error) error {
	for _, r := range Newest(h.T.Rows()) {
		if err := give(v, []Row{r}, fn); err != nil {
			return err
		}
	}
	return nil
}

// Since gives the rows of the listed partitions with offsets at or above Next.
func (h History) Since(_ context.Context, v *feature.View, since []feature.Position, fn func(*feature.Batch) error) error {
	for _, p := range since {
		var rows []Row
		for _, r := range h.T.Rows() {
			if r.TopicID == p.TopicID && r.Partition == p.Partition && r.Offset >= p.Next {
				rows = append(rows, r)
			}
		}
		slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Offset, b.Offset) })
		if len(rows) == 0 {
			continue
		}
		if err := give(v, rows, fn); err != nil {
			return err
		}
	}
	return nil
}

func give(v *feature.View, rows []Row, fn func(*feature.Batch) error) error {
	b := BatchOf(v, memory.DefaultAllocator, rows, rows[0].Offset, rows[len(rows)-1].Offset+1)
	defer b.Rows.Release()
	return fn(b)
}
