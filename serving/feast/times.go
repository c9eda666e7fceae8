package feast

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// timeValue writes a time of a frame as the source's events have it. A text is ISO 8601,
// in UTC where it names no zone; a number is what the source's format says.
func timeValue(raw json.RawMessage, format string) (json.RawMessage, error) {
	if isNull(raw) {
		return nil, errors.New("there is no time")
	}
	if raw[0] != '"' {
		if format == "" || format == "rfc3339" || format == "naive" {
			return nil, fmt.Errorf("%s is no time: write it as 2026-01-31T12:00:00", raw)
		}
		return raw, nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	t, err := parseTime(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no time: write it as 2026-01-31T12:00:00", feature.Shorten([]byte(s)))
	}
	return timeText(t, format), nil
}

// timeText writes a time in one of the formats of sources.
func timeText(t time.Time, format string) json.RawMessage {
	t = t.UTC()
	micros := t.UnixMicro()
	switch format {
	case "naive":
		return json.RawMessage(t.Format(`"2006-01-02T15:04:05.999999"`))
	case "unix_s":
		return fraction(micros, 6)
	case "unix_ms":
		return fraction(micros, 3)
	case "unix_us":
		return strconv.AppendInt(nil, micros, 10)
	case "unix_ns":
		return append(strconv.AppendInt(nil, micros, 10), "000"...)
	}
	return json.RawMessage(t.Format(`"2006-01-02T15:04:05.999999Z"`))
}

// fraction writes micros in a unit of so many powers of ten, exactly.
func fraction(micros int64, digits int) json.RawMessage {
	unit := int64(1)
	for range digits {
		unit *= 10
	}
	if micros%unit == 0 {
		return strconv.AppendInt(nil, micros/unit, 10)
	}
	return json.RawMessage(big.NewRat(micros, unit).FloatString(digits))
}

// featureValue writes a value as a feature of that type is read. Times differ: Feast's are
// whole seconds, Weir's microseconds; and whole numbers may come as floats. So may be an array's
// elements. The rest is judged where every event is.
func featureValue(raw json.RawMessage, t feature.Type) (json.RawMessage, error) {
	if t.IsArray() {
		return listValue(raw, t.Elem())
	}
	if t == feature.Int64 || t == feature.Int32 {
		return wholeValue(raw), nil
	}
	if t != feature.Timestamp || isNull(raw) {
		return raw, nil
	}
	if raw[0] == '"' {
		return timeValue(raw, "rfc3339")
	}
	// No time is as large as this, and as an event of its own it would have as many digits as its exponent says.
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(f) > 1e30 {
		return raw, nil
	}
	if f == 0 {
		return json.RawMessage("0"), nil
	}
	x, ok := new(big.Rat).SetString(string(raw))
	if !ok {
		return raw, nil
	}
	x.Mul(x, big.NewRat(1_000_000, 1))
	return json.RawMessage(new(big.Int).Div(x.Num(), x.Denom()).String()), nil
}

// wholeValue writes 7.0 as 7: records of one entity have one key. What a float does not hold
// exactly, or is no whole number, stays as it is.
func wholeValue(raw json.RawMessage) json.RawMessage {
	if isNull(raw) || raw[0] == '"' || !bytes.ContainsAny(raw, ".eE") {
		return raw
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return raw
	}
	return strconv.AppendInt(nil, int64(f), 10)
}

// listValue writes the elements of a list each as a feature of its own.
func listValue(raw json.RawMessage, elem feature.Type) (json.RawMessage, error) {
	if isNull(raw) || raw[0] != '[' || elem != feature.Int32 && elem != feature.Int64 && elem != feature.Timestamp {
		return raw, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	out := append(make(json.RawMessage, 0, len(raw)+8*len(list)), '[')
	for i, x := range list {
		v, err := featureValue(x, elem)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out = append(comma(out, i), v...)
	}
	return append(out, ']'), nil
}
