package offline

import (
	"cmp"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Standing is what a table has to decide about a commit, given its positions.
type Standing uint8

const (
	Stale  Standing = iota // the table stands elsewhere: Conflict
	Ready                  // the table stands at every Advance.From
	Landed                 // this very commit put some position where it is
)

// Decide tells what a table at these positions does with commit c. It is the
// whole of the compare-and-swap; every Table asks it, before and after an
// attempt whose outcome is in doubt.
func Decide(at []feature.Position, c *feature.Commit) (Standing, string) {
	why := ""
	for _, a := range c.Advances {
		p, known := Find(at, a.To)
		switch {
		case known && p.Commit == c.ID:
			// A commit lands whole or not at all, so one position is proof.
			return Landed, ""
		case why != "":
		case !known && (a.From.Commit != "" || a.From.Next != 0):
			why = "the table does not know " + a.To.String() + ", the commit starts at " + a.From.String()
		case known && (p.Next != a.From.Next || p.Commit != a.From.Commit):
			why = "the table stands at " + p.String() + ", the commit starts at " + a.From.String()
		}
	}
	if why != "" {
		return Stale, why
	}
	return Ready, ""
}

// Find returns the position of p's partition.
func Find(at []feature.Position, p feature.Position) (feature.Position, bool) {
	for _, q := range at {
		if q.Same(p) {
			return q, true
		}
	}
	return feature.Position{}, false
}

// Advanced returns the positions after c, in State's order. at is not changed.
func Advanced(at []feature.Position, c *feature.Commit) []feature.Position {
	out := slices.Clone(at)
	for _, a := range c.Advances {
		to := a.To
		to.Commit = c.ID
		if i := slices.IndexFunc(out, to.Same); i >= 0 {
			out[i] = to
		} else {
			out = append(out, to)
		}
	}
	SortPositions(out)
	return out
}

// SortPositions orders positions by topic, topic id and partition.
func SortPositions(at []feature.Position) {
	slices.SortFunc(at, func(a, b feature.Position) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), slices.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
	})
}
