package jsonschema

import (
	"bytes"
	"hash/maphash"

	"github.com/weir-ml/weir/internal/jsonscan"
)

// uniqueSet is a hash table of items, its memory used again. The seed is
// random, so that nobody can send items that all collide.
type uniqueSet struct {
	seed  maphash.Seed
	ready bool
	table []uint32
}

// fewItems is up to where every pair is compared.
const fewItems = 12

// twin returns two equal items of array i, zeros when all differ.
func (c *Checker) twin(i uint32) (a, b uint32) {
	v := &c.doc.Nodes[i]
	if v.Len < 2 {
		return 0, 0
	}
	if v.Len <= fewItems {
		for m := i + 1; m < v.Next; m = c.doc.Nodes[m].Next {
			for k := i + 1; k < m; k = c.doc.Nodes[k].Next {
				if c.equal(k, m) {
					return k, m
				}
			}
		}
		return 0, 0
	}
	// The table is taken while in use: equal and hash do not come back here.
	u := &c.unique
	if !u.ready {
		u.seed, u.ready = maphash.MakeSeed(), true
	}
	size := 32
	for size < 2*int(v.Len) {
		size *= 2
	}
	if cap(u.table) < size {
		u.table = make([]uint32, size)
	}
	t := u.table[:size]
	clear(t)
	for m := i + 1; m < v.Next && c.steps > 0; m = c.doc.Nodes[m].Next {
		for slot := c.hash(m); ; slot++ {
			at := &t[slot&uint64(size-1)]
			if *at == 0 {
				*at = m
				break
			}
			if c.equal(*at, m) {
				return *at, m
			}
			if c.steps <= 0 {
				break
			}
		}
	}
	return 0, 0
}

// equal compares two values of the event.
func (c *Checker) equal(a, b uint32) bool {
	x, y := &c.doc.Nodes[a], &c.doc.Nodes[b]
	c.steps--
	if x.Kind != y.Kind || c.steps <= 0 {
		return false
	}
	switch x.Kind {
	case jsonscan.String:
		var s, t []byte
		s, c.buf = c.doc.Text(a, c.buf)
		t, c.buf2 = c.doc.Text(b, c.buf2)
		return bytes.Equal(s, t)
	case jsonscan.Number:
		d, ok := x.Decimal()
		e, ok2 := y.Decimal()
		if ok && ok2 {
			return d.Compare(e) == 0
		}
		c.steps -= 100
		return c.doc.Rat(a).Cmp(c.doc.Rat(b)) == 0
	case jsonscan.Array:
		if x.Len != y.Len {
			return false
		}
		for m, k := a+1, b+1; m < x.Next; m, k = c.doc.Nodes[m].Next, c.doc.Nodes[k].Next {
			if !c.equal(m, k) {
				return false
			}
		}
	case jsonscan.Object:
		if x.Len != y.Len {
			return false
		}
		k := b + 1 // the same order, most likely
		for m := a + 1; m < x.Next; m = c.doc.Nodes[m].Next {
			other := c.memberLike(m, b, k)
			if other == 0 || !c.equal(m, other) {
				return false
			}
			k = c.doc.Nodes[other].Next
			if k >= y.Next {
				k = b + 1
			}
		}
	}
	return true
}

// memberLike finds the member of object b with the key of m, beginning at from and going round.
func (c *Checker) memberLike(m, b, from uint32) uint32 {
	var key, other []byte
	key, c.buf = c.doc.KeyText(m, c.buf)
	end := c.doc.Nodes[b].Next
	for k := from; ; {
		c.steps--
		other, c.buf2 = c.doc.KeyText(k, c.buf2)
		if bytes.Equal(key, other) {
			return k
		}
		if k = c.doc.Nodes[k].Next; k >= end {
			k = b + 1
		}
		if k == from || c.steps <= 0 {
			return 0
		}
	}
}

// hash gives equal values equal numbers.
func (c *Checker) hash(i uint32) uint64 {
	v := &c.doc.Nodes[i]
	c.steps--
	const mix = 0x9e3779b97f4a7c15
	h := uint64(v.Kind+1) * mix
	switch v.Kind {
	case jsonscan.String:
		var t []byte
		t, c.buf = c.doc.Text(i, c.buf)
		h ^= maphash.Bytes(c.unique.seed, t)
	case jsonscan.Number:
		d, ok := v.Decimal()
		if !ok {
			c.steps -= 100
			r := c.doc.Rat(i)
			if d, ok = jsonscan.DecimalOf(r); !ok {
				return h ^ maphash.String(c.unique.seed, r.RatString())
			}
		}
		d = d.Normal()
		if d.Neg {
			h++
		}
		return h ^ maphash.Comparable(c.unique.seed, d)
	case jsonscan.Array:
		for m := i + 1; m < v.Next; m = c.doc.Nodes[m].Next {
			h = (h ^ c.hash(m)) * mix
			h ^= h >> 29
		}
	case jsonscan.Object:
		for m := i + 1; m < v.Next; m = c.doc.Nodes[m].Next {
			var t []byte
			t, c.buf = c.doc.KeyText(m, c.buf)
			k := maphash.Bytes(c.unique.seed, t)
			x := (k ^ c.hash(m)*mix) * mix
			h += x ^ x>>31
		}
	}
	return h
}
