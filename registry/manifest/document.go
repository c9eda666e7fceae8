package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Doc is one document of a manifest: a definition and where its fields stand.
// A definition whose document has faults is as complete as they let it be.
type Doc struct {
	Definition feature.Definition

	start  Position
	fields map[string]Position
	bad    map[string]bool // fields that could not be read
	said   map[string]bool // fields that Check found a fault in
}

// Docs are the documents of all files, in order.
type Docs []*Doc

// Definitions lists the definitions; the index of each is its document's.
func (ds Docs) Definitions() []feature.Definition {
	out := make([]feature.Definition, len(ds))
	for i, d := range ds {
		out[i] = d.Definition
	}
	return out
}

// Explain puts the faults of a plan that was made of Definitions beside those
// of Parse: at their lines, sorted, and without what only follows from another fault.
func (ds Docs) Explain(parsed []Fault, planned []registry.Fault) []Fault {
	out := append([]Fault(nil), parsed...)
	for _, f := range planned {
		if f.Index < 0 || f.Index >= len(ds) {
			out = append(out, Fault{Msg: f.Error()})
			continue
		}
		d := ds[f.Index]
		if d.said[f.Field] || f.Field == "" && len(d.bad)+len(d.said) > 0 {
			continue
		}
		out = append(out, d.Faults(f.At())...)
	}
	return Sort(out)
}

// Faults gives faults their lines; those about a field that could not be read
// in the first place are left out.
func (d *Doc) Faults(fs ...feature.Fault) []Fault {
	var out []Fault
	for _, f := range fs {
		if !d.follows(f.Field) {
			out = append(out, Fault{d.Position(f.Field), f.Field, f.Msg})
		}
	}
	return out
}

// Position is where a field stands, or the nearest field around it that is there.
func (d *Doc) Position(field string) Position {
	for f := field; f != ""; f = parent(f) {
		if p, ok := d.fields[f]; ok {
			return p
		}
	}
	return d.start
}

// follows reports whether a fault was reported for the field, one around it or one inside.
func (d *Doc) follows(field string) bool {
	if len(d.bad) == 0 {
		return false
	}
	for f := field; f != ""; f = parent(f) {
		if d.bad[f] {
			return true
		}
	}
	for f := range d.bad {
		if rest, inside := strings.CutPrefix(f, field); inside && rest != "" && (rest[0] == '.' || rest[0] == '[') {
			// A fault inside one list element says nothing about the list.
			if field != "spec" && field != "metadata" && rest[0] == '.' {
				return true
			}
		}
	}
	return false
}

// parent cuts the last step off a path: "a.b[2]" -> "a.b" -> "a" -> "".
func parent(f string) string {
	if i := strings.LastIndexAny(f, ".["); i >= 0 {
		return f[:i]
	}
	return ""
}

func (d *Doc) mark(field, file string, n *yaml.Node) {
	if _, ok := d.fields[field]; !ok {
		d.fields[field] = Position{file, n.Line, n.Column}
	}
}
