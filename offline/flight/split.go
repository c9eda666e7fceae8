package flight

import (
	"fmt"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// Part is a part of a training set's split: with a share of the entities, or with
// the time at which it begins, which the first part does not have.
type Part struct {
	Name  string  `json:"name"`
	Share float64 `json:"share,omitempty"` // percent
	From  string  `json:"from,omitempty"`  // RFC 3339
}

// split is the command's split as a trainer takes it, nil for none. The trainer
// checks what it says.
func (c *Command) split() (*feature.SnapshotSplit, error) {
	if len(c.Split) == 0 {
		if len(c.SplitBy) > 0 || c.SplitSeed != 0 {
			return nil, fmt.Errorf("split_by and split_seed say how to split, but there is no split")
		}
		return nil, nil
	}
	out := &feature.SnapshotSplit{By: c.SplitBy, Seed: c.SplitSeed}
	for _, p := range c.Split {
		part := feature.SnapshotPart{Name: p.Name, Share: p.Share}
		if p.From != "" {
			at, err := time.Parse(time.RFC3339Nano, p.From)
			if err != nil {
				return nil, fmt.Errorf("part %s: from %q is no time like 2026-01-05T00:00:00Z", p.Name, p.From)
			}
			part.From, out.Time = at.UnixMicro(), true
		}
		out.Parts = append(out.Parts, part)
	}
	return out, nil
}
