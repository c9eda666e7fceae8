package flight

import (
	"encoding/binary"
	"errors"
)

// table is a table in the bytes of a flatbuffer, which is what the head of an Arrow
// message is. Arrow's own reader believes every position and every count in it; what
// is read here may be anything at all.
type table struct {
	b      []byte
	at     int
	fields []byte // the vtable's positions, two bytes each
}

var errHead = errors.New("its head is broken")

// u32 reads a number at a position; false outside of the bytes.
func u32(b []byte, at int) (uint32, bool) {
	if at < 0 || at > len(b)-4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b[at:]), true
}

// refer follows the reference at a position, which always goes forward.
func refer(b []byte, at int) (int, bool) {
	n, ok := u32(b, at)
	if !ok || int64(at)+int64(n) > int64(len(b)-4) || n == 0 {
		return 0, false
	}
	return at + int(n), true
}

func tableAt(b []byte, at int) (t table, err error) {
	back, ok := u32(b, at)
	v := int64(at) - int64(int32(back))
	if !ok || v < 0 || v > int64(len(b)-4) {
		return t, errHead
	}
	size := int(binary.LittleEndian.Uint16(b[v:]))
	if size < 4 || size%2 != 0 || int(v)+size > len(b) {
		return t, errHead
	}
	return table{b, at, b[int(v)+4 : int(v)+size]}, nil
}

// place is where a field's value is; false where the table has none.
func (t table) place(field int) (int, bool) {
	if 2*field+2 > len(t.fields) {
		return 0, false
	}
	n := int(binary.LittleEndian.Uint16(t.fields[2*field:]))
	return t.at + n, n != 0
}

// number is a field of so many bytes, little-endian; 0 where there is none.
func (t table) number(field, bytes int) (int64, error) {
	at, ok := t.place(field)
	if !ok {
		return 0, nil
	}
	if at > len(t.b)-bytes {
		return 0, errHead
	}
	switch bytes {
	case 1:
		return int64(t.b[at]), nil
	default:
		return int64(binary.LittleEndian.Uint64(t.b[at:])), nil
	}
}

// table is a field that refers to another table; false where there is none.
func (t table) table(field int) (table, bool, error) {
	at, ok := t.place(field)
	if !ok {
		return table{}, false, nil
	}
	if at, ok = refer(t.b, at); !ok {
		return table{}, false, errHead
	}
	to, err := tableAt(t.b, at)
	return to, true, err
}

// vector is a field that refers to values of so many bytes each, one after the other: where they begin,
// and how many. A text is one of single bytes.
func (t table) vector(field, width int) (at, n int, err error) {
	at, ok := t.place(field)
	if !ok {
		return 0, 0, nil
	}
	if at, ok = refer(t.b, at); !ok {
		return 0, 0, errHead
	}
	count, _ := u32(t.b, at)
	if int64(at)+4+int64(count)*int64(width) > int64(len(t.b)) {
		return 0, 0, errHead
	}
	return at + 4, int(count), nil
}

// tables calls f with each table of a vector of them.
func (t table) tables(field int, f func(table) error) error {
	at, n, err := t.vector(field, 4)
	for i := 0; i < n && err == nil; i++ {
		to, ok := refer(t.b, at+4*i)
		if !ok {
			return errHead
		}
		var next table
		if next, err = tableAt(t.b, to); err == nil {
			err = f(next)
		}
	}
	return err
}
