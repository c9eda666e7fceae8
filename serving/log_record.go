package serving

import (
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
		dst = appendCell(append(dst, ':'), &s.keys[i], row, &s.elems)
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
		dst = appendCell(append(dst, ':'), &s.block.Columns[i].Vector, row, &s.elems)
	}
	return append(dst, "}}"...)
}

func appendInstant(dst []byte, micros int64) []byte {
	dst = time.UnixMicro(micros).UTC().AppendFormat(append(dst, '"'), "2006-01-02T15:04:05.000000Z")
	return append(dst, '"')
}
