// Package offsets keeps sets of offsets of one partition: a bit each where they
// are dense, two bytes where they are few, so that billions fit in memory.
//
// The one rule: offsets are not negative.
package offsets

import (
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// Bucket is how many offsets stand together.
const Bucket = 1 << 16

// mostFew is how many offsets of a bucket are kept as a list; one more, and the
// bucket becomes a bitmap.
const mostFew = 512

// Set is a set of offsets; the zero value is empty. Not for concurrent use.
type Set struct {
	buckets map[int64]*bucket
	n       int64
}

type bucket struct {
	few  []uint16 // ascending; unused once bits is there
	bits *Bits
	n    int
}

// Bits is one bucket as a bitmap: bit i is the bucket's offset i.
type Bits [Bucket / 64]uint64

// Set sets bit i.
func (b *Bits) Set(i int64) { b[i>>6] |= 1 << (i & 63) }

// Has reports whether bit i is set.
func (b *Bits) Has(i int64) bool { return b[i>>6]&(1<<(i&63)) != 0 }

// All gives the set bits in ascending order.
func (b *Bits) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for w, word := range b {
			for ; word != 0; word &= word - 1 {
				if !yield(int64(w<<6 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// Add puts an offset in and reports whether it is new.
func (s *Set) Add(offset int64) bool {
	b := s.buckets[offset/Bucket]
	if b == nil {
		if s.buckets == nil {
			s.buckets = map[int64]*bucket{}
		}
		b = &bucket{}
		s.buckets[offset/Bucket] = b
	}
	if !b.add(offset % Bucket) {
		return false
	}
	b.n++
	s.n++
	return true
}

func (b *bucket) add(i int64) bool {
	if b.bits != nil {
		if b.bits.Has(i) {
			return false
		}
		b.bits.Set(i)
		return true
	}
	if n := len(b.few); n > 0 && b.few[n-1] >= uint16(i) {
		at, found := slices.BinarySearch(b.few, uint16(i))
		if found {
			return false
		}
		b.few = slices.Insert(b.few, at, uint16(i))
	} else {
		b.few = append(b.few, uint16(i))
	}
	if len(b.few) > mostFew {
		b.bits = &Bits{}
		for _, x := range b.few {
			b.bits.Set(int64(x))
		}
		b.few = nil
	}
	return true
}

// Remove takes an offset out and reports whether it was in the set.
func (s *Set) Remove(offset int64) bool {
	b := s.buckets[offset/Bucket]
	if b == nil {
		return false
	}
	i := offset % Bucket
	if b.bits != nil {
		if !b.bits.Has(i) {
			return false
		}
		b.bits[i>>6] &^= 1 << (i & 63)
	} else {
		at, found := slices.BinarySearch(b.few, uint16(i))
		if !found {
			return false
		}
		b.few = slices.Delete(b.few, at, at+1)
	}
	s.n--
	if b.n--; b.n == 0 {
		delete(s.buckets, offset/Bucket)
	}
	return true
}

// Has reports whether the offset is in the set.
func (s *Set) Has(offset int64) bool {
	b := s.buckets[offset/Bucket]
	switch {
	case b == nil:
		return false
	case b.bits != nil:
		return b.bits.Has(offset % Bucket)
	}
	_, found := slices.BinarySearch(b.few, uint16(offset%Bucket))
	return found
}

// Len is how many offsets are in the set.
func (s *Set) Len() int64 { return s.n }

// Read copies bucket n (offsets n*Bucket and on) into dst.
func (s *Set) Read(n int64, dst *Bits) {
	b := s.buckets[n]
	switch {
	case b == nil:
		clear(dst[:])
	case b.bits != nil:
		*dst = *b.bits
	default:
		clear(dst[:])
		for _, x := range b.few {
			dst.Set(int64(x))
		}
	}
}

// Buckets are the numbers of the buckets with an offset in them, ascending.
func (s *Set) Buckets() []int64 { return slices.Sorted(maps.Keys(s.buckets)) }

// All gives the offsets in ascending order.
func (s *Set) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		var bits Bits
		for _, n := range s.Buckets() {
			s.Read(n, &bits)
			for i := range bits.All() {
				if !yield(n*Bucket + i) {
					return
				}
			}
		}
	}
}

// Both gives the offsets that are in s and in o, in ascending order.
func (s *Set) Both(o *Set) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		var a, b Bits
		for _, n := range s.Buckets() {
			if o.buckets[n] == nil {
				continue
			}
			s.Read(n, &a)
			o.Read(n, &b)
			for i := range a {
				a[i] &= b[i]
			}
			for i := range a.All() {
				if !yield(n*Bucket + i) {
					return
				}
			}
		}
	}
}
