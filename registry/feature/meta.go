package feature

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Kind names a kind of definition, as in a manifest.
type Kind string

const (
	KindEntity  Kind = "Entity"
	KindSource  Kind = "Source"
	KindView    Kind = "FeatureView"
	KindService Kind = "FeatureService"
	KindSuite   Kind = "ExpectationSuite"
	KindMonitor Kind = "Monitor"
)

// Kinds lists all kinds in the order in which they may refer to each other: a
// definition refers only to kinds before its own.
var Kinds = []Kind{KindEntity, KindSuite, KindSource, KindView, KindService, KindMonitor}

// ParseKind accepts the manifest's name and the short, lower-case and plural
// forms people type: entity, source, view, service, suite, monitor.
func ParseKind(s string) (Kind, error) {
	switch strings.ToLower(strings.TrimSuffix(s, "s")) {
	case "entity", "entitie":
		return KindEntity, nil
	case "source":
		return KindSource, nil
	case "featureview", "view":
		return KindView, nil
	case "featureservice", "service":
		return KindService, nil
	case "expectationsuite", "suite":
		return KindSuite, nil
	case "monitor":
		return KindMonitor, nil
	}
	return "", fmt.Errorf("unknown kind %q: use one of entity, source, view, service, suite, monitor", s)
}

// Meta is what every definition has.
type Meta struct {
	Project     string            `json:"project,omitempty"` // "default" when empty
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Owner       string            `json:"owner,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// Ref names a definition.
type Ref struct {
	Kind    Kind
	Project string
	Name    string
}

func (r Ref) String() string { return string(r.Kind) + " " + r.Project + "/" + r.Name }

// Definition is one of *Entity, *Source, *View, *Service, *Suite, *Monitor.
type Definition interface {
	Kind() Kind
	GetMeta() *Meta
	// Check returns every fault that the definition shows on its own, without
	// the others it refers to; each names its field ("spec.features[2].type").
	Check() []Fault
	// Refs lists the definitions it needs, in the same project.
	Refs() []Ref
}

// Fault is one thing wrong with a definition.
type Fault struct {
	Field string // path in the manifest: "spec.features[2].type"
	Msg   string // what is wrong and what to do
}

func (f Fault) Error() string { return f.Field + ": " + f.Msg }

var nameRE = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// CheckName enforces the one rule for names: they become topics, tables, columns and Redis keys.
func CheckName(field, s string) []Fault {
	if nameRE.MatchString(s) {
		return nil
	}
	if s == "" {
		return []Fault{{field, "a name is required"}}
	}
	return []Fault{{field, fmt.Sprintf("%q is not a name: start with a lower-case letter, then lower-case letters, digits and _ (63 at most)", s)}}
}

func (m *Meta) check() []Fault {
	f := CheckName("metadata.name", m.Name)
	if m.Project != "" {
		f = append(f, CheckName("metadata.project", m.Project)...)
	}
	return f
}

// JoinFaults makes one error of many faults, nil of none.
func JoinFaults(fs []Fault) error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errors.Join(errs...)
}
