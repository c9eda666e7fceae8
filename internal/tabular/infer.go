package tabular

import (
	"encoding/json"

	"github.com/weir-ml/weir/registry/feature"
)

// guess collects what the texts of a column could be.
type guess struct {
	ints, bigs, floats, bools, times, texts bool
	any                                     bool
	elem                                    *guess // of the lists seen; nil without any
	loose                                   bool   // these may have elements that are null
}

// text looks at one value as a CSV file writes it. A number with a leading zero
// or plus is an identifier (a post code, a telephone number): it stays text.
func (g *guess) text(b []byte) {
	g.any = true
	if g.texts {
		return
	}
	if c := b[0]; c == '-' || c-'0' <= 9 {
		switch {
		case string(b) == "-0": // an integer would forget the sign
			g.texts = true
		case jsonNumber(b):
			g.number(b)
		case len(b) > 10 && g.time(b):
		default:
			g.texts = true
		}
		return
	}
	if b[0] == '[' && g.listText(b) {
		return
	}
	switch string(b) {
	case "true", "false", "True", "False", "TRUE", "FALSE":
		g.bools = true
		return
	}
	if _, ok := parseFloat(b, 64); ok && b[0] != '+' { // .5, nan, inf
		g.floats = true
		return
	}
	g.texts = true
}

// listText takes a JSON array of scalars for a list, unless an element is null.
func (g *guess) listText(b []byte) bool {
	scalars := func(e []byte) bool { return e[0] != 'n' && e[0] != '[' && e[0] != '{' }
	if !json.Valid(b) || !eachElement(b, scalars) {
		return false
	}
	g.list(b)
	return true
}

// list looks at a JSON array. Lists of lists and of objects are texts, and those with
// an element that is null.
func (g *guess) list(b []byte) {
	g.any = true
	if g.elem == nil {
		g.elem = &guess{}
	}
	eachElement(b, func(e []byte) bool {
		g.texts = g.texts || e[0] == '[' || e[0] == '{' || e[0] == 'n' && !g.loose
		if !g.texts {
			g.elem.json(e)
		}
		return !g.texts
	})
}

// number looks at a number as JSON writes it.
func (g *guess) number(b []byte) {
	g.any = true
	_, ok, big := parseInt(b)
	switch {
	case ok:
		g.ints = true
	case big:
		g.bigs = true
	default:
		if _, ok := parseFloat(b, 64); ok {
			g.floats = true
		} else { // 1e999
			g.texts = true
		}
	}
}

// time takes only a date with a time of day: dates alone are left as they are written.
func (g *guess) time(b []byte) bool {
	_, ok := ParseTime(b)
	g.times = g.times || ok
	return ok
}

// typ is the narrowest type that takes everything seen. An integer of more than
// 64 bits among integers only is an identifier and stays text.
func (g *guess) typ() feature.Type {
	numbers := g.ints || g.bigs || g.floats
	kinds := 0
	for _, k := range []bool{numbers, g.bools, g.times, g.texts, g.elem != nil} {
		if k {
			kinds++
		}
	}
	switch {
	case kinds != 1 || g.texts:
		return feature.String
	case g.elem != nil:
		return feature.Array(g.elem.typ())
	case g.bools:
		return feature.Bool
	case g.times:
		return feature.Timestamp
	case g.floats:
		return feature.Float64
	case g.bigs:
		return feature.String
	}
	return feature.Int64
}
