package sketch

import (
	"encoding/binary"
	"slices"
)

// Within sets other bounds than the usual ones, before there are values: so many of them, and
// so many bytes of texts. It returns v.
func (v *Values) Within(values, texts int) *Values {
	v.most, v.mostTexts = min(values, mostValues), min(texts, mostTexts)
	return v
}

// Count counts a value n times if it is there already.
func (v *Values) Count(hash uint64, n int64) bool {
	if i := v.find(hash); i >= 0 {
		v.counts[i] += n
		return true
	}
	return false
}

// Of is how often a value that is there was counted; 0 of one that is not.
func (v *Values) Of(hash uint64) int64 {
	if i := v.find(hash); i >= 0 {
		return v.counts[i]
	}
	return 0
}

func (v *Values) find(hash uint64) int {
	if len(v.slots) == 0 {
		return -1
	}
	mask := uint64(len(v.slots) - 1)
	for s := hash & mask; v.slots[s] != 0; s = (s + 1) & mask {
		if i := int(v.slots[s]) - 1; v.hashes[i] == hash {
			return i
		}
	}
	return -1
}

// Fits tells whether one more value with a text of that length is within the bounds.
func (v *Values) Fits(text int) bool {
	return len(v.hashes) < v.most && len(v.texts)+textBytes(text) <= v.mostTexts
}

// FitsAll tells whether all values that o has and v has not are within the bounds.
func (v *Values) FitsAll(o *Values) bool {
	values, texts := len(v.hashes), len(v.texts)
	for i, h := range o.hashes {
		if v.find(h) < 0 {
			values++
			texts += o.textSize(i)
		}
	}
	return values <= v.most && texts <= v.mostTexts
}

func textBytes(n int) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], uint64(n)) + n
}

// TextBytes is how many bytes AppendTexts appends at most.
func (v *Values) TextBytes() int {
	var b [binary.MaxVarintLen64]byte
	n := 2*binary.MaxVarintLen64 + len(v.texts)
	for _, c := range v.counts {
		n += binary.PutUvarint(b[:], uint64(c))
	}
	return n
}

// TrimTexts takes the values down to the bounds, and TextBytes to at most that many: the counts become less, and the values that
// came least often go.
func (v *Values) TrimTexts(bytes int) {
	v.shrink()
	for len(v.hashes) > 0 {
		size := v.TextBytes()
		if size <= bytes {
			return
		}
		sorted := slices.Clone(v.counts)
		slices.Sort(sorted)
		v.lower(sorted[(len(sorted)-1)*(size-bytes)/size])
	}
}

// AppendTexts is AppendBinary of Frequent values whose hashes are those of their texts: off, then
// texts and counts.
func (v *Values) AppendTexts(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(v.off))
	b = binary.AppendUvarint(b, uint64(len(v.hashes)))
	v.Each(func(_ uint64, text []byte, count int64) {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		b = binary.AppendUvarint(b, uint64(count))
	})
	return b
}

// Lowered tells that so many have been taken from each count before it was stored.
func (v *Values) Lowered(off int64) { v.off += off }
