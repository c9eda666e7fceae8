package sketch

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
)

const (
	hllLgK = 13
	hllK   = 1 << hllLgK
	// hllMax is the most that a register can hold: the zeros before the first one of the
	// bits that do not choose it, and one.
	hllMax = 64 - hllLgK + 1
	// HLLError is how far an estimate may be off, as a share of it, with 99 % confidence.
	HLLError = 0.03 // 2.576 * 1.04 / sqrt(8192)
)

// HLL counts distinct values (HyperLogLog, with the estimator of O. Ertl, "New
// cardinality estimation algorithms for HyperLogLog sketches", 2017). It takes 8 KiB.
// What it holds depends only on which values came, not on their order or how often.
type HLL struct{ registers [hllK]byte }

// Add takes in a value by its hash, of which all bits must be good.
func (h *HLL) Add(hash uint64) {
	v := byte(bits.LeadingZeros64(hash|(hllK-1)) + 1)
	if r := &h.registers[hash&(hllK-1)]; v > *r {
		*r = v
	}
}

// Merge adds what o has seen.
func (h *HLL) Merge(o *HLL) {
	for i, v := range o.registers {
		if v > h.registers[i] {
			h.registers[i] = v
		}
	}
}

// Estimate is about how many different values there were.
func (h *HLL) Estimate() float64 { return estimate(h.registers[:], hllMax) }

// estimate reads registers that hold at most so much.
func estimate(registers []byte, most int) float64 {
	var counts [65]float64
	for _, v := range registers {
		counts[v]++
	}
	m := float64(len(registers))
	z := m * tau(1-counts[most]/m)
	for k := most - 1; k >= 1; k-- {
		z = (z + counts[k]) / 2
	}
	z += m * sigma(counts[0]/m)
	return m / (2 * math.Ln2) * m / z
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y /= 2
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

// Bytes of the DataSketches format.
const (
	hllFamily     = 7
	hllHead       = 40
	hllOutOfOrder = 16 // flag: there is no estimate from the order of the values
	hllMode       = 10 // registers of 8 bits
)

// Datasketch is the sketch in the DataSketches format (HLL_8), to be read and estimated by
// other tools. It does not merge with sketches that they made of the same values, for
// their hash is another.
func (h *HLL) Datasketch() []byte { return hllBytes(h.registers[:]) }

func hllBytes(registers []byte) []byte {
	b := make([]byte, hllHead, hllHead+len(registers))
	b[0], b[1], b[2], b[3], b[5], b[7] = 10, 1, hllFamily, byte(bits.Len(uint(len(registers)))-1), hllOutOfOrder, hllMode
	var low, high float64 // the sum of 2^-register, of small and of large registers
	zeros := uint32(0)
	for _, v := range registers {
		if v == 0 {
			zeros++
		}
		if v < 32 {
			low += math.Ldexp(1, -int(v))
		} else {
			high += math.Ldexp(1, -int(v))
		}
	}
	binary.LittleEndian.PutUint64(b[16:], math.Float64bits(low))
	binary.LittleEndian.PutUint64(b[24:], math.Float64bits(high))
	binary.LittleEndian.PutUint32(b[32:], zeros)
	return append(b, registers...)
}

// AppendBinary appends the registers.
func (h *HLL) AppendBinary(b []byte) []byte { return append(b, h.registers[:]...) }

// ReadHLL reads what AppendBinary has appended, and returns what follows.
func ReadHLL(b []byte) (*HLL, []byte, error) {
	if len(b) < hllK {
		return nil, nil, errors.New("sketch: not a sketch of distinct values")
	}
	h := &HLL{registers: [hllK]byte(b)}
	for _, v := range h.registers {
		if v > hllMax {
			return nil, nil, errors.New("sketch: not a sketch of distinct values")
		}
	}
	return h, b[hllK:], nil
}
