package feast

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/weir-ml/weir/registry/feature"
)

// appendAnswer writes the answer as Feast's feature server does: values as bare
// JSON, floats with a point, for the SDK infers types from them.
func (a *answer) appendAnswer(b []byte) []byte {
	b = append(b, `{"metadata":{"feature_names":[`...)
	for i, e := range a.echo {
		b = appendString(comma(b, i), e.name)
	}
	for i, name := range a.names {
		b = appendString(comma(b, len(a.echo)+i), name)
	}
	b = append(b, ']')
	if a.versions {
		b = append(b, `,"feature_view_metadata":[`...)
		for i := range a.Views {
			v := a.Views[i].View
			b = appendString(append(comma(b, i), `{"name":`...), v.Meta.Name)
			b = append(strconv.AppendInt(append(b, `,"version":`...), int64(v.Version), 10), '}')
		}
		b = append(b, ']')
	}
	b = append(b, `},"results":[`...)
	for i, e := range a.echo {
		v := &a.keys[e.key]
		b = appendColumn(comma(b, i), v, nil)
		for r := range a.Rows {
			b = append(append(append(comma(b, r), '"'), statusNames[keyStatus(v.Valid[r])]...), '"')
		}
		b = append(b, `],"event_timestamps":[`...)
		for r := range a.Rows {
			b = appendWhen(comma(b, r), 0)
		}
		b = append(b, `]}`...)
	}
	view, from, to := -1, 0, 0
	var elems feature.Vector
	for i, at := range a.order {
		c := &a.Columns[at]
		v := &a.Views[c.View]
		b = appendColumn(comma(b, len(a.echo)+i), &c.Vector, &elems)
		for r, s := range v.Status {
			b = append(append(append(comma(b, r), '"'), statusNames[status(s, c.Valid[r])]...), '"')
		}
		b = append(b, `],"event_timestamps":[`...)
		if c.View == view {
			b = append(b, b[from:to]...)
		} else {
			from = len(b)
			for r, t := range v.EventTime {
				b = appendWhen(comma(b, r), t)
			}
			view, to = c.View, len(b)
		}
		b = append(b, `]}`...)
	}
	return append(b, `]}`...)
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// appendColumn writes a result up to its statuses; elems is memory for those of arrays.
func appendColumn(b []byte, v, elems *feature.Vector) []byte {
	b = appendJSON(append(b, `{"values":[`...), v, elems)
	return append(b, `],"statuses":[`...)
}

// appendJSON writes the values of a vector, an array as a list of them.
func appendJSON(b []byte, v, elems *feature.Vector) []byte {
	for i, ok := range v.Valid {
		b = comma(b, i)
		if !ok || v.Type.IsArray() && elems.Unpack(v.Type, v.Bytes[i]) != nil { // the online store gives none such
			b = append(b, "null"...)
			continue
		}
		if v.Type.IsArray() {
			b = append(appendJSON(append(b, '['), elems, nil), ']')
			continue
		}
		switch v.Type {
		case feature.Bool:
			b = strconv.AppendBool(b, v.Bools[i])
		case feature.Int32:
			b = strconv.AppendInt(b, int64(v.Int32s[i]), 10)
		case feature.Int64:
			b = strconv.AppendInt(b, v.Int64s[i], 10)
		case feature.Float32:
			b = appendFloat(b, float64(v.Float32[i]))
		case feature.Float64:
			b = appendFloat(b, v.Float64[i])
		case feature.String:
			b = appendString(b, v.Bytes[i])
		case feature.Bytes:
			b = append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes[i]), '"')
		case feature.Timestamp:
			s, _ := seconds(v.Int64s[i])
			b = strconv.AppendInt(b, s, 10)
		}
	}
	return b
}

// appendFloat writes a number that reads as a float: 3.0, not 3.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	if x := math.Abs(f); x != 0 && (x < 1e-5 || x >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	from := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	for _, c := range b[from:] {
		if c == '.' {
			return b
		}
	}
	return append(b, ".0"...)
}

// appendWhen writes a time as protobuf's JSON has it: with no, three or six digits of a fraction.
func appendWhen(b []byte, micros int64) []byte {
	layout := `"2006-01-02T15:04:05Z"`
	switch {
	case micros%1_000_000 == 0:
	case micros%1000 == 0:
		layout = `"2006-01-02T15:04:05.000Z"`
	default:
		layout = `"2006-01-02T15:04:05.000000Z"`
	}
	return feature.Time(micros).AppendFormat(b, layout)
}

const hexDigits = "0123456789abcdef"

func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c < 0x20 || c == 0x7f:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			default:
				b = append(b, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		b = utf8.AppendRune(b, r) // what is no UTF-8 becomes U+FFFD
		i += n
	}
	return append(b, '"')
}
