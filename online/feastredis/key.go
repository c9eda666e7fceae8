package feastredis

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An entity key is, with all numbers little-endian:
//
//	version 3   u32 how many | per join key: u32 2 | u32 length | name | per value: u32 type | u32 length | bytes
//	version 2                  per join key: u32 2 |              name | per value: the same
//	version 1                  the same, but int64 values of four bytes
//
// The join keys are sorted, and the values in their order. The project's name follows.
// What ends a name in versions 1 and 2 nobody wrote down, so they are only read with
// the names at hand.

// keyTypes are the types that values of entity keys have.
const (
	keyBytes  = 1
	keyString = 2
	keyInt32  = 3
	keyInt64  = 4
	keyTime   = 8
)

// keyValue is one value of an entity key; bytes are as they are kept.
type keyValue struct {
	typ   uint32
	bytes []byte
}

// maxKeys is how many join keys an entity key may have before it surely is something else.
const maxKeys = 64

// keyPrefix is what the keys of all entities with these (sorted) join keys begin with.
func keyPrefix(version int, names []string) []byte {
	var b []byte
	if version > 2 {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(names)))
	}
	for _, n := range names {
		b = binary.LittleEndian.AppendUint32(b, keyString)
		if version > 2 {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(n)))
		}
		b = append(b, n...)
	}
	return b
}

// appendKey makes an entity key; the names are sorted.
func appendKey(version int, names []string, values []keyValue) []byte {
	b := keyPrefix(version, names)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v.typ)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v.bytes)))
		b = append(b, v.bytes...)
	}
	return b
}

// u32 takes a number off b.
func u32(b []byte) (uint32, []byte, bool) {
	if len(b) < 4 {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint32(b), b[4:], true
}

// sized takes a length and as many bytes off b.
func sized(b []byte) (taken, rest []byte, ok bool) {
	n, b, ok := u32(b)
	if !ok || uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// keyValues takes n values off b; the rest is the project's name.
func keyValues(b []byte, n int) (values []keyValue, rest []byte, ok bool) {
	for range n {
		var v keyValue
		if v.typ, b, ok = u32(b); !ok || v.typ == 0 || v.typ > keyTime {
			return nil, nil, false
		}
		if v.bytes, b, ok = sized(b); !ok {
			return nil, nil, false
		}
		values = append(values, v)
	}
	return values, b, true
}

// entityOf reads a key whose join keys are known by name: of versions 1 to 3.
func entityOf(key []byte, prefixes [][]byte, n int) (values []keyValue, project []byte, ok bool) {
	for _, p := range prefixes {
		if after, found := bytes.CutPrefix(key, p); found {
			if values, project, ok = keyValues(after, n); ok {
				return values, project, true
			}
		}
	}
	return nil, nil, false
}

// entityNames reads a key of version 3 without knowing its names.
func entityNames(key []byte) (names []string, values []keyValue, project []byte, ok bool) {
	n, b, ok := u32(key)
	if !ok || n == 0 || n > maxKeys {
		return nil, nil, nil, false
	}
	for range n {
		var typ uint32
		if typ, b, ok = u32(b); !ok || typ != keyString {
			return nil, nil, nil, false
		}
		var name []byte
		if name, b, ok = sized(b); !ok || len(name) == 0 || !utf8.Valid(name) {
			return nil, nil, nil, false
		}
		names = append(names, string(name))
	}
	if !slices.IsSorted(names) {
		return nil, nil, nil, false
	}
	values, project, ok = keyValues(b, int(n))
	return names, values, project, ok
}

// olderName guesses the first join key of a key of version 1 or 2.
func olderName(key []byte) (string, bool) {
	typ, b, ok := u32(key)
	if !ok || typ != keyString {
		return "", false
	}
	end := bytes.IndexFunc(b, func(r rune) bool { return r < ' ' })
	if end <= 0 || !utf8.Valid(b[:end]) {
		return "", false
	}
	// What follows is a type, and that of a value or of the next name.
	if typ, _, ok := u32(b[end:]); !ok || typ == 0 || typ > keyTime {
		return "", false
	}
	return string(b[:end]), true
}

// number is the value of an integer or a time.
func (v keyValue) number() (int64, bool) {
	switch {
	case len(v.bytes) == 8 && (v.typ == keyInt64 || v.typ == keyTime):
		return int64(binary.LittleEndian.Uint64(v.bytes)), true
	case len(v.bytes) == 4 && (v.typ == keyInt32 || v.typ == keyInt64):
		return int64(int32(binary.LittleEndian.Uint32(v.bytes))), true
	}
	return 0, false
}

// String shows the value to people.
func (v keyValue) String() string {
	if n, ok := v.number(); ok {
		return strconv.FormatInt(n, 10)
	}
	if v.typ == keyString && utf8.Valid(v.bytes) {
		if s := string(v.bytes); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == ',' || r == '=' || r == '"' }) {
			return strconv.Quote(s)
		}
		return string(v.bytes)
	}
	return "0x" + hex.EncodeToString(v.bytes)
}

// showEntity is an entity as people write it: "driver_id=1001,region=eu".
func showEntity(names []string, values []keyValue) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = fmt.Sprintf("%s=%s", n, values[i])
	}
	return strings.Join(parts, ",")
}

func readText(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", refuse("a string that is not UTF-8")
	}
	return string(b), nil
}
