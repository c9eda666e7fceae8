package drift

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/internal/sketch"
	"github.com/weir-ml/weir/internal/wire"
)

const (
	// MaxCategories is how many distinct values a sketch counts one by one, if their texts
	// are short enough (maxTexts in all). Of more, see categories.
	MaxCategories = 512
	maxTexts      = 6 << 10
	// maxLabel is the longest value kept whole. A longer one is kept as its
	// beginning and a hash: still one category a value.
	maxLabel = 64
	// maxCategoryBytes is how much categories are encoded in; with the head of a sketch it is less than 8 KiB.
	maxCategoryBytes = 8<<10 - 64
	bucketsLg        = 8
	buckets          = 1 << bucketsLg
)

// categories is the part of a Sketch that counts distinct values. As long as all of them
// fit, each is counted. Beyond that it is wide, and keeps three things:
//
// How many rows had a value of each of 256 groups, which the hash of a value decides. The counts
// are exact, whoever merges them in whatever order, so windows are compared by them without an
// error: values change groups never, and shares of groups change only where shares of values do.
//
// Which values come most often, each count too low by at most off.
//
// About how many different values there are.
type categories struct {
	labels *sketch.Values // nil of none
	wide   *wide
	// other is how many rows are in no count: of sketches that older versions have stored, which kept
	// the first thousand values and of the rest only this.
	other int64
}

type wide struct {
	groups   [buckets]int64
	distinct sketch.Distinct
}

func (w *wide) add(hash uint64, n int64) {
	w.groups[hash>>(64-bucketsLg)] += n
	w.distinct.Add(hash)
}

func newLabels() *sketch.Values {
	return sketch.NewValues(sketch.Frequent, true).Within(MaxCategories, maxTexts)
}

// add counts n rows of a value; v may be a view into a buffer that will change.
func (c *categories) add(v string, n int64) {
	if c.labels == nil {
		c.labels = newLabels()
	}
	hash := labelHash(v)
	if c.wide != nil {
		c.wide.add(hash, n)
	}
	if c.labels.Count(hash, n) {
		return
	}
	if len(v) > maxLabel {
		v = label(v)
	}
	if c.wide == nil && !c.labels.Fits(len(v)) {
		c.widen()
		c.wide.add(hash, n)
	}
	c.labels.Add(hash, v, n)
}

// widen begins to count in groups; nothing has been left out before.
func (c *categories) widen() {
	c.wide = &wide{}
	c.eachHash(c.wide.add)
}

func (c *categories) eachHash(fn func(hash uint64, n int64)) {
	if c.labels != nil {
		c.labels.Each(func(hash uint64, _ []byte, n int64) { fn(hash, n) })
	}
}

// exact tells whether every value has its own, exact count.
func (c *categories) exact() bool { return c.wide == nil && c.other == 0 }

// of is how many rows of a value were counted.
func (c *categories) of(v string) int64 {
	if c.labels == nil {
		return 0
	}
	return c.labels.Of(labelHash(v))
}

const labelMark = "…#"

// label stands for a value that is too long.
func label(v string) string {
	var h [8]byte
	binary.BigEndian.PutUint64(h[:], xxhash.Sum64String(v))
	return strings.ToValidUTF8(v[:maxLabel-16-len(labelMark)], "") + labelMark + hex.EncodeToString(h[:])
}

// labelHash is the same for a value and for its label.
func labelHash(v string) uint64 {
	if at := len(v) - 16; at >= len(labelMark) && len(v) <= maxLabel && v[at-len(labelMark):at] == labelMark {
		var h [8]byte
		if _, err := hex.Decode(h[:], []byte(v[at:])); err == nil {
			return binary.BigEndian.Uint64(h[:])
		}
	}
	return xxhash.Sum64String(v)
}

func (c *categories) merge(o *categories) {
	c.other += o.other
	if o.labels == nil {
		return
	}
	if c.labels == nil {
		c.labels = newLabels()
	}
	if c.wide == nil && (o.wide != nil || !c.labels.FitsAll(o.labels)) {
		c.widen()
	}
	if c.wide != nil {
		if o.wide == nil {
			o.eachHash(c.wide.add)
		} else {
			for i, n := range o.wide.groups {
				c.wide.groups[i] += n
			}
			c.wide.distinct.Merge(&o.wide.distinct)
		}
	}
	c.labels.Merge(o.labels)
}

