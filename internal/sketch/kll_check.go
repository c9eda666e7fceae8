package sketch

import (
	"encoding/binary"
	"errors"
	"math"
)

const (
	// K is the accuracy of the quantile sketches: a rank is within 1.33 %
	// at 99 % confidence, and a sketch of millions of values takes 5 KiB.
	K    = 200
	kllM = 8
)

// CheckKLL proves the bytes of a quantile sketch before ReadKLL reads them.
func CheckKLL(b []byte) error {
	bad := errors.New("sketch: not a quantile sketch")
	const head, data = 8, 20
	if len(b) < head || b[2] != 15 || binary.LittleEndian.Uint16(b[4:]) != K || b[6] != kllM {
		return bad
	}
	finite := func(from, to int) bool {
		for i := from; i+8 <= to; i += 8 {
			if v := math.Float64frombits(binary.LittleEndian.Uint64(b[i:])); math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
		return true
	}
	const empty, single = 1, 4
	switch {
	case b[0] == 2 && b[1] == 2 && b[3]&empty == 0 && len(b) == head+8: // one value
		if b[3]&single == 0 || !finite(head, len(b)) {
			return bad
		}
		return nil
	case b[0] == 5 && b[1] == 1 && b[3]&(empty|single) == 0 && len(b) >= data:
	default:
		return bad
	}
	n, minK, levels := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint16(b[16:]), int(b[18])
	if levels < 1 || levels > 40 || n > math.MaxInt64 || minK < kllM || minK > K || len(b) < data+4*levels+16 {
		return bad
	}
	at := make([]uint64, levels+1)
	for i := range levels {
		at[i] = uint64(binary.LittleEndian.Uint32(b[data+4*i:]))
	}
	at[levels] = uint64(capacity(levels))
	var weight uint64
	for i := range levels {
		if at[i+1] < at[i] {
			return bad
		}
		weight += (at[i+1] - at[i]) << i
	}
	items := at[levels] - at[0]
	if weight != n || n < 2 || uint64(len(b)) != uint64(data+4*levels)+8*(2+items) || !finite(data+4*levels, len(b)) {
		return bad
	}
	return nil
}

// capacity is how many items a sketch of that many levels has room for: the
// topmost level k, each one below two thirds of it, none less than m.
func capacity(levels int) int {
	total := 0
	for h := range levels {
		depth := levels - h - 1
		total += max(kllM, levelCapacity(depth))
	}
	return total
}

func levelCapacity(depth int) int {
	if depth > 30 {
		half := depth / 2
		return scaled(scaled(K, half), depth-half)
	}
	return scaled(K, depth)
}

func scaled(k, depth int) int {
	twice := uint64(k) << 1
	t := (twice << depth) / pow3(depth)
	return int((t + 1) >> 1)
}

func pow3(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 3
	}
	return p
}
