package jsontext

import (
	"math/big"
	"strconv"
)

// AppendDecimal writes an unscaled whole number of two's complement, big endian, as
// a number with so many digits of fraction; false where it has more than precision
// digits, or more bytes than those could need.
func AppendDecimal(dst, unscaled []byte, precision, scale int) ([]byte, bool) {
	for len(unscaled) > 1 && (unscaled[0] == 0 && unscaled[1] < 0x80 || unscaled[0] == 0xff && unscaled[1] >= 0x80) {
		unscaled = unscaled[1:]
	}
	if len(unscaled) > precision/2+2 {
		return dst, false
	}
	at := len(dst)
	negative := len(unscaled) > 0 && unscaled[0] >= 0x80
	if negative {
		dst = append(dst, '-')
		at++
	}
	if len(unscaled) <= 8 {
		var v int64
		if negative {
			v = -1
		}
		for _, b := range unscaled {
			v = v<<8 | int64(b)
		}
		u := uint64(v)
		if negative {
			u = -u
		}
		dst = strconv.AppendUint(dst, u, 10)
	} else {
		v := new(big.Int).SetBytes(unscaled)
		if negative {
			v.Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))), v)
		}
		dst = v.Append(dst, 10)
	}
	n := len(dst) - at
	if n > precision {
		return dst, false
	}
	if scale == 0 {
		return dst, true
	}
	// At least one digit stands before the point.
	for ; n <= scale; n++ {
		dst = append(dst, 0)
		copy(dst[at+1:], dst[at:])
		dst[at] = '0'
	}
	dst = append(dst, 0)
	point := len(dst) - 1 - scale
	copy(dst[point+1:], dst[point:])
	dst[point] = '.'
	return dst, true
}
