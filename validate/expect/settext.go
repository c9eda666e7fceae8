package expect

import (
	"encoding/binary"
	"unsafe"

	"github.com/weir-ml/weir/validate"
)

// shortText is the most bytes of a text that fits a word beside its length.
const shortText = 7

// shortSet is a set of short texts as words, searched in a line without a branch:
// which of them a value is cannot be foretold.
type shortSet []uint64

// newShortSet returns nil where the set has a long text, or more than numbers are
// searched in a line.
func newShortSet(texts []string) shortSet {
	if len(texts) > numberLine {
		return nil
	}
	s := shortSet{}
	for _, t := range texts {
		if len(t) > shortText {
			return nil
		}
		s = append(s, wordOf(t))
	}
	return s
}

// wordOf is a short text in a word: its first byte lowest, its length highest.
func wordOf(t string) uint64 {
	w := uint64(len(t)) << 56
	for i := range len(t) {
		w |= uint64(t[i]) << (8 * i)
	}
	return w
}

func (s shortSet) has(word uint64) bool {
	none := uint64(1) << 63
	for _, w := range s {
		d := w ^ word
		none &= d | -d // the highest bit falls when they are the same
	}
	return none == 0
}

// loop fails the texts that are in the set, or with in those that are not.
func (s shortSet) loop(in bool) func(*column, validate.Bitmap) {
	one := func(t string) bool { return (len(t) <= shortText && s.has(wordOf(t))) == in }
	return func(c *column, fail validate.Bitmap) {
		if c.codes != nil {
			c.codedLoop(one, fail)
			return
		}
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
						word = binary.LittleEndian.Uint64(data[from:])&(1<<(8*uint(n))-1) | uint64(n)<<56
					} else {
						word = wordOf(c.data[from:to])
					}
					has = s.has(word)
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
