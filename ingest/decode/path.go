package decode

import (
	"slices"
	"strings"

	"github.com/weir-ml/weir/internal/jsonscan"
)

// pathTable finds the values of interest in an object: for each key symbol what
// to note, and what to look at below.
type pathTable struct {
	base    int32
	entries []pathEntry // by symbol minus base
}

type pathEntry struct {
	leaf  int32 // -1: the value itself is of no interest
	below *pathTable
}

// walk notes in hits the node of each leaf found in object i.
func (t *pathTable) walk(d *jsonscan.Doc, i uint32, hits []uint32) {
	nodes := d.Nodes
	end := nodes[i].Next
	for m := i + 1; m < end; {
		x := &nodes[m]
		if k := uint32(x.Key - t.base); k < uint32(len(t.entries)) {
			e := &t.entries[k]
			if e.leaf >= 0 {
				hits[e.leaf] = m
			}
			if e.below != nil && x.Kind == jsonscan.Object {
				e.below.walk(d, m, hits)
			}
		}
		m = x.Next
	}
}

// pathBuilder collects event paths, then makes the table of them.
type pathBuilder struct {
	syms   *jsonscan.Symbols
	leaves map[string]int
}

func (b *pathBuilder) leaf(path string) int {
	n, ok := b.leaves[path]
	if !ok {
		n = len(b.leaves)
		b.leaves[path] = n
	}
	return n
}

func (b *pathBuilder) build() (*pathTable, []string) {
	names := make([]string, len(b.leaves))
	for p, n := range b.leaves {
		names[n] = p
	}
	type tree struct {
		leaf  int32
		below map[string]*tree
	}
	root := &tree{leaf: -1, below: map[string]*tree{}}
	for n, p := range names {
		at := root
		for seg := range strings.SplitSeq(p, ".") {
			next := at.below[seg]
			if next == nil {
				next = &tree{leaf: -1, below: map[string]*tree{}}
				at.below[seg] = next
			}
			at = next
		}
		at.leaf = int32(n)
	}
	var table func(t *tree) *pathTable
	table = func(t *tree) *pathTable {
		if len(t.below) == 0 {
			return nil
		}
		keys := make([]string, 0, len(t.below))
		for k := range t.below {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		ids := make([]int32, len(keys))
		for i, k := range keys {
			ids[i] = b.syms.Intern(k)
		}
		out := &pathTable{base: slices.Min(ids)}
		out.entries = make([]pathEntry, slices.Max(ids)-out.base+1)
		for i := range out.entries {
			out.entries[i].leaf = -1
		}
		for i, k := range keys {
			out.entries[ids[i]-out.base] = pathEntry{leaf: t.below[k].leaf, below: table(t.below[k])}
		}
		return out
	}
	return table(root), names
}
