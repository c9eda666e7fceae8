package tabular

import (
	"encoding/binary"
	"errors"
)

// runs reads Parquet's mix of repeated and packed numbers: levels, places in a
// dictionary, and bools of some writers. It goes on where the last call ended.
type runs struct {
	b     []byte // what comes after the run that left is of
	width uint   // bits of a number, at most 32
	left  int    // numbers left of the run
	same  bool   // all of them are value; else they stand in packed from bit on
	value uint32

	packed []byte
	bit    int
}

var errShortRuns = errors.New("a page ends before its values")

// begin is called where left is 0; afterwards it is not.
func (r *runs) begin() error {
	for r.left == 0 {
		head, n := binary.Uvarint(r.b)
		if n <= 0 || head>>1 > 1<<31 {
			return errShortRuns
		}
		r.b = r.b[n:]
		if head&1 == 0 {
			size := int(r.width+7) / 8
			if len(r.b) < size {
				return errShortRuns
			}
			r.value = 0
			for i, x := range r.b[:size] {
				r.value |= uint32(x) << (8 * i)
			}
			r.b, r.left, r.same = r.b[size:], int(head>>1), true
			continue
		}
		r.left, r.same, r.bit = int(head>>1)*8, false, 0
		size := int(head>>1) * int(r.width)
		if size > len(r.b) { // the last run may end with its last number
			size = len(r.b)
			if r.width > 0 {
				r.left = min(r.left, size*8/int(r.width))
			}
			if r.left == 0 {
				return errShortRuns
			}
		}
		r.packed, r.b = r.b[:size], r.b[size:]
	}
	return nil
}

// numbers fills dst.
func (r *runs) numbers(dst []int32) error {
	for len(dst) > 0 {
		if r.width == 0 {
			clear(dst) // of one value; some writers give no runs then
			return nil
		}
		if err := r.begin(); err != nil {
			return err
		}
		n := min(r.left, len(dst))
		r.left -= n
		if r.same {
			for i := range dst[:n] {
				dst[i] = int32(r.value)
			}
		} else {
			r.unpack(dst[:n])
		}
		dst = dst[n:]
	}
	return nil
}

func (r *runs) unpack(dst []int32) {
	mask, width, bit := uint64(1)<<r.width-1, int(r.width), r.bit
	i := 0
	for ; i < len(dst) && bit>>3+8 <= len(r.packed); i++ {
		dst[i] = int32(binary.LittleEndian.Uint64(r.packed[bit>>3:]) >> (bit & 7) & mask)
		bit += width
	}
	for ; i < len(dst); i++ {
		var last [8]byte
		copy(last[:], r.packed[bit>>3:])
		dst[i] = int32(binary.LittleEndian.Uint64(last[:]) >> (bit & 7) & mask)
		bit += width
	}
	r.bit = bit
}

// bits sets those of the next n that are 1 in dst, from place at on, where all are 0
// until then, and counts them. The width is 1.
func (r *runs) bits(dst []byte, at, n int) (ones int, err error) {
	for n > 0 {
		if err := r.begin(); err != nil {
			return 0, err
		}
		k := min(r.left, n)
		switch {
		case r.same && r.value&1 == 1:
			setBits(dst, at, k)
			ones += k
		case !r.same:
			ones += copyBits(dst, at, r.packed, r.bit, k)
			r.bit += k
		}
		r.left, at, n = r.left-k, at+k, n-k
	}
	return ones, nil
}

// whole takes the next n where all of them are 1, without looking at each.
func (r *runs) whole(n int) bool {
	if r.left == 0 && r.begin() != nil {
		return false // who asks for them hears why
	}
	if !r.same || r.value != 1 || r.left < n {
		return false
	}
	r.left -= n
	return true
}

func setBits(dst []byte, at, n int) {
	for ; n > 0 && at&7 != 0; n-- {
		dst[at>>3] |= 1 << (at & 7)
		at++
	}
	for ; n >= 8; n -= 8 {
		dst[at>>3] = 0xff
		at += 8
	}
	for ; n > 0; n-- {
		dst[at>>3] |= 1 << (at & 7)
		at++
	}
}

// copyBits sets in dst, from place at on, those of n bits of src from place from on that
// are 1, and counts them.
func copyBits(dst []byte, at int, src []byte, from, n int) (ones int) {
	for range n {
		b := src[from>>3] >> (from & 7) & 1
		dst[at>>3] |= b << (at & 7)
		ones += int(b)
		at++
		from++
	}
	return ones
}
