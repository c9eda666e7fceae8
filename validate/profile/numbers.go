package profile

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// outward rounds to three digits, away from the other side (-1 down, 1 up).
func outward(v float64, way int) float64 {
	if v == 0 || math.IsInf(v, 0) {
		return v
	}
	scale := math.Floor(math.Log10(math.Abs(v))) - 2
	if scale < -300 || scale > 300 {
		return v
	}
	// By the text, so that 0.3 is written so and not 0.30000000000000004.
	x := v / math.Pow(10, scale)
	if way < 0 {
		x = math.Floor(x)
	} else {
		x = math.Ceil(x)
	}
	out, err := strconv.ParseFloat(fmt.Sprintf("%de%d", int64(x), int64(scale)), 64)
	if err != nil || way < 0 && out > v || way > 0 && out < v {
		return v
	}
	return out
}

// outwardInt rounds a whole number to three digits, away from the other side.
func outwardInt(v int64, way int64) int64 {
	unit := int64(1)
	for a := v; a >= 1000 || a <= -1000; a /= 10 {
		unit *= 10
	}
	q := floorDiv(v, unit)
	if way > 0 && q*unit != v {
		q++
	}
	if q > math.MaxInt64/unit || q < math.MinInt64/unit {
		return v
	}
	return q * unit
}

func floorDiv(v, d int64) int64 {
	q := v / d
	if v%d < 0 {
		q--
	}
	return q
}

// roundUp to two digits.
func roundUp(v float64) float64 {
	scale := math.Floor(math.Log10(v)) - 1
	out, err := strconv.ParseFloat(fmt.Sprintf("%de%d", int64(math.Ceil(v/math.Pow(10, scale))), int64(scale)), 64)
	if err != nil || out < v {
		return v
	}
	return out
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func stamp(micros int64) string {
	return feature.Time(micros).Format("2006-01-02T15:04:05.999999Z07:00")
}

func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

// display is a value for a comment.
func display(v any) string {
	if s, ok := v.(string); ok {
		return quote(s)
	}
	return fmt.Sprint(v)
}

func quote(s string) string { return strconv.Quote(feature.Shorten([]byte(s))) }

// encode writes JSON that is YAML as well, without HTML's escapes.
func encode(v any) (json.RawMessage, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n")), nil
}
