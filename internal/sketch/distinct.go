package sketch

import (
	"errors"
	"math"
	"math/bits"
)

const (
	distinctLgK = 11
	distinctK   = 1 << distinctLgK
	distinctMax = 64 - distinctLgK + 1
	// DistinctError is how far an estimate of Distinct may be off, as a share of it, with
	// 99 % confidence.
	DistinctError = 0.06 // 2.576 * 1.04 / sqrt(2048)
	// DistinctBytes is how many bytes AppendBinary appends: six bits a register.
	DistinctBytes = distinctK * 6 / 8
)

// Distinct is an HLL a quarter of the size, for where there are very many: 2 KiB of
// memory, less when stored.
type Distinct struct{ registers [distinctK]byte }

// Add takes in a value by its hash, of which all bits must be good.
func (d *Distinct) Add(hash uint64) {
	v := byte(bits.LeadingZeros64(hash|(distinctK-1)) + 1)
	if r := &d.registers[hash&(distinctK-1)]; v > *r {
		*r = v
	}
}

// AddNumbers takes in numbers; 0 and -0 are one.
func (d *Distinct) AddNumbers(v []float64) {
	for _, x := range v {
		d.Add(NumberHash(x))
	}
}

// NumberHash is a hash of which all bits are good; 0 and -0 have the same.
func NumberHash(x float64) uint64 {
	return Mix(math.Float64bits(x+0) + 0x9e3779b97f4a7c15) // for Mix leaves zero as it is
}

// Merge adds what o has seen.
func (d *Distinct) Merge(o *Distinct) {
	for i, v := range o.registers {
		if v > d.registers[i] {
			d.registers[i] = v
		}
	}
}

// Estimate is about how many different values there were.
func (d *Distinct) Estimate() float64 { return estimate(d.registers[:], distinctMax) }

// Datasketch is as HLL's.
func (d *Distinct) Datasketch() []byte { return hllBytes(d.registers[:]) }

// AppendBinary appends the registers, four of them in three bytes.
func (d *Distinct) AppendBinary(b []byte) []byte {
	for i := 0; i < distinctK; i += 4 {
		r := (*[4]byte)(d.registers[i:])
		b = append(b, r[0]|r[1]<<6, r[1]>>2|r[2]<<4, r[2]>>4|r[3]<<2)
	}
	return b
}

// ReadDistinct reads exactly what AppendBinary has appended.
func ReadDistinct(b []byte) (*Distinct, error) {
	if len(b) != DistinctBytes {
		return nil, errors.New("sketch: not a sketch of distinct values")
	}
	d := &Distinct{}
	for i := 0; i < distinctK; i += 4 {
		p := (*[3]byte)(b[i/4*3:])
		d.registers[i], d.registers[i+1] = p[0]&63, p[0]>>6|p[1]<<2&63
		d.registers[i+2], d.registers[i+3] = p[1]>>4|p[2]<<4&63, p[2]>>2
	}
	for _, v := range d.registers {
		if v > distinctMax {
			return nil, errors.New("sketch: not a sketch of distinct values")
		}
	}
	return d, nil
}
