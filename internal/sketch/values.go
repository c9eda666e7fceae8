package sketch

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Policy is what Values does with more values than it has room for.
type Policy uint8

const (
	// Sample keeps the values with the smallest hashes, and counts those exactly: of
	// all distinct values a fair sample, the same in whatever order they come.
	Sample Policy = 1
	// Frequent keeps the values that are there most often, each count too low by at
	// most Off (Misra and Gries, with the purge of Apache DataSketches).
	Frequent Policy = 2
)

// Bounds of Values, unless Within sets others: 54 KiB of memory at most.
const (
	mostValues = 1408
	mostTexts  = 16 << 10 // bytes
	slack      = 128      // what may come beyond the bounds before it is taken down to them
	maxText    = 256
)

// Values counts how often each value is there, by 64-bit hashes. As long as it is
// Whole, all values are in it with their counts.
type Values struct {
	policy Policy
	texted bool // values have texts
	cut    bool // Sample: values with a hash from theta on are left out
	theta  uint64
	off    int64 // Frequent: what has been taken from each count

	most, mostTexts int // the bounds

	hashes []uint64
	counts []int64
	at     []uint32 // where the text of each is in texts: its length and its bytes
	texts  []byte
	slots  []uint16 // index of hashes plus one
}

// NewValues returns an empty one; texted says whether values have texts, or are known by
// their hashes alone.
func NewValues(p Policy, texted bool) *Values {
	return &Values{policy: p, texted: texted, most: mostValues, mostTexts: mostTexts}
}

// Whole tells whether every value is there with its exact count.
func (v *Values) Whole() bool { return !v.cut && v.off == 0 }

// Policy is the one it was made with.
func (v *Values) Policy() Policy { return v.policy }

// Texted tells whether values have texts.
func (v *Values) Texted() bool { return v.texted }

// Len is how many values are in it.
func (v *Values) Len() int { return len(v.hashes) }

// Off is by how much the count of a value of Frequent may be too low: one that is not there has
// come at most so often.
func (v *Values) Off() int64 { return v.off }

// Share is the share of all distinct values that a Sample holds.
func (v *Values) Share() float64 {
	if !v.cut {
		return 1
	}
	return float64(v.theta) / math.MaxUint64
}

// Full tells whether the next new value may be too many.
func (v *Values) Full() bool {
	return len(v.hashes) >= v.most || len(v.texts) >= v.mostTexts
}

// Wants tells whether a value with this hash would be kept.
func (v *Values) Wants(hash uint64) bool { return !v.cut || hash < v.theta }

// Add counts a value n times. text is copied when the value is new.
func (v *Values) Add(hash uint64, text string, n int64) {
	if v.cut && hash >= v.theta {
		return
	}
	if len(v.slots) == 0 {
		v.slots = make([]uint16, 64)
	}
	mask := uint64(len(v.slots) - 1)
	s := hash & mask
	for ; v.slots[s] != 0; s = (s + 1) & mask {
		if i := v.slots[s] - 1; v.hashes[i] == hash {
			v.counts[i] += n
			return
		}
	}
	v.hashes = append(v.hashes, hash)
	v.counts = append(v.counts, n)
	if v.texted {
		if len(text) > maxText {
			text = Label(text)
		}
		v.at = append(v.at, uint32(len(v.texts)))
		v.texts = append(binary.AppendUvarint(v.texts, uint64(len(text))), text...)
	}
	v.slots[s] = uint16(len(v.hashes))
	switch {
	case len(v.hashes) >= v.most+slack || len(v.texts) >= v.mostTexts+8*slack:
		v.shrink()
	case len(v.hashes)*2 > len(v.slots):
		v.index(2 * len(v.slots))
	}
}

// Label is what stands for a text that is too long to be kept: its beginning and a hash,
// so that it is still one value.
func Label(text string) string {
	if len(text) <= maxText {
		return text
	}
	const digits = "0123456789abcdef"
	h := xxhash.Sum64String(text)
	b := []byte(text[:maxText-32])
	for len(b) > 0 && b[len(b)-1] >= 0x80 { // not in the middle of a letter
		b = b[:len(b)-1]
	}
	b = append(b, "…#"...)
	for i := range 16 {
		b = append(b, digits[h>>(60-4*i)&15])
	}
	return string(b)
}

