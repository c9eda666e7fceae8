package validate

import (
	"iter"
	"math/bits"
)

// Bitmap has one bit a row, row i in bit i%64 of word i/64. Bits past the last
// row are zero.
type Bitmap []uint64

// Words is the number of words that n rows need.
func Words(n int) int { return (n + 63) / 64 }

// Get reports whether row i is set.
func (b Bitmap) Get(i int) bool { return b[i>>6]&(1<<(i&63)) != 0 }

// Set sets row i.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (i & 63) }

// Count is the number of rows that are set.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Rows yields the rows that are set, in order.
func (b Bitmap) Rows() iter.Seq[int] {
	return func(yield func(int) bool) {
		for w, word := range b {
			for ; word != 0; word &= word - 1 {
				if !yield(w*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// grown returns b with room for n rows, all zero, keeping its memory.
func grown(b Bitmap, n int) Bitmap {
	w := Words(n)
	if cap(b) < w {
		return make(Bitmap, w)
	}
	b = b[:w]
	clear(b)
	return b
}
