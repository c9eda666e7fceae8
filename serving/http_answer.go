package serving

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// appendAnswer writes an answer as JSON, first its first row in the request where that is not 0: columns in the order that was asked for, a value
// or null a row. What JSON has no number for is a text: "NaN", "Infinity", "-Infinity".
// Whole numbers keep all their digits; a reader that makes floats of them loses those above 2^53.
func appendAnswer(dst []byte, a *Answer, statuses, times bool, first int) []byte {
	dst = strconv.AppendInt(append(dst, `{"rows":`...), int64(a.Rows), 10)
	if first > 0 {
		dst = strconv.AppendInt(append(dst, `,"first_row":`...), int64(first), 10)
	}
	dst = append(dst, `,"columns":[`...)
	var elems feature.Vector
	for i := range a.Columns {
		c := &a.Columns[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"name":`...), c.Name)
		dst = appendText(append(dst, `,"type":`...), c.Type.String())
		dst = appendText(append(dst, `,"view":`...), a.Views[c.View].View.Meta.Name)
		dst = append(appendValueList(append(dst, `,"values":[`...), &c.Vector, &elems), ']', '}')
	}
	dst = append(dst, `],"views":[`...)
	partial := false
	for i := range a.Views {
		v := &a.Views[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"view":`...), v.View.Meta.Name)
		failed := failed(v.Status)
		partial = partial || failed
		if statuses || failed {
			dst = append(dst, `,"statuses":[`...)
			for j, s := range v.Status {
				dst = append(comma(dst, j), '"')
				dst = append(append(dst, s.String()...), '"')
			}
			dst = append(dst, ']')
		}
		if times {
			dst = append(dst, `,"event_times":[`...)
			for j, x := range v.EventTime {
				dst = comma(dst, j)
				if s := v.Status[j]; s == feature.Present || s == feature.OutsideMaxAge {
					dst = appendTime(dst, x)
				} else {
					dst = append(dst, "null"...)
				}
			}
			dst = append(dst, ']')
		}
		dst = append(dst, '}')
	}
	dst = strconv.AppendInt(append(dst, `],"catalog_revision":`...), a.Revision, 10)
	dst = strconv.AppendBool(append(dst, `,"partial":`...), partial)
	return append(dst, '}', '\n')
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func appendValueList(dst []byte, v, elems *feature.Vector) []byte {
	for i := range v.Valid {
		dst = appendCell(comma(dst, i), v, i, elems)
	}
	return dst
}

// appendCell writes one value. Numbers are numbers, whole ones to the last digit;
// what JSON has no number for is text: NaN, Infinity, -Infinity. Bytes are base64.
// An array is a list of such values; elems is memory for its elements, used again.
func appendCell(dst []byte, v *feature.Vector, row int, elems *feature.Vector) []byte {
	if !v.Valid[row] {
		return append(dst, "null"...)
	}
	if v.Type.IsArray() {
		if elems.Unpack(v.Type, v.Bytes[row]) != nil {
			return append(dst, "null"...) // the online store gives none such
		}
		return append(appendValueList(append(dst, '['), elems, nil), ']')
	}
	switch v.Type {
	case feature.Bool:
		return strconv.AppendBool(dst, v.Bools[row])
	case feature.Int32:
		return strconv.AppendInt(dst, int64(v.Int32s[row]), 10)
	case feature.Int64:
		return strconv.AppendInt(dst, v.Int64s[row], 10)
	case feature.Timestamp:
		return appendTime(dst, v.Int64s[row])
	case feature.Float32:
		return appendNumber(dst, float64(v.Float32[row]), 32)
	case feature.Float64:
		return appendNumber(dst, v.Float64[row], 64)
	case feature.String:
		return appendText(dst, v.Bytes[row])
	case feature.Bytes:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes[row]), '"')
	}
	return append(dst, "null"...)
}

// appendTime writes microseconds UTC as RFC 3339; years above 9999 have more digits than that knows.
func appendTime(dst []byte, micros int64) []byte {
	return append(time.UnixMicro(micros).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// appendNumber writes the shortest number that reads back as x.
func appendNumber(dst []byte, x float64, size int) []byte {
	switch {
	case math.IsNaN(x):
		return append(dst, `"NaN"`...)
	case math.IsInf(x, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(x, -1):
		return append(dst, `"-Infinity"`...)
	}
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, x, 'e', -1, size)
	}
	return strconv.AppendFloat(dst, x, 'f', -1, size)
}
