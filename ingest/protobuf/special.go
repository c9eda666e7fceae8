package protobuf

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-ml/weir/internal/jsontext"
)

// special writes a message that has a JSON of its own.
func (s *state) special(p *plan, found [][]span) *jsontext.Fault {
	at := func(number int) (*field, []span) {
		i := p.byNumber[protowire.Number(number)]
		return &p.fields[i], found[i]
	}
	switch p.special {
	case timestamp:
		var seconds, nanos int64
		if _, v := at(1); len(v) > 0 {
			seconds = int64(v[len(v)-1].bits)
		}
		if _, v := at(2); len(v) > 0 {
			nanos = int64(int32(v[len(v)-1].bits))
		}
		digits := 9
		switch {
		case nanos == 0:
			digits = 0
		case nanos%1_000_000 == 0:
			digits = 3
		case nanos%1_000 == 0:
			digits = 6
		}
		ok := nanos >= 0 && nanos < 1_000_000_000
		if ok {
			s.out, ok = jsontext.AppendTime(s.out, seconds, int(nanos), digits, false)
		}
		if !ok {
			return &jsontext.Fault{Msg: strconv.FormatInt(seconds, 10) + " s and " + strconv.FormatInt(nanos, 10) + " ns are no time between the years 1 and 9999"}
		}
		return nil
	case wrapper, structure, listValue:
		x, v := at(1)
		if len(v) == 0 {
			s.out = append(s.out, x.zero...)
			return nil
		}
		return s.field(x, v)
	}
	for i := range p.fields { // a Value is one of a null, number, text, bool, object, list
		if len(found[i]) == 0 {
			continue
		}
		if p.fields[i].name == "null_value" {
			s.out = append(s.out, "null"...)
			return nil
		}
		return s.field(&p.fields[i], found[i])
	}
	return &jsontext.Fault{Msg: "a google.protobuf.Value has to say what it is, be it null; this one is empty"}
}
