package feastredis

import (
	"fmt"
	"math"

	"github.com/weir-ml/weir/registry/feature"
)

// refused says why a value cannot become one of a type. It names kinds and types and
// never the value itself, so that many values are refused for few reasons.
type refused string

func (r refused) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

// exact are the integers that every float64 can be taken for.
const exact = 1 << 53

// convert gives a value as one of type to: bool, int32, int64 (times: microseconds),
// float32, float64, string, []byte, of lists a []any of these, or nil for null. A value is never rounded, cut or
// guessed at. notNumber tells of a NaN, which is null everywhere in Weir where files are read.
func (v value) convert(to feature.Type) (x any, notNumber bool, err error) {
	switch v.kind {
	case kindNull:
		return nil, false, nil
	case kindBool:
		if to == feature.Bool {
			return v.n != 0, false, nil
		}
	case kindInt32, kindInt64:
		x, err = integer(v.n, v.kind, to)
		return x, false, err
	case kindDouble, kindFloat:
		return v.float(to)
	case kindString:
		if to == feature.String {
			return v.s, false, nil
		}
	case kindBytes:
		if to == feature.Bytes {
			return []byte(v.s), false, nil
		}
	case kindTime:
		if to == feature.Timestamp {
			x, err = seconds(v.n)
			return x, false, err
		}
	default:
		if v.kind.isList() {
			x, err = v.convertList(to)
			return x, false, err
		}
		return nil, false, refuse("Feast has %s, and Weir takes no values of that kind", v.kind)
	}
	return nil, false, mismatch(v.kind, to)
}

func mismatch(have fmt.Stringer, to feature.Type) error {
	return refuse("Feast has %s, the view of Weir %s", have, to)
}

func integer(n int64, have fmt.Stringer, to feature.Type) (any, error) {
	switch to {
	case feature.Int32:
		if n == int64(int32(n)) {
			return int32(n), nil
		}
		return nil, refuse("%s that is no int32", have)
	case feature.Int64:
		return n, nil
	case feature.Float64:
		if n >= -exact && n <= exact {
			return float64(n), nil
		}
		return nil, refuse("%s that no float64 is equal to", have)
	case feature.Float32:
		if f := float32(n); n >= -1<<24 && n <= 1<<24 {
			return f, nil
		}
		return nil, refuse("%s that no float32 is equal to", have)
	}
	return nil, mismatch(have, to)
}

func (v value) float(to feature.Type) (any, bool, error) {
	if to != feature.Float32 && to != feature.Float64 {
		return nil, false, mismatch(v.kind, to)
	}
	switch {
	case math.IsNaN(v.f):
		return nil, true, nil
	case math.IsInf(v.f, 0):
		return nil, false, refuse("%s that is infinite, which no event can have", v.kind)
	case to == feature.Float64:
		return v.f, false, nil
	case float64(float32(v.f)) != v.f:
		return nil, false, refuse("%s that no float32 is equal to", v.kind)
	}
	return float32(v.f), false, nil
}

func seconds(n int64) (any, error) {
	const second = 1_000_000
	if n < feature.MinTime/second || n > feature.MaxTime/second {
		return nil, refuse("a time before year 1 or after year 9999")
	}
	return n * second, nil
}

// keyKind shows the type of an entity key's value as Feast calls it.
type keyKind uint32

func (k keyKind) String() string { return kind(k).String() }

// convert gives a value of an entity key as one of type to.
func (v keyValue) convert(to feature.Type) (any, error) {
	switch v.typ {
	case keyString:
		w, err := readText(v.bytes)
		if err != nil {
			return nil, err
		}
		if to == feature.String {
			return w, nil
		}
	case keyBytes:
		if to == feature.Bytes {
			return append([]byte{}, v.bytes...), nil
		}
	case keyInt32, keyInt64, keyTime:
		n, ok := v.number()
		if !ok {
			return nil, refuse("%s of %d bytes", keyKind(v.typ), len(v.bytes))
		}
		if v.typ == keyTime {
			if to == feature.Timestamp {
				return seconds(n)
			}
		} else if to == feature.Int32 || to == feature.Int64 {
			return integer(n, keyKind(v.typ), to)
		}
	}
	return nil, mismatch(keyKind(v.typ), to)
}
