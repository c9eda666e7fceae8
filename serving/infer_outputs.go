package serving

import (
	"slices"
	"strconv"

	"github.com/weir-ml/weir/registry/feature"
)

// suits is Question.Suits: it finds the columns of the outputs.
func (r *inferRequest) suits(s *feature.Service) error {
	if err := versionIs(s, r.version); err != nil {
		return err
	}
	r.wanted = r.wanted[:0]
	if len(r.outputs) == 0 {
		return r.want(s, -1, inferOutput{name: r.matrix, number: r.number, binary: r.binary})
	}
	r.seen = sized(r.seen, len(s.Columns)+1)
	clear(r.seen)
	next := 0 // most clients ask in the service's order
	for _, o := range r.outputs {
		if o.number == 0 {
			o.number = r.number
		}
		if !o.own {
			o.binary = r.binary
		}
		if o.name == allFeatures {
			for i := range s.Columns {
				if err := r.want(s, i, inferOutput{name: s.Columns[i].Name, number: o.number, binary: o.binary}); err != nil {
					return err
				}
			}
			continue
		}
		at := -2
		for n := range s.Columns {
			if i := (next + n) % len(s.Columns); s.Columns[i].Name == o.name {
				at = i
				break
			}
		}
		if at == -2 && o.name == r.matrix {
			at = -1
		}
		if at == -2 {
			return feature.Errorf(feature.Invalid, "lookup", "output "+short([]byte(o.name)), "service %s has no such feature, and the tensor of all is called %s", s.Meta.Name, r.matrix).
				WithHint("ask for features by name, for %q, which is all of them, or for %s", allFeatures, r.matrix)
		}
		next = at + 1
		if err := r.want(s, at, o); err != nil {
			return err
		}
	}
	return nil
}

// want adds an output.
func (r *inferRequest) want(s *feature.Service, column int, o inferOutput) error {
	if len(r.outputs) > 0 {
		if r.seen[column+1] {
			return feature.Errorf(feature.Invalid, "lookup", "output "+o.name, "it is asked for twice")
		}
		r.seen[column+1] = true
	}
	w := inferWanted{column: column, kind: o.number, binary: o.binary}
	if column < 0 {
		if w.kind == 0 {
			w.kind = fp64
		}
		if i := slices.IndexFunc(s.Columns, func(c feature.ServiceColumn) bool { return !numeric(typeOf(s, c)) }); i >= 0 {
			return feature.Errorf(feature.Invalid, "lookup", "feature "+s.Columns[i].Name, "it is a %s, which one tensor of numbers cannot hold", typeOf(s, s.Columns[i])).
				WithHint(`ask for tensors by name, or for all with "outputs": [{"name": %q}]`, allFeatures)
		}
	} else if t := typeOf(s, s.Columns[column]); w.kind == 0 || !numeric(t) {
		w.kind = datatypeFor(t)
	}
	r.wanted = append(r.wanted, w)
	return nil
}

// versionIs refuses a version of a service that is not the one in force; empty is any.
func versionIs(s *feature.Service, version string) error {
	if version == "" || version == strconv.Itoa(s.Version) {
		return nil
	}
	return feature.Errorf(feature.NotFound, "lookup", "service "+s.Meta.Name, "version %s is not in force", short([]byte(version))).WithHint("version %d is; leave the version out for whichever is", s.Version)
}

func typeOf(s *feature.Service, c feature.ServiceColumn) feature.Type {
	return s.Views[c.View].Features[c.Feature].Type
}
