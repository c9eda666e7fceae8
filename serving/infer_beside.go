package serving

import (
	"encoding/binary"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// Tensors beside those of the features; no feature can be called as they are.

// validities writes for each tensor of features which of its rows have a value: of the one tensor, which of its elements.
func (w *inferAnswer) validities(r *inferRequest, b *feature.Block) {
	for _, t := range r.wanted {
		if t.column >= 0 {
			v := &b.Columns[t.column]
			w.flags("valid:"+v.Name, t.binary, b.Rows, -1, func(i int) bool { return v.Valid[i] })
			continue
		}
		m := len(b.Columns)
		w.flags("valid:"+r.matrix, t.binary, b.Rows, m, func(i int) bool { return b.Columns[i%m].Valid[i/m] })
	}
}

// flags writes a tensor of booleans.
func (w *inferAnswer) flags(name string, raw bool, n, m int, at func(int) bool) {
	w.head(name, dtBool, n, m)
	all, from := n*max(m, 1), len(w.raw)
	if m == 0 {
		all = 0
	}
	if raw {
		for i := range all {
			w.raw = feature.AppendElementBool(w.raw, at(i))
		}
		w.end("", 0, from)
		return
	}
	w.json = append(w.json, `,"data":[`...)
	for i := range all {
		w.json = strconv.AppendBool(comma(w.json, i), at(i))
	}
	w.json = append(w.json, ']', '}')
}

// statuses writes a tensor of each view's statuses.
func (w *inferAnswer) statuses(b *feature.Block) {
	for i := range b.Views {
		v := &b.Views[i]
		w.head("status:"+v.View.Meta.Name, dtBytes, len(v.Status), -1)
		if w.grpc {
			from := len(w.raw)
			for _, s := range v.Status {
				text := s.String()
				w.raw = append(binary.LittleEndian.AppendUint32(w.raw, uint32(len(text))), text...)
			}
			w.end("str", 0, from)
			continue
		}
		w.tail("str", 0, -1)
		w.json = append(w.json, `,"data":[`...)
		for j, s := range v.Status {
			w.json = append(append(append(comma(w.json, j), '"'), s.String()...), '"')
		}
		w.json = append(w.json, ']', '}')
	}
}

// noTime is gRPC's for a row that has no event time: the least int64, numpy's NaT.
const noTime = 1 << 63

// times writes a tensor of each view's event times, in microseconds since 1970.
func (w *inferAnswer) times(b *feature.Block) {
	for i := range b.Views {
		v := &b.Views[i]
		w.head("event_time:"+v.View.Meta.Name, int64s, len(v.EventTime), -1)
		from := len(w.raw)
		if !w.grpc {
			w.json = append(w.json, `,"data":[`...)
		}
		for j, x := range v.EventTime {
			s := v.Status[j]
			known := s == feature.Present || s == feature.OutsideMaxAge
			switch {
			case w.grpc && known:
				w.raw = binary.LittleEndian.AppendUint64(w.raw, uint64(x))
			case w.grpc:
				w.raw = binary.LittleEndian.AppendUint64(w.raw, noTime)
			case known:
				w.json = strconv.AppendInt(comma(w.json, j), x, 10)
			default:
				w.json = append(comma(w.json, j), "null"...)
			}
		}
		if w.grpc {
			w.end("", 0, from)
			continue
		}
		w.json = append(w.json, ']', '}')
	}
}
