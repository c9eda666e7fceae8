package drift

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/wire"
)

const (
	// MaxCategories is how many distinct values a sketch counts one by one; rows
	// with any further value are counted together, as "other".
	MaxCategories = 1000
	// maxLabel is the longest value kept whole. A longer one is kept as its
	// beginning and a hash: still one category a value.
	maxLabel = 64
)

// categories is the part of a Sketch that counts distinct values.
type categories struct {
	counts map[string]*int64
	other  int64
	bytes  int64 // of the labels
}

// add counts n rows of a value; v may be a view into a buffer that will change.
func (c *categories) add(v string, n int64) {
	if len(v) > maxLabel {
		v = label(v)
	}
	// By pointer: assigning to c.counts[v] would put v in the place of the key.
	if had := c.counts[v]; had != nil {
		*had += n
		return
	}
	if len(c.counts) >= MaxCategories {
		c.other += n
		return
	}
	if c.counts == nil {
		c.counts = make(map[string]*int64)
	}
	first := n
	c.counts[strings.Clone(v)] = &first
	c.bytes += int64(len(v))
}

// of is how many rows of a value were counted.
func (c *categories) of(v string) int64 {
	if n := c.counts[v]; n != nil {
		return *n
	}
	return 0
}

func label(v string) string {
	var h [8]byte
	binary.BigEndian.PutUint64(h[:], xxhash.Sum64String(v))
	return strings.ToValidUTF8(v[:maxLabel-20], "") + "…#" + hex.EncodeToString(h[:])
}

// merge takes o's values in order of frequency, so that the outcome does not
// depend on the order of a map.
func (c *categories) merge(o *categories) {
	for _, x := range o.sorted() {
		c.add(x.Value, x.Count)
	}
	c.other += o.other
}

func (c *categories) sorted() []Category {
	out := make([]Category, 0, len(c.counts))
	for v, n := range c.counts {
		out = append(out, Category{v, *n})
	}
	slices.SortFunc(out, func(a, b Category) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return out
}

func (c *categories) size() int64 { return c.bytes + int64(len(c.counts))*64 }

func (c *categories) append(b []byte) []byte {
	b = wire.Uint(b, uint64(c.other))
	all := c.sorted()
	b = wire.Uint(b, uint64(len(all)))
	for _, x := range all {
		b = wire.Uint(wire.Text(b, x.Value), uint64(x.Count))
	}
	return b
}

func (c *categories) read(r *wire.Reader, count int64) {
	*c = categories{other: r.Count()}
	total := uint64(c.other)
	n := r.Length(2)
	if n > MaxCategories {
		r.Fail()
		return
	}
	for range n {
		v, k := r.Text(), r.Count()
		if _, twice := c.counts[v]; twice || len(v) > maxLabel || k == 0 {
			r.Fail()
			return
		}
		c.add(v, k)
		total += uint64(k)
	}
	if total != uint64(count) {
		r.Fail()
	}
}
