package feast

import (
	"math"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/serving"
)

// putWhole sets a join key from a whole number; a time is in seconds, as Feast has it.
func putWhole(k feature.Field, v *feature.Vector, i int, x int64) error {
	switch k.Type {
	case feature.Int64:
		v.Int64s[i] = x
	case feature.Int32:
		if x < math.MinInt32 || x > math.MaxInt32 {
			return notA(k, i, strconv.FormatInt(x, 10))
		}
		v.Int32s[i] = int32(x)
	case feature.Timestamp:
		return putSeconds(k, v, i, x)
	default:
		return notA(k, i, strconv.FormatInt(x, 10))
	}
	v.Valid[i] = true
	return nil
}

func putSeconds(k feature.Field, v *feature.Vector, i int, x int64) error {
	if x > feature.MaxTime/1_000_000 || x < feature.MinTime/1_000_000 {
		return notA(k, i, strconv.FormatInt(x, 10))
	}
	v.Valid[i], v.Int64s[i] = true, x*1_000_000
	return nil
}

// putFloat takes whole numbers: a column with gaps comes from pandas as floats.
func putFloat(k feature.Field, v *feature.Vector, i int, f float64) error {
	if math.IsNaN(f) && (k.Type == feature.Int64 || k.Type == feature.Int32) {
		return nil // a gap
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return notA(k, i, strconv.FormatFloat(f, 'g', -1, 64))
	}
	return putWhole(k, v, i, int64(f))
}

// putText reads a join key that is no text from one.
func putText(k feature.Field, v *feature.Vector, i int, s string) (err error) {
	if k.Type == feature.Timestamp { // Feast's clients write them in more ways
		var at time.Time
		at, err = parseTime(s)
		v.Int64s[i] = at.UnixMicro()
	} else {
		err = serving.ParseKey(v, k.Type, i, s)
	}
	if err != nil {
		return notA(k, i, strconv.Quote(feature.Shorten([]byte(s))))
	}
	v.Valid[i] = true
	return nil
}

// parseTime reads what Python's isoformat and pandas write; without a zone it is UTC.
func parseTime(s string) (time.Time, error) {
	var last error
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", time.DateOnly} {
		t, err := time.Parse(layout, s)
		if err == nil {
			return t, nil
		}
		last = err
	}
	return time.Time{}, last
}
