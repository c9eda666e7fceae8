package serving

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// sameKeys says what is wrong with the names of the columns of a request: each join
// key stands there once, and nothing else does.
func sameKeys(keys []feature.Field, columns int, name func(int) string) error {
	for _, k := range keys {
		n := 0
		for i := range columns {
			if name(i) == k.Name {
				n++
			}
		}
		if n > 1 {
			return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "it is there twice")
		}
		if n == 0 {
			var names []string
			for _, k := range keys {
				names = append(names, k.Name)
			}
			return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "the join key is missing").WithHint("give %s", strings.Join(names, ", "))
		}
	}
	for i := range columns {
		known := false
		for _, k := range keys {
			known = known || k.Name == name(i)
		}
		if !known {
			return feature.Errorf(feature.Invalid, "lookup", "entity "+strings.Clone(name(i)), "it is no join key of what is asked for")
		}
	}
	return nil
}

func noValues(k feature.Field) error {
	return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "it has no values")
}

func unequal(keys []feature.Field, i, n, rows int) error {
	return feature.Errorf(feature.Invalid, "lookup", "entity "+keys[i].Name, "%d values where %s has %d", n, keys[0].Name, rows)
}

// notOf says that a value is not of the key's type.
func notOf(k feature.Field, i int, got any) error {
	if s, ok := got.(string); ok {
		return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "value %d, %q, is not a %s", i, s, k.Type)
	}
	return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "value %d, %v, is not a %s", i, got, k.Type)
}

// putWhole puts a whole number where it fits.
func putWhole(v *feature.Vector, i int, x int64) bool {
	switch v.Type {
	case feature.Int64, feature.Timestamp:
		v.Int64s[i] = x
	case feature.Int32:
		v.Int32s[i] = int32(x)
		return x >= math.MinInt32 && x <= math.MaxInt32
	default:
		return false
	}
	return true
}

// entities turns the columns of a request into the vectors that a plan reads:
// in its order, of its types. Integers of another width are taken where they
// fit, and text where it reads as the key's type.
func entities(keys []feature.Field, cols []*weirv1.EntityColumn) ([]feature.Vector, int, error) {
	if err := sameKeys(keys, len(cols), func(i int) string { return cols[i].Name }); err != nil {
		return nil, 0, err
	}
	out := make([]feature.Vector, len(keys))
	rows := 0
	for i, k := range keys {
		var col *weirv1.EntityColumn
		for _, c := range cols {
			if c.Name == k.Name {
				col = c
			}
		}
		n, err := fillKey(&out[i], k, col.Values)
		if err != nil {
			return nil, 0, err
		}
		if i == 0 {
			rows = n
		}
		if n != rows {
			return nil, 0, unequal(keys, i, n, rows)
		}
	}
	return out, rows, nil
}

// fillKey fills v with the values of one join key.
func fillKey(v *feature.Vector, k feature.Field, vals *weirv1.Values) (int, error) {
	reset := func(n int) {
		v.Reset(k.Type, n)
		for i := range v.Valid {
			v.Valid[i] = true
		}
	}
	whole := func(n int, at func(int) int64) (int, error) {
		reset(n)
		for i := range n {
			if x := at(i); !putWhole(v, i, x) {
				return 0, notOf(k, i, x)
			}
		}
		return n, nil
	}
	switch x := vals.GetKind().(type) {
	case *weirv1.Values_Int64S:
		return whole(len(x.Int64S.Values), func(i int) int64 { return x.Int64S.Values[i] })
	case *weirv1.Values_Int32S:
		return whole(len(x.Int32S.Values), func(i int) int64 { return int64(x.Int32S.Values[i]) })
	case *weirv1.Values_Timestamps:
		return whole(len(x.Timestamps.Micros), func(i int) int64 { return x.Timestamps.Micros[i] })
	case *weirv1.Values_Bools:
		if k.Type != feature.Bool {
			return 0, notOf(k, 0, "a bool")
		}
		reset(len(x.Bools.Values))
		copy(v.Bools, x.Bools.Values)
		return len(x.Bools.Values), nil
	case *weirv1.Values_Bytes:
		if k.Type != feature.Bytes && k.Type != feature.String {
			return 0, notOf(k, 0, "bytes")
		}
		reset(len(x.Bytes.Values))
		copy(v.Bytes, x.Bytes.Values)
		return len(x.Bytes.Values), nil
	case *weirv1.Values_Strings:
		reset(len(x.Strings.Values))
		for i, s := range x.Strings.Values {
			if err := ParseKey(v, k.Type, i, s); err != nil {
				return 0, notOf(k, i, s)
			}
		}
		return len(x.Strings.Values), nil
	case *weirv1.Values_Arrays:
		return 0, notOf(k, 0, "an array")
	case nil:
		return 0, noValues(k)
	}
	return 0, notOf(k, 0, fmt.Sprintf("%T", vals.GetKind()))
}

// ParseKey puts a join key that came as text into row i: base64 for bytes, RFC 3339 for timestamps.
func ParseKey(v *feature.Vector, t feature.Type, i int, s string) (err error) {
	switch t {
	case feature.String:
		v.Bytes[i] = []byte(s)
	case feature.Bytes:
		v.Bytes[i], err = base64.StdEncoding.DecodeString(s)
	case feature.Bool:
		v.Bools[i], err = strconv.ParseBool(s)
	case feature.Int64:
		v.Int64s[i], err = strconv.ParseInt(s, 10, 64)
	case feature.Int32:
		var n int64
		n, err = strconv.ParseInt(s, 10, 32)
		v.Int32s[i] = int32(n)
	case feature.Timestamp:
		var at time.Time
		at, err = time.Parse(time.RFC3339Nano, s)
		v.Int64s[i] = at.UnixMicro()
	default:
		err = strconv.ErrSyntax
	}
	return err
}
