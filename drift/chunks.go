package drift

import (
	"github.com/weir-ml/weir/internal/window"
	"github.com/weir-ml/weir/registry/feature"
)

// chunker profiles windows of a range of time while the range is read: as many as
// tell how far they lie from each other, spread evenly over it.
type chunker struct {
	size window.Size
	of   map[int64]*Profile // by start
	f    folder
}

func newChunker(m *feature.Monitor, from, to int64) *chunker {
	c := &chunker{of: map[int64]*Profile{}}
	var err error
	size := m.Window.Size
	if m.Window.Rows > 0 {
		size = m.Window.Longest() // as long as windows may be: shorter times may have few rows, and lie far apart by that alone
	}
	if c.size, err = window.Parse(size); err != nil {
		return c // refused when the monitor was applied
	}
	for k := range int64(mostChunks) {
		if w := c.size.Of(from + (to-from)/mostChunks*k); w.Start >= from && w.End <= to {
			c.of[w.Start] = &Profile{}
		}
	}
	if len(c.of) < fewChunks {
		clear(c.of)
	}
	return c
}

// fold adds a batch's rows of the chosen windows.
func (c *chunker) fold(b *feature.Batch) {
	if len(c.of) == 0 {
		return
	}
	n := b.Len()
	for i := 0; i < n; {
		w := c.size.Of(b.EventTime[i])
		if b.Deleted(i) {
			i++
			continue
		}
		j := i + 1
		for j < n && w.Contains(b.EventTime[j]) && !b.Deleted(j) {
			j++
		}
		if p := c.of[w.Start]; p != nil {
			p.Rows += int64(j - i)
			for k, field := range b.Rows.Schema().Fields() {
				c.f.update(p.at(field.Name, shapeOfArrow(field.Type)), b.Rows.Column(k), i, j)
			}
		}
		i = j
	}
}

// profiles are those of the windows that had rows.
func (c *chunker) profiles(names map[string]string) (out []*Profile) {
	for _, p := range c.of {
		if p.Rows > 0 {
			out = append(out, p.renamed(names))
		}
	}
	return out
}
