package compat

import (
	"fmt"
	"slices"

	"github.com/weir-ml/weir/internal/avroschema"
)

// most is how many faults are told.
const most = 10

// Avro says why events that were written by w cannot be read as r, by the
// specification's schema resolution; nothing where all of them can.
func Avro(w, r *avroschema.Schema) []string {
	x := avro{seen: map[[2]*avroschema.Schema]bool{}}
	x.pair(w, r, "")
	return x.faults
}

type avro struct {
	seen   map[[2]*avroschema.Schema]bool
	faults []string
}

func (x *avro) fault(at, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if at != "" {
		s = at + ": " + s
	}
	if len(x.faults) < most && !slices.Contains(x.faults, s) {
		x.faults = append(x.faults, s)
	}
}

func under(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

func (x *avro) pair(w, r *avroschema.Schema, at string) {
	if k := [2]*avroschema.Schema{w, r}; x.seen[k] {
		return
	} else {
		x.seen[k] = true
	}
	if w.Kind == avroschema.Union {
		for _, b := range w.Branches {
			x.pair(b, r, at)
		}
		return
	}
	if r.Kind == avroschema.Union {
		b := avroschema.Pick(w, r)
		if b == nil {
			x.fault(at, "what was written as %s has no place in %s", w, r)
			return
		}
		x.pair(w, b, at)
		return
	}
	switch {
	case w.Kind != r.Kind && !avroschema.Promotes(w.Kind, r.Kind),
		w.Logical != "" && r.Logical != "" && (w.Logical != r.Logical || w.Scale != r.Scale || w.Precision > r.Precision):
		x.fault(at, "what was written as %s cannot be read as %s", w, r)
		return
	case w.Kind.Named() && !r.Known(w):
		x.fault(at, "%s is called %s now: give it the old name as an alias", w, r.Name)
		return
	}
	switch r.Kind {
	case avroschema.Fixed:
		if w.Size != r.Size {
			x.fault(at, "%s has %d bytes, it had %d", r, r.Size, w.Size)
		}
	case avroschema.Enum:
		for _, s := range w.Symbols {
			if !r.HasDefault && !slices.Contains(r.Symbols, s) {
				x.fault(at, "%s has no symbol %s and no default", r, s)
			}
		}
	case avroschema.Array:
		x.pair(w.Items, r.Items, at+"[]")
	case avroschema.Map:
		x.pair(w.Items, r.Items, at+"{}")
	case avroschema.Record:
		for i, from := range avroschema.Writer(r, w) {
			f := &r.Fields[i]
			switch {
			case from >= 0:
				x.pair(w.Fields[from].Type, f.Type, under(at, f.Name))
			case f.Default == nil:
				x.fault(at, "%s has the field %s, which was not written and has no default", r, f.Name)
			}
		}
	}
}
