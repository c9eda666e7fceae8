package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/expect"
)

// weighs reports whether a severity is level or above it.
func weighs(s, level feature.Severity) bool {
	return slices.Index(Levels, s) >= slices.Index(Levels, level)
}

// Columns are those that an expectation names, with commas between.
func Columns(e *feature.Expectation) string { return strings.Join(columnNames(e), ", ") }

func columnNames(e *feature.Expectation) (names []string) {
	for _, k := range []string{"column", "column_A", "column_B"} {
		var s string
		if raw, ok := e.Kwargs[k]; ok && json.Unmarshal(raw, &s) == nil {
			names = append(names, s)
		}
	}
	var list []string
	if raw, ok := e.Kwargs["column_list"]; ok && json.Unmarshal(raw, &list) == nil {
		names = append(names, list...)
	}
	return names
}

// Wants is what an expectation's kwargs say beside its columns: "max_value 10, min_value 0".
func (s *SuiteOutcome) Wants(e *feature.Expectation) string {
	var parts []string
	kwargs := withValues(e.Kwargs, s.Parameters)
	for _, k := range sortedKeys(kwargs) {
		if k == "column" || k == "column_A" || k == "column_B" || k == "column_list" {
			continue
		}
		parts = append(parts, k+" "+string(kwargs[k]))
	}
	return strings.Join(parts, ", ")
}

// Finding says in a line what was seen.
func Finding(r *expect.Result) string {
	switch {
	case r.Exception != "":
		return r.Exception
	case r.Map && r.Unexpected == 0:
		return ""
	case r.Map:
		of := r.Elements
		if r.Missing > 0 {
			of -= r.Missing
		}
		return fmt.Sprintf("%d of %d rows", r.Unexpected, of)
	case r.Observed == nil && r.Details != nil:
		return Show(r.Details)
	case r.Observed == nil:
		return ""
	}
	s := "observed " + Show(r.Observed)
	if r.Error != "" {
		s += " (" + r.Error + ")"
	}
	return s
}

// Show writes a value for people, shortened.
func Show(v any) string {
	b, err := json.Marshal(plain(v))
	if err != nil {
		return feature.Shorten([]byte(fmt.Sprint(v)))
	}
	return feature.Shorten(b)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// ParseLevel reads a severity.
func ParseLevel(s string) (feature.Severity, error) {
	l := feature.Severity(strings.ToLower(s))
	if !slices.Contains(Levels, l) {
		return "", feature.Errorf(feature.Invalid, "check.severity", s, "there is no such severity").WithHint("use critical, warning or info")
	}
	return l, nil
}
