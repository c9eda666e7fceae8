package serving

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"github.com/weir-ml/weir/registry/feature"
)

// logVersion is of the records' schema: docs/serving-log-v1.schema.json.
const logVersion = "1"

// appendRow writes the record of one row. A row is a record of its own because
// outcomes come for entities, not for requests; and so a record stays small however
// large a batch is, and every feature has one plain path in it.
func (s *sampled) appendRow(dst []byte, row int) []byte {
	dst = append(append(dst, `{"version":`...), logVersion...)
	dst = append(dst, `,"request_id":`...)
	if s.request == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendText(dst, s.request)
	}
	dst = strconv.AppendInt(append(dst, `,"row":`...), int64(s.first+row), 10)
	dst = appendText(append(dst, `,"project":`...), s.project)
	dst = append(dst, `,"service":`...)
	if s.service == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendText(dst, s.service)
	}
	dst = strconv.AppendInt(append(dst, `,"catalog_revision":`...), s.revision, 10)
	dst = appendInstant(append(dst, `,"event_time":`...), s.at.UnixMicro())
	dst = append(dst, `,"entities":{`...)
	for i, k := range s.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, k.Name)
		dst = appendCell(append(dst, ':'), &s.keys[i], row)
	}
	dst = append(dst, `},"views":{`...)
	for v := range s.block.Views {
		dst = s.appendView(dst, v, row)
	}
	return append(dst, "}}"...)
}

func (s *sampled) appendView(dst []byte, v, row int) []byte {
	view := &s.block.Views[v]
	if v > 0 {
		dst = append(dst, ',')
	}
	dst = appendText(dst, view.View.Meta.Name)
	dst = appendText(append(dst, `:{"status":`...), view.Status[row].String())
	dst = append(dst, `,"event_time":`...)
	if at := view.EventTime[row]; at == 0 && view.Status[row] != feature.Present {
		dst = append(dst, "null"...)
	} else {
		dst = appendInstant(dst, at)
	}
	dst = append(dst, `,"features":{`...)
	first := true
	for i, c := range s.resolved.Columns {
		if c.View != v {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendText(dst, view.View.Features[c.Feature].Name)
		dst = appendCell(append(dst, ':'), &s.block.Columns[i].Vector, row)
	}
	return append(dst, "}}"...)
}

// appendCell writes one value. Numbers are numbers, whole ones to the last digit;
// what JSON has no number for is text: NaN, Infinity, -Infinity. Bytes are base64.
func appendCell(dst []byte, v *feature.Vector, row int) []byte {
	if !v.Valid[row] {
		return append(dst, "null"...)
	}
	switch v.Type {
	case feature.Bool:
		return strconv.AppendBool(dst, v.Bools[row])
	case feature.Int32:
		return strconv.AppendInt(dst, int64(v.Int32s[row]), 10)
	case feature.Int64:
		return strconv.AppendInt(dst, v.Int64s[row], 10)
	case feature.Timestamp:
		return appendInstant(dst, v.Int64s[row])
	case feature.Float32:
		return appendReal(dst, float64(v.Float32[row]), 32)
	case feature.Float64:
		return appendReal(dst, v.Float64[row], 64)
	case feature.String:
		return appendText(dst, v.Bytes[row])
	case feature.Bytes:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes[row])
		return append(dst, '"')
	}
	return append(dst, "null"...)
}

func appendReal(dst []byte, x float64, bits int) []byte {
	switch {
	case math.IsNaN(x):
		return append(dst, `"NaN"`...)
	case math.IsInf(x, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(x, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, bits)
}

func appendInstant(dst []byte, micros int64) []byte {
	dst = time.UnixMicro(micros).UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000000Z")
	return append(dst, '"')
}