// index makes the slots anew.
func (v *Values) index(slots int) {
	if slots == len(v.slots) {
		clear(v.slots)
	} else {
		v.slots = make([]uint16, slots)
	}
	mask := uint64(slots - 1)
	for i, h := range v.hashes {
		s := h & mask
		for v.slots[s] != 0 {
			s = (s + 1) & mask
		}
		v.slots[s] = uint16(i + 1)
	}
}

// shrink takes the values down to the bounds.
func (v *Values) shrink() {
	if v.policy == Frequent {
		for len(v.hashes) > v.most || len(v.texts) > v.mostTexts {
			v.purge()
		}
		return
	}
	order := v.order()
	keep, bytes := 0, 0
	for ; keep < len(order) && keep < v.most; keep++ {
		if bytes += v.textSize(order[keep]); bytes > v.mostTexts {
			break
		}
	}
	if v.cut {
		for keep > 0 && v.hashes[order[keep-1]] >= v.theta {
			keep--
		}
	}
	if keep < len(order) {
		if h := v.hashes[order[keep]]; !v.cut || h < v.theta {
			v.cut, v.theta = true, h
		}
		v.keep(order[:keep])
	}
}

// purge takes the median of the counts from each, and what is left with none goes.
func (v *Values) purge() {
	sorted := slices.Clone(v.counts)
	slices.Sort(sorted)
	v.lower(sorted[len(sorted)/2])
}

// lower takes so many from each count, and what is left with none goes.
func (v *Values) lower(m int64) {
	v.off += m
	order := make([]int, 0, len(v.counts))
	for i := range v.counts { // whoever reads them asks for the order that he needs
		if v.counts[i] -= m; v.counts[i] > 0 {
			order = append(order, i)
		}
	}
	v.keep(order)
}

// order are the indexes of the values by their hashes.
func (v *Values) order() []int {
	order := make([]int, len(v.hashes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(v.hashes[a], v.hashes[b]) })
	return order
}

// keep leaves only some values, in the given order.
func (v *Values) keep(order []int) {
	hashes, counts := make([]uint64, len(order)), make([]int64, len(order))
	var at []uint32
	var texts []byte
	if v.texted {
		at, texts = make([]uint32, 0, len(order)), make([]byte, 0, len(v.texts))
	}
	for k, i := range order {
		hashes[k], counts[k] = v.hashes[i], v.counts[i]
		if v.texted {
			at = append(at, uint32(len(texts)))
			texts = append(texts, v.texts[v.at[i]:int(v.at[i])+v.textSize(i)]...)
		}
	}
	v.hashes = append(v.hashes[:0], hashes...)
	v.counts = append(v.counts[:0], counts...)
	v.at = append(v.at[:0], at...)
	v.texts = append(v.texts[:0], texts...)
	v.index(len(v.slots))
}

// textSize is how many bytes of texts belong to a value.
func (v *Values) textSize(i int) int {
	if !v.texted {
		return 0
	}
	n, used := binary.Uvarint(v.texts[v.at[i]:])
	return used + int(n)
}

// Each calls fn with each value that is there, in the order of the hashes.
func (v *Values) Each(fn func(hash uint64, text []byte, count int64)) {
	for _, i := range v.order() {
		var text []byte
		if v.texted {
			n, used := binary.Uvarint(v.texts[v.at[i]:])
			from := int(v.at[i]) + used
			text = v.texts[from : from+int(n)]
		}
		fn(v.hashes[i], text, v.counts[i])
	}
}

// Merge adds what o has counted; o stays as it is. Both have the same policy.
func (v *Values) Merge(o *Values) {
	if o.cut && (!v.cut || o.theta < v.theta) {
		v.cut, v.theta = true, o.theta
	}
	o.Each(func(hash uint64, text []byte, count int64) {
		if !v.Count(hash, count) {
			v.Add(hash, string(text), count)
		}
	})
	v.off += o.off
	v.shrink()
}

// Size is how many bytes of memory it takes.
func (v *Values) Size() int64 {
	return int64(cap(v.hashes))*8 + int64(cap(v.counts))*8 + int64(cap(v.at))*4 + int64(cap(v.texts)) + int64(cap(v.slots))*2 + 160
}

var errValues = errors.New("sketch: not counted values")

