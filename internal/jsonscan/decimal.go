package jsonscan

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"unsafe"
)

// Decimal is an exact decimal number of at most 19 digits: Mant * 10^Exp.
type Decimal struct {
	Mant uint64
	Exp  int32
	Neg  bool
}

// Decimal is the node's number; ok is false where it is Big.
func (n *Node) Decimal() (v Decimal, ok bool) {
	return Decimal{Mant: n.Mant, Exp: int32(n.Exp), Neg: n.Flags&Negative != 0}, n.Flags&Big == 0
}

var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// Compare is -1, 0 or +1 as a is below, equal to or above b; -0 equals 0.
func (a Decimal) Compare(b Decimal) int {
	x, y := a.sign(), b.sign()
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case x == 0:
		return 0
	}
	return x * compareAbs(a, b)
}

func (a Decimal) sign() int {
	switch {
	case a.Mant == 0:
		return 0
	case a.Neg:
		return -1
	}
	return 1
}

func compareAbs(a, b Decimal) int {
	if a.Exp == b.Exp {
		return cmp(a.Mant, b.Mant)
	}
	if a.Exp < b.Exp {
		return -compareAbs(b, a)
	}
	d := a.Exp - b.Exp
	if d > 19 {
		return 1 // a.Mant >= 1, and 10^20 is above any b.Mant
	}
	hi, lo := bits.Mul64(a.Mant, pow10[d])
	if hi != 0 {
		return 1
	}
	return cmp(lo, b.Mant)
}

func cmp(a, b uint64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// IsInteger reports whether the number has no fraction: 3, 3.0 and 30e-1 have none.
func (a Decimal) IsInteger() bool {
	if a.Exp >= 0 || a.Mant == 0 {
		return true
	}
	return a.Exp >= -19 && a.Mant%pow10[-a.Exp] == 0
}

// MultipleOf reports whether a is an integer times b; b is not 0.
func (a Decimal) MultipleOf(b Decimal) bool {
	if a.Mant == 0 {
		return true
	}
	if a.Exp <= b.Exp {
		// In units of 10^a.Exp: a.Mant against b.Mant * 10^d.
		d := b.Exp - a.Exp
		if d > 19 {
			return false
		}
		hi, lo := bits.Mul64(b.Mant, pow10[d])
		return hi == 0 && a.Mant%lo == 0
	}
	// In units of 10^b.Exp: a.Mant * 10^d modulo b.Mant.
	m := b.Mant
	r := a.Mant % m
	for d := a.Exp - b.Exp; d > 0 && r != 0; {
		step := min(d, 19)
		hi, lo := bits.Mul64(r, pow10[step]%m)
		_, r = bits.Div64(hi, lo, m)
		d -= step
	}
	return r == 0
}

// Normal strips trailing zeros, so that equal numbers become equal values.
func (a Decimal) Normal() Decimal {
	if a.Mant == 0 {
		return Decimal{}
	}
	for a.Mant%10 == 0 {
		a.Mant /= 10
		a.Exp++
	}
	return a
}

// Int64 is the number where it is an integer that fits.
func (a Decimal) Int64() (int64, bool) {
	m := a.Mant
	switch {
	case a.Exp == 0 || m == 0:
	case a.Exp > 0:
		if a.Exp > 19 {
			return 0, false
		}
		hi, lo := bits.Mul64(m, pow10[a.Exp])
		if hi != 0 {
			return 0, false
		}
		m = lo
	default:
		if !a.IsInteger() {
			return 0, false
		}
		m /= pow10[-a.Exp]
	}
	if a.Neg {
		return int64(-m), m <= 1<<63
	}
	return int64(m), m < 1<<63
}

// Floor is the number times 10^shift, rounded down to an integer; false where that does not fit.
func (a Decimal) Floor(shift int32) (int64, bool) {
	a.Exp += shift
	if a.Exp >= 0 || a.Mant == 0 {
		return a.Int64()
	}
	var q, r uint64 = 0, 1
	if a.Exp >= -19 {
		q, r = a.Mant/pow10[-a.Exp], a.Mant%pow10[-a.Exp]
	}
	if !a.Neg {
		return int64(q), q < 1<<63
	}
	if r != 0 {
		q++
	}
	return int64(-q), q <= 1<<63
}

// DecimalOf returns r as a Decimal; false where it has more than 19 digits or no finite number of them.
func DecimalOf(r *big.Rat) (Decimal, bool) {
	frac, exact := r.FloatPrec()
	if !exact || frac > 10_000 {
		return Decimal{}, false
	}
	m := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(frac)), nil)
	m.Mul(m, r.Num()).Quo(m, r.Denom()).Abs(m)
	exp := -int32(frac)
	ten, rem := big.NewInt(10), new(big.Int)
	for m.Sign() != 0 && !m.IsUint64() {
		q, _ := new(big.Int).QuoRem(m, ten, rem)
		if rem.Sign() != 0 {
			return Decimal{}, false
		}
		m, exp = q, exp+1
	}
	v := Decimal{Mant: m.Uint64(), Exp: exp, Neg: r.Sign() < 0}.Normal()
	return v, v.Mant < 1e19
}

// Rat is the number at node i, however long.
func (d *Doc) Rat(i uint32) *big.Rat {
	r, ok := new(big.Rat).SetString(string(d.Raw(i)))
	if !ok {
		panic("jsonscan: not a number token")
	}
	return r
}

// The powers of ten that a float holds exactly.
var floats = [23]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Float64 is the float nearest to the number at node i; false where it is beyond the floats.
func (d *Doc) Float64(i uint32) (float64, bool) {
	n := &d.Nodes[i]
	// Both operands exact: one correctly rounded operation gives the nearest float.
	if n.Mant < 1<<53 && n.Exp >= -22 && n.Exp <= 22 && n.Flags&Big == 0 {
		f := float64(n.Mant)
		if n.Exp < 0 {
			f /= floats[-n.Exp]
		} else {
			f *= floats[n.Exp]
		}
		if n.Flags&Negative != 0 {
			f = -f
		}
		return f, true
	}
	f, _ := strconv.ParseFloat(peek(d.Data[n.Start:n.End]), 64)
	return f, !math.IsInf(f, 0)
}

// Float32 is the float32 nearest to the number at node i. It does not go
// through a float64: rounding twice can miss the nearest.
func (d *Doc) Float32(i uint32) (float32, bool) {
	n := &d.Nodes[i]
	if n.Mant < 1<<24 && n.Exp >= -10 && n.Exp <= 10 && n.Flags&Big == 0 {
		f := float32(n.Mant)
		if n.Exp < 0 {
			f /= float32(floats[-n.Exp])
		} else {
			f *= float32(floats[n.Exp])
		}
		if n.Flags&Negative != 0 {
			f = -f
		}
		return f, true
	}
	f, _ := strconv.ParseFloat(peek(d.Data[n.Start:n.End]), 32)
	return float32(f), !math.IsInf(f, 0)
}

// peek lends bytes as a string for a call that does not keep it.
func peek(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
