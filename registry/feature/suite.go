package feature

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Severity decides what a failed expectation does: critical holds the row back,
// warning counts and alerts, info counts.
type Severity string

const (
	Critical Severity = "critical" // the default
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Expectation is one entry of a Great Expectations suite, as it is written there.
type Expectation struct {
	Type     string                     `json:"type"`
	Kwargs   map[string]json.RawMessage `json:"kwargs"`
	Meta     json.RawMessage            `json:"meta,omitempty"`
	Notes    json.RawMessage            `json:"notes,omitempty"`
	Severity Severity                   `json:"severity,omitempty"`
	ID       string                     `json:"id,omitempty"`
}

// Level is the severity with its default.
func (e *Expectation) Level() Severity {
	if e.Severity == "" {
		return Critical
	}
	return e.Severity
}

// Suite is an expectation suite.
type Suite struct {
	Meta         Meta          `json:"metadata"`
	Expectations []Expectation `json:"expectations"`
	Version      int           `json:"-"`
}

func (s *Suite) Kind() Kind     { return KindSuite }
func (s *Suite) GetMeta() *Meta { return &s.Meta }
func (s *Suite) Refs() []Ref    { return nil }

func (s *Suite) Check() []Fault {
	f := s.Meta.check()
	if len(s.Expectations) == 0 {
		f = append(f, Fault{"spec.expectations", "at least one expectation is required"})
	}
	for i, e := range s.Expectations {
		at := fmt.Sprintf("spec.expectations[%d]", i)
		if e.Type == "" {
			f = append(f, Fault{at + ".type", "the expectation's type is required, like expect_column_values_to_not_be_null"})
		}
		if !slices.Contains([]Severity{"", Critical, Warning, Info}, e.Severity) {
			f = append(f, Fault{at + ".severity", fmt.Sprintf("unknown severity %q: use critical, warning or info", e.Severity)})
		}
	}
	return f
}
