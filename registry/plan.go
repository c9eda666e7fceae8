package registry

import (
	"fmt"

	"github.com/weir-ml/weir/registry/feature"
)

// Request is what somebody wants the catalog to become: these definitions in
// force, those gone, all others as they are.
type Request struct {
	Definitions []feature.Definition
	Delete      []feature.Ref
	Project     string // of definitions and refs that name none; DefaultProject when empty
	// AllowBreaking lets changes through that break readers (see Change.Breaking).
	AllowBreaking bool
	// Base is the revision that somebody planned on and looked at: on any other
	// the request is a feature.Conflict, not planned again. 0 takes the newest.
	Base int64
}

// Action is what a plan does with one definition.
type Action string

const (
	Create    Action = "create"
	Update    Action = "update"
	Unchanged Action = "unchanged"
	Delete    Action = "delete"
)

// Change is what a plan does with one definition.
type Change struct {
	Action  Action       `json:"action"`
	Kind    feature.Kind `json:"kind"`
	Project string       `json:"project"`
	Name    string       `json:"name"`
	Version int          `json:"version"` // after the change; the last one for a deletion
	Diffs   []Diff       `json:"diffs,omitempty"`
	// Breaking says who or what stops working, a sentence each.
	Breaking []string `json:"breaking,omitempty"`
	// Notes say what is worth knowing and in the way of nothing: a feature that keeps
	// its values under another name, or gets a wider type.
	Notes []string `json:"notes,omitempty"`

	Definition feature.Definition `json:"-"` // as it will be; nil for a deletion
}

// Ref names the definition.
func (c Change) Ref() feature.Ref {
	return feature.Ref{Kind: c.Kind, Project: c.Project, Name: c.Name}
}

// Fault is one reason why a request cannot be applied.
type Fault struct {
	// Index is the definition's place in Request.Definitions; -1 for a definition
	// that is already in the catalog or is to be deleted.
	Index   int          `json:"index"`
	Kind    feature.Kind `json:"kind"`
	Project string       `json:"project"`
	Name    string       `json:"name"`
	Field   string       `json:"field,omitempty"` // "spec.features[2].type"
	Msg     string       `json:"msg"`
}

// Ref names the definition that has the fault.
func (f Fault) Ref() feature.Ref { return feature.Ref{Kind: f.Kind, Project: f.Project, Name: f.Name} }

// At is the fault without the definition, as a manifest maps it to a line.
func (f Fault) At() feature.Fault { return feature.Fault{Field: f.Field, Msg: f.Msg} }

func (f Fault) Error() string {
	if f.Field == "" {
		return fmt.Sprintf("%s: %s", f.Ref(), f.Msg)
	}
	return fmt.Sprintf("%s: %s: %s", f.Ref(), f.Field, f.Msg)
}

// Plan is what a request would do, or did.
type Plan struct {
	Base     int64    `json:"base"`               // the revision it was made for
	Revision int64    `json:"revision,omitempty"` // the revision it became; 0 before Apply
	Changes  []Change `json:"changes"`            // by kind, project and name
	Faults   []Fault  `json:"faults,omitempty"`

	next *Catalog
}

// Next is the catalog as it would be; nil where the request has faults.
func (p *Plan) Next() *Catalog {
	if len(p.Faults) > 0 {
		return nil
	}
	return p.next
}

// Empty reports whether applying the plan would change nothing.
func (p *Plan) Empty() bool {
	for _, c := range p.Changes {
		if c.Action != Unchanged {
			return false
		}
	}
	return true
}

// Breaking lists everything that breaks, each with the definition's name.
func (p *Plan) Breaking() []string {
	var out []string
	for _, c := range p.Changes {
		for _, b := range c.Breaking {
			out = append(out, c.Ref().String()+": "+b)
		}
	}
	return out
}

// Count is how many changes are of an action.
func (p *Plan) Count(a Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}