// AppendBinary appends the encoding: policy and flags, theta or what is off, then the values
// by their hashes. It is the same for the same values, however they came, but for
// Frequent ones that are not Whole.
func (v *Values) AppendBinary(b []byte) []byte {
	v.shrink()
	flags := byte(v.policy)
	if v.texted {
		flags |= 4
	}
	if v.cut {
		flags |= 8
	}
	b = append(b, flags)
	b = binary.LittleEndian.AppendUint64(b, v.theta)
	b = binary.AppendUvarint(b, uint64(v.off))
	b = binary.AppendUvarint(b, uint64(len(v.hashes)))
	v.Each(func(hash uint64, text []byte, count int64) {
		b = binary.LittleEndian.AppendUint64(b, hash)
		b = binary.AppendUvarint(b, uint64(count))
		if v.texted {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	})
	return b
}

// ReadValues reads what AppendBinary has appended, and returns what follows.
func ReadValues(b []byte) (*Values, []byte, error) {
	if len(b) < 9 {
		return nil, nil, errValues
	}
	v := &Values{most: mostValues, mostTexts: mostTexts, policy: Policy(b[0] & 3), texted: b[0]&4 != 0, cut: b[0]&8 != 0, theta: binary.LittleEndian.Uint64(b[1:])}
	if v.policy != Sample && v.policy != Frequent || b[0] > 15 || v.cut && v.policy != Sample || !v.cut && v.theta != 0 {
		return nil, nil, errValues
	}
	b = b[9:]
	bad := false
	uint := func() uint64 {
		u, n := binary.Uvarint(b)
		if n <= 0 || u > math.MaxInt64 {
			bad = true
			return 0
		}
		b = b[n:]
		return u
	}
	v.off = int64(uint())
	n := uint()
	if bad || n > mostValues || v.off > 0 && v.policy != Frequent {
		return nil, nil, errValues
	}
	for i := range n {
		if len(b) < 8 {
			return nil, nil, errValues
		}
		hash := binary.LittleEndian.Uint64(b)
		b = b[8:]
		count := int64(uint())
		if bad || count < 1 || v.cut && hash >= v.theta || i > 0 && hash <= v.hashes[i-1] {
			return nil, nil, errValues
		}
		v.hashes, v.counts = append(v.hashes, hash), append(v.counts, count)
		if v.texted {
			n := uint()
			if bad || n > maxText || n > uint64(len(b)) {
				return nil, nil, errValues
			}
			v.at = append(v.at, uint32(len(v.texts)))
			v.texts = append(binary.AppendUvarint(v.texts, n), b[:n]...)
			if b = b[n:]; len(v.texts) > mostTexts {
				return nil, nil, errValues
			}
		}
	}
	slots := 64
	for len(v.hashes)*2 > slots {
		slots *= 2
	}
	v.index(slots)
	return v, b, nil
}

// Frequencies is a Frequent one in the DataSketches format (frequent items, of
// strings), for other tools to read. total is how many values came; name is the text that stands for a value.
func (v *Values) Frequencies(total int64, name func(hash uint64, text []byte) string) []byte {
	const family, lgMax = 10, 11 // room for 1,536 values
	if v.Len() == 0 {
		return []byte{1, 1, family, lgMax, 3, 5, 0, 0}
	}
	b := make([]byte, 32)
	b[0], b[1], b[2], b[3], b[4] = 4, 1, family, lgMax, lgMax
	binary.LittleEndian.PutUint32(b[8:], uint32(v.Len()))
	var names []byte
	v.Each(func(hash uint64, text []byte, count int64) {
		b = binary.LittleEndian.AppendUint64(b, uint64(count))
		s := name(hash, text)
		names = append(binary.LittleEndian.AppendUint32(names, uint32(len(s))), s...)
	})
	binary.LittleEndian.PutUint64(b[16:], uint64(total))
	binary.LittleEndian.PutUint64(b[24:], uint64(v.off))
	return append(b, names...)
}

// Mix spreads the bits of a word, each word to another one; Unmix undoes it.
func Mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func Unmix(x uint64) uint64 {
	x ^= x>>31 ^ x>>62
	x *= 0x319642b2d24d8ec3
	x ^= x>>27 ^ x>>54
	x *= 0x96de1b173f119089
	return x ^ x>>30 ^ x>>60
}
