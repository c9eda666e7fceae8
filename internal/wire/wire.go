package wire

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrShort is the fault of whatever cannot be read.
var ErrShort = errors.New("the encoding is cut short or not one of ours")

func Uint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }
func Int(b []byte, v int64) []byte   { return binary.AppendVarint(b, v) }
func Float(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// Text appends a text or nested bytes.
func Text[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func Bool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader takes an encoding apart. The first fault sticks; the values after it are zero.
type Reader struct {
	b   []byte
	err error
}

// Read begins to read; b stays the caller's.
func Read(b []byte) Reader { return Reader{b: b} }

// Fail makes all that follows zero, and Done an error: ErrShort.
func (r *Reader) Fail() { r.Refuse(ErrShort) }

// Refuse is Fail with a better reason.
func (r *Reader) Refuse(why error) {
	if r.err == nil {
		r.err = why
	}
	r.b = nil
}

func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Count reads a number that must not be negative as an int64.
func (r *Reader) Count() int64 {
	v := r.Uint()
	if v > math.MaxInt64 {
		r.Fail()
		return 0
	}
	return int64(v)
}

func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Int32 reads an Int that must fit.
func (r *Reader) Int32() int32 {
	v := r.Int()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.Fail()
		return 0
	}
	return int32(v)
}

func (r *Reader) Float() float64 {
	if len(r.b) < 8 {
		r.Fail()
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.Fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *Reader) Bool() bool { return r.Byte() == 1 }

// Fixed fills into, which has no length before it.
func (r *Reader) Fixed(into []byte) {
	if len(r.b) < len(into) {
		r.Fail()
		return
	}
	r.b = r.b[copy(into, r.b):]
}

// Bytes returns a part of the input, not a copy.
func (r *Reader) Bytes() []byte {
	n := r.Uint()
	if n > uint64(len(r.b)) {
		r.Fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *Reader) Text() string { return string(r.Bytes()) }

// Length reads how many items follow, each of at least size bytes: more than
// the rest can hold is a fault, found before anything is allocated for them.
func (r *Reader) Length(size int) int {
	n := r.Uint()
	if n > uint64(len(r.b)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Done tells whether all was read and fitted.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) > 0 {
		return ErrShort
	}
	return r.err
}
