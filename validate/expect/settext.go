package expect

import (
	"encoding/binary"
	"unsafe"

	"github.com/weir-ml/weir/validate"
)

// shortText is the most bytes of a text that is compared as one word.
const shortText = 8

// shortSet is a set of short texts as words and their lengths, searched in a line.
type shortSet struct {
	words []uint64
	lens  []int32
}

// newShortSet returns nil where the set has a long text, or more than numbers are
// searched in a line.
func newShortSet(texts []string) *shortSet {
	if len(texts) > numberLine {
		return nil
	}
	s := &shortSet{}
	for _, t := range texts {
		if len(t) > shortText {
			return nil
		}
		s.words, s.lens = append(s.words, wordOf(t)), append(s.lens, int32(len(t)))
	}
	return s
}

// wordOf is a short text in a word, its first byte lowest.
func wordOf(t string) uint64 {
	var w uint64
	for i := range len(t) {
		w |= uint64(t[i]) << (8 * i)
	}
	return w
}

func (s *shortSet) has(word uint64, n int32) bool {
	for i, w := range s.words {
		if w == word && s.lens[i] == n {
			return true
		}
	}
	return false
}

// loop fails the texts that are in the set, or with in those that are not.
func (s *shortSet) loop(in bool) func(*column, validate.Bitmap) {
	return func(c *column, fail validate.Bitmap) {
		data := unsafe.Slice(unsafe.StringData(c.data), len(c.data))
		for w := range fail {
			var bad uint64
			off := c.off[w*64 : min(w*64+65, len(c.off))]
			from := off[0]
			for j, to := range off[1:] {
				has := false
				if n := to - from; n <= shortText {
					var word uint64
					if int(from)+8 <= len(data) {
						word = binary.LittleEndian.Uint64(data[from:]) & (1<<(8*uint(n)) - 1)
					} else {
						word = wordOf(c.data[from:to])
					}
					has = s.has(word, n)
				}
				if has != in {
					bad |= 1 << (j & 63)
				}
				from = to
			}
			fail[w] = bad
		}
	}
}
