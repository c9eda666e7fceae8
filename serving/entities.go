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

// entities turns the columns of a request into the vectors that a plan reads:
// in its order, of its types. Integers of another width are taken where they
// fit, and text where it reads as the key's type.
func entities(keys []feature.Field, cols []*weirv1.EntityColumn) ([]feature.Vector, int, error) {
	out := make([]feature.Vector, len(keys))
	rows := -1
	for i, k := range keys {
		var col *weirv1.EntityColumn
		for _, c := range cols {
			if c.Name == k.Name {
				if col != nil {
					return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "it is there twice")
				}
				col = c
			}
		}
		if col == nil {
			var names []string
			for _, k := range keys {
				names = append(names, k.Name)
			}
			return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "the join key is missing").WithHint("give %s", strings.Join(names, ", "))
		}
		n, err := fillKey(&out[i], k, col.Values)
		if err != nil {
			return nil, 0, err
		}
		if rows >= 0 && n != rows {
			return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "%d values where %s has %d", n, keys[0].Name, rows)
		}
		rows = n
	}
	for _, c := range cols {
		known := false
		for _, k := range keys {
			known = known || k.Name == c.Name
		}
		if !known {
			return nil, 0, feature.Errorf(feature.Invalid, "lookup", "entity "+c.Name, "it is no join key of what is asked for")
		}
	}
	return out, max(rows, 0), nil
}

// fillKey fills v with the values of one join key.
func fillKey(v *feature.Vector, k feature.Field, vals *weirv1.Values) (int, error) {
	bad := func(i int, got any) error {
		return feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "value %d, %v, is not a %s", i, got, k.Type)
	}
	reset := func(n int) {
		v.Reset(k.Type, n)
		for i := range v.Valid {
			v.Valid[i] = true
		}
	}
	whole := func(n int, at func(int) int64) (int, error) {
		reset(n)
		for i := range n {
			x := at(i)
			switch k.Type {
			case feature.Int64, feature.Timestamp:
				v.Int64s[i] = x
			case feature.Int32:
				if x < math.MinInt32 || x > math.MaxInt32 {
					return 0, bad(i, x)
				}
				v.Int32s[i] = int32(x)
			default:
				return 0, bad(i, x)
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
			return 0, bad(0, "a bool")
		}
		reset(len(x.Bools.Values))
		copy(v.Bools, x.Bools.Values)
		return len(x.Bools.Values), nil
	case *weirv1.Values_Bytes:
		if k.Type != feature.Bytes && k.Type != feature.String {
			return 0, bad(0, "bytes")
		}
		reset(len(x.Bytes.Values))
		copy(v.Bytes, x.Bytes.Values)
		return len(x.Bytes.Values), nil
	case *weirv1.Values_Strings:
		reset(len(x.Strings.Values))
		for i, s := range x.Strings.Values {
			if err := parseKey(v, k.Type, i, s); err != nil {
				return 0, bad(i, strconv.Quote(s))
			}
		}
		return len(x.Strings.Values), nil
	case nil:
		return 0, feature.Errorf(feature.Invalid, "lookup", "entity "+k.Name, "it has no values")
	}
	return 0, bad(0, fmt.Sprintf("%T", vals.GetKind()))
}

func parseKey(v *feature.Vector, t feature.Type, i int, s string) (err error) {
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