// total is how many rows were counted in any way.
func (c *categories) total() int64 {
	n := c.other
	if c.wide != nil {
		for _, k := range c.wide.groups {
			n += k
		}
		return n
	}
	c.eachHash(func(_ uint64, k int64) { n += k })
	return n
}

func (c *categories) sorted() []Category {
	if c.labels == nil {
		return nil
	}
	out := make([]Category, 0, c.labels.Len())
	c.labels.Each(func(_ uint64, text []byte, n int64) { out = append(out, Category{string(text), n}) })
	slices.SortFunc(out, func(a, b Category) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	return out
}

// distinct is how many different values there are, and by how much of it that may be wrong.
func (c *categories) distinct() (n, within float64, ok bool) {
	switch {
	case c.other > 0:
		return 0, 0, false
	case c.labels == nil:
		return 0, 0, true
	case c.wide == nil:
		return float64(c.labels.Len()), 0, true
	}
	return max(c.wide.distinct.Estimate(), float64(c.labels.Len())), sketch.DistinctError, true
}

// hll is the sketch of distinct values, made where there was no need for one.
func (c *categories) hll() *sketch.Distinct {
	if c.wide != nil {
		return &c.wide.distinct
	}
	d := &sketch.Distinct{}
	c.eachHash(func(hash uint64, _ int64) { d.Add(hash) })
	return d
}

func (c *categories) frequent() []byte {
	v := c.labels
	if v == nil {
		v = newLabels()
	}
	return v.Frequencies(c.total(), func(_ uint64, text []byte) string { return string(text) })
}

func (c *categories) size() int64 {
	n := int64(0)
	if c.labels != nil {
		n += c.labels.Size()
	}
	if c.wide != nil {
		n += 8*buckets + 2<<10
	}
	return n
}

// append writes the rows in no count, the labels, and the groups and distinct values of what is wide.
func (c *categories) append(b []byte) []byte {
	b = wire.Uint(b, uint64(c.other))
	if c.labels == nil {
		return wire.Bool(wire.Uint(wire.Uint(b, 0), 0), false)
	}
	if c.wide == nil && c.labels.TextBytes() > maxCategoryBytes {
		c.widen()
	}
	if c.wide == nil {
		return wire.Bool(c.labels.AppendTexts(b), false)
	}
	groups := []byte{}
	for _, n := range c.wide.groups {
		groups = wire.Uint(groups, uint64(n))
	}
	c.labels.TrimTexts(maxCategoryBytes - len(groups) - sketch.DistinctBytes)
	b = append(wire.Bool(c.labels.AppendTexts(b), true), groups...)
	return c.wide.distinct.AppendBinary(b)
}

func (c *categories) read(r *wire.Reader, count int64) {
	*c = categories{other: r.Count()}
	off, n := r.Count(), r.Length(2)
	listed := uint64(c.other)
	labels := newLabels()
	for range n {
		v, k := r.Text(), r.Count()
		if len(v) > maxLabel || k == 0 || labels.Of(labelHash(v)) > 0 || !labels.Fits(len(v)) {
			r.Fail()
			return
		}
		labels.Add(labelHash(v), v, k)
		listed += uint64(k)
	}
	if n > 0 || off > 0 {
		c.labels = labels
		labels.Lowered(off)
	}
	if !r.Bool() {
		if listed != uint64(count) || off > 0 {
			r.Fail()
		}
		return
	}
	c.labels, c.wide = labels, &wide{}
	total := uint64(c.other)
	for i := range c.wide.groups {
		k := r.Count()
		c.wide.groups[i] = k
		total += uint64(k)
	}
	registers := make([]byte, sketch.DistinctBytes)
	r.Fixed(registers)
	d, err := sketch.ReadDistinct(registers)
	if err != nil || total != uint64(count) || listed > total {
		r.Fail()
		return
	}
	c.wide.distinct = *d
}

// readFirst reads what the first version has stored: up to a thousand values, the first that came,
// and how many rows had another one.
func (c *categories) readFirst(r *wire.Reader, count int64) {
	*c = categories{other: r.Count()}
	total := uint64(c.other)
	n := r.Length(2)
	if n > 1000 {
		r.Fail()
		return
	}
	for range n {
		v, k := r.Text(), r.Count()
		if len(v) > maxLabel || k == 0 {
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
