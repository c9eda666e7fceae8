package serving

import (
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// inferTold is what a model says of a tensor; -1 in its shape is any number.
type inferTold struct {
	name   string
	kind   datatype
	shape  []int64
	params [][2]string
}

// inputsOf are the join keys.
func inputsOf(p found) (out []inferTold) {
	for _, k := range p.Keys() {
		out = append(out, inferTold{k.Name, datatypeFor(k.Type), []int64{-1}, [][2]string{{"type", k.Type.String()}}})
	}
	return out
}

// outputsOf are the features: the one tensor of all of them first, where it can hold them.
func outputsOf(s *feature.Service) (out []inferTold) {
	names, holds := make([]string, len(s.Columns)), true
	for i, c := range s.Columns {
		names[i] = c.Name
		holds = holds && numeric(typeOf(s, c)) && c.Name != matrixName
	}
	if holds {
		out = append(out, inferTold{matrixName, fp64, []int64{-1, int64(len(names))}, [][2]string{{"columns", strings.Join(names, ",")}}})
	}
	for _, c := range s.Columns {
		t := typeOf(s, c)
		told := inferTold{c.Name, datatypeFor(t), []int64{-1}, [][2]string{{"type", t.String()}}}
		if t.IsArray() {
			told.shape = append(told.shape, -1)
		}
		if t == feature.Timestamp || t == feature.Array(feature.Timestamp) {
			told.params = append(told.params, [2]string{"unit", "microseconds since 1970-01-01 UTC"})
		}
		told.params = append(told.params, [2]string{"view", s.Views[c.View].Meta.Name})
		out = append(out, told)
	}
	return out
}
