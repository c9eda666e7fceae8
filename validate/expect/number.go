package expect

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// number is a JSON number as Python reads it: an integer of any size, or a
// double where it has a fraction or an exponent.
type number struct {
	i *big.Int // nil for a double
	f float64
}

// maxDigits is how long an integer may be; Python's limit too.
const maxDigits = 4300

const (
	minInt   = math.MinInt64
	maxInt   = math.MaxInt64
	maxFloat = math.MaxFloat64
)

// numberOf is a truth as a number, as Python has it.
func numberOf(yes bool) number {
	if yes {
		return number{i: big.NewInt(1)}
	}
	return number{i: new(big.Int)}
}

func parseNumber(s string) (number, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(f, 0) {
			return number{}, fmt.Errorf("%q is not a number", s)
		}
		return number{f: f}, nil
	}
	if len(s) > maxDigits {
		return number{}, fmt.Errorf("an integer of %d digits is too long", len(s))
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return number{}, fmt.Errorf("%q is not a number", s)
	}
	return number{i: i}, nil
}

// cmp orders two numbers exactly.
func (n number) cmp(m number) int {
	if n.i != nil && m.i != nil {
		return n.i.Cmp(m.i)
	}
	return n.float().Cmp(m.float())
}

// float is the number without any rounding; infinities stay infinite.
func (n number) float() *big.Float {
	if n.i != nil {
		return new(big.Float).SetInt(n.i)
	}
	return new(big.Float).SetFloat64(n.f)
}

// integer is the number as an integer, when it is one.
func (n number) integer() (*big.Int, bool) {
	if n.i != nil {
		return n.i, true
	}
	if math.IsInf(n.f, 0) || n.f != math.Trunc(n.f) {
		return nil, false
	}
	i, _ := new(big.Float).SetFloat64(n.f).Int(nil)
	return i, true
}

// bounds are the limits of a between rule; a nil limit is open.
type bounds struct {
	min, max             *number
	strictMin, strictMax bool
}

// empty reports whether the limits are the wrong way round.
func (b bounds) empty() bool { return b.min != nil && b.max != nil && b.min.cmp(*b.max) > 0 }

// ints turns the limits into the inclusive range of int64 that satisfies them,
// lo > hi when none does. The limits are compared as they are, not rounded.
func (b bounds) ints(least, most int64) (lo, hi int64) {
	lo, hi = least, most
	if b.min != nil {
		n, exact, inf := rounded(*b.min, true)
		switch {
		case inf > 0:
			return 1, 0
		case inf == 0:
			if exact && b.strictMin {
				n.Add(n, big.NewInt(1))
			}
			if n.Cmp(big.NewInt(most)) > 0 {
				return 1, 0
			}
			if n.Cmp(big.NewInt(least)) > 0 {
				lo = n.Int64()
			}
		}
	}
	if b.max != nil {
		n, exact, inf := rounded(*b.max, false)
		switch {
		case inf < 0:
			return 1, 0
		case inf == 0:
			if exact && b.strictMax {
				n.Sub(n, big.NewInt(1))
			}
			if n.Cmp(big.NewInt(least)) < 0 {
				return 1, 0
			}
			if n.Cmp(big.NewInt(most)) < 0 {
				hi = n.Int64()
			}
		}
	}
	if lo > hi {
		return 1, 0
	}
	return lo, hi
}

// rounded is the smallest integer not below n (up), or the largest not above it.
func rounded(n number, up bool) (i *big.Int, exact bool, inf int) {
	if n.i != nil {
		return new(big.Int).Set(n.i), true, 0
	}
	if math.IsInf(n.f, 0) {
		return nil, false, int(math.Copysign(1, n.f))
	}
	f := math.Floor(n.f)
	if up {
		f = math.Ceil(n.f)
	}
	i, _ = new(big.Float).SetFloat64(f).Int(nil)
	return i, f == n.f, 0
}

// floats turns the limits into the inclusive range of float64 that satisfies them.
func (b bounds) floats() (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	if b.min != nil {
		f, acc := b.min.float64()
		if acc == big.Below || acc == big.Exact && b.strictMin {
			if math.IsInf(f, 1) {
				return 1, 0
			}
			f = math.Nextafter(f, math.Inf(1))
		}
		lo = f
	}
	if b.max != nil {
		f, acc := b.max.float64()
		if acc == big.Above || acc == big.Exact && b.strictMax {
			if math.IsInf(f, -1) {
				return 1, 0
			}
			f = math.Nextafter(f, math.Inf(-1))
		}
		hi = f
	}
	return lo, hi
}

// float64 is the nearest double, and on which side of the number it lies.
func (n number) float64() (float64, big.Accuracy) {
	if n.i == nil {
		return n.f, big.Exact
	}
	return new(big.Float).SetInt(n.i).Float64()
}

// float32s is floats for a column of float32. A limit inside their range is
// first rounded to one, as numpy does: an event's 0.1 is within max_value 0.1.
func (b bounds) float32s() (lo, hi float32) {
	lo, hi = float32(math.Inf(-1)), float32(math.Inf(1))
	if b.min != nil {
		f, past := b.min.float32()
		switch {
		case past > 0: // only infinity is above it, if it is not infinity itself
			if math.IsInf(b.min.f, 1) && b.strictMin {
				return 1, 0
			}
			lo = float32(math.Inf(1))
		case past < 0:
			if math.IsInf(b.min.f, -1) && !b.strictMin {
				break
			}
			lo = -math.MaxFloat32
		case b.strictMin:
			lo = math.Nextafter32(f, float32(math.Inf(1)))
		default:
			lo = f
		}
	}
	if b.max != nil {
		f, past := b.max.float32()
		switch {
		case past < 0:
			if math.IsInf(b.max.f, -1) && b.strictMax {
				return 1, 0
			}
			hi = float32(math.Inf(-1))
		case past > 0:
			if math.IsInf(b.max.f, 1) && !b.strictMax {
				break
			}
			hi = math.MaxFloat32
		case b.strictMax:
			hi = math.Nextafter32(f, float32(math.Inf(-1)))
		default:
			hi = f
		}
	}
	return lo, hi
}

// float32 is the nearest float32; past tells on which side the number is
// outside their finite range.
func (n number) float32() (f float32, past int) {
	d, _ := n.float64()
	switch {
	case d > math.MaxFloat32:
		return 0, 1
	case d < -math.MaxFloat32:
		return 0, -1
	}
	return float32(d), 0
}
