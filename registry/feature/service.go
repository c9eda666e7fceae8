package feature

import (
	"fmt"
	"strings"
)

// Service is an ordered, versioned list of features for one model.
type Service struct {
	Meta     Meta     `json:"metadata"`
	Features []string `json:"features"` // "view:feature" or "view:*"

	// Set when the catalog resolves the service.
	Columns []ServiceColumn `json:"-"`
	Views   []*View         `json:"-"` // each once, in order of first use
	Version int             `json:"-"`
}

// ServiceColumn is one feature of a resolved service.
type ServiceColumn struct {
	View    int    // index into Service.Views
	Feature int    // index into View.Features
	Name    string // the feature's name; "view__feature" where two views have the same
}

func (s *Service) Kind() Kind     { return KindService }
func (s *Service) GetMeta() *Meta { return &s.Meta }

func (s *Service) Refs() []Ref {
	var r []Ref
	seen := map[string]bool{}
	for _, ref := range s.Features {
		if v, _, ok := strings.Cut(ref, ":"); ok && !seen[v] {
			seen[v] = true
			r = append(r, Ref{KindView, s.Meta.Project, v})
		}
	}
	return r
}

func (s *Service) Check() []Fault {
	f := s.Meta.check()
	if len(s.Features) == 0 {
		f = append(f, Fault{"spec.features", "at least one feature is required, like customer_profile:tenure or customer_profile:*"})
	}
	seen := map[string]bool{}
	for i, ref := range s.Features {
		at := fmt.Sprintf("spec.features[%d]", i)
		v, x, ok := strings.Cut(ref, ":")
		if !ok || v == "" || x == "" {
			f = append(f, Fault{at, fmt.Sprintf("%q is not view:feature or view:*", ref)})
		}
		if seen[ref] {
			f = append(f, Fault{at, fmt.Sprintf("%q is there twice", ref)})
		}
		seen[ref] = true
	}
	return f
}

// Resolve fills Columns and Views; view returns a resolved view of the service's project, nil when there is none.
func (s *Service) Resolve(view func(name string) *View) []Fault {
	s.Columns, s.Views = nil, nil
	var f []Fault
	index, taken := map[string]int{}, map[string]int{}
	for i, ref := range s.Features {
		at := fmt.Sprintf("spec.features[%d]", i)
		vn, fn, _ := strings.Cut(ref, ":")
		v := view(vn)
		if v == nil {
			f = append(f, Fault{at, fmt.Sprintf("there is no FeatureView %q", vn)})
			continue
		}
		vi, ok := index[vn]
		if !ok {
			vi = len(s.Views)
			index[vn] = vi
			s.Views = append(s.Views, v)
		}
		for fi, x := range v.Features {
			if fn == "*" || fn == x.Name {
				taken[x.Name]++
				s.Columns = append(s.Columns, ServiceColumn{View: vi, Feature: fi, Name: x.Name})
			}
		}
		if fn != "*" && v.Feature(fn) < 0 {
			f = append(f, Fault{at, fmt.Sprintf("FeatureView %q has no feature %q", vn, fn)})
		}
	}
	for i := range s.Columns {
		if c := &s.Columns[i]; taken[c.Name] > 1 {
			c.Name = s.Views[c.View].Meta.Name + "__" + c.Name
		}
	}
	names := map[string]bool{}
	for _, c := range s.Columns {
		if names[c.Name] {
			f = append(f, Fault{"spec.features", fmt.Sprintf("feature %q is listed twice", c.Name)})
		}
		names[c.Name] = true
	}
	return f
}
