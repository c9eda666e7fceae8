package feastredis

import (
	"slices"
	"strings"
)

// Report counts what was found, and what could not be read.
type Report struct {
	Keys  int64 // of Redis that were looked at
	Views []*ViewReport
	// UnreadViews are views of the project that Weir was not asked to read, by name: entities of each.
	UnreadViews map[string]int64
	// OtherProjects are hashes of other projects of Feast in the same Redis.
	OtherProjects map[string]int64
	// Unnamed are values under features that no view of Weir names, by Feast's kind. The
	// layout keeps only hashes of names, so nobody can say what they are called.
	Unnamed map[string]int64
}

// ViewReport is about one view.
type ViewReport struct {
	View     View
	Entities int64 // that have a row of the view
	Read     int64
	Reasons  []*Reason
	// By feature: rows that do not have it, and values that are NaN and were read as null.
	Absent, NotNumbers []int64
}

// Reason is why rows were not read. A row may have several.
type Reason struct {
	Field    string // the feature or join key; empty when it is about the whole row
	Text     string
	Entities int64
	Examples []string // entities
}

const (
	mostExamples = 3
	mostNamed    = 1000 // of what is in a foreign Redis under its own names
)

func newReport() Report {
	return Report{UnreadViews: map[string]int64{}, OtherProjects: map[string]int64{}, Unnamed: map[string]int64{}}
}

func newViewReport(v View) *ViewReport {
	return &ViewReport{View: v, Absent: make([]int64, len(v.Features)), NotNumbers: make([]int64, len(v.Features))}
}

func count(m map[string]int64, name string) {
	if _, ok := m[name]; !ok && len(m) >= mostNamed {
		name = "..."
	}
	m[name]++
}

func (r *Report) other(project string) { count(r.OtherProjects, project) }
func (r *Report) unread(view string)   { count(r.UnreadViews, view) }

func (r *Report) leftOver(hash map[string]string, known map[string]bool) {
	for f, raw := range hash {
		if known[f] || strings.HasPrefix(f, timePrefix) {
			continue
		}
		name := "damaged"
		if v, err := readValue(raw); err == nil {
			name = v.kind.String()
		}
		r.Unnamed[name]++
	}
}

// Skipped is how many rows could not be read.
func (r *ViewReport) Skipped() int64 { return r.Entities - r.Read }

func (r *ViewReport) skip(field, text, example string) {
	at := slices.IndexFunc(r.Reasons, func(x *Reason) bool { return x.Field == field && x.Text == text })
	if at < 0 {
		at = len(r.Reasons)
		r.Reasons = append(r.Reasons, &Reason{Field: field, Text: text})
	}
	x := r.Reasons[at]
	x.Entities++
	if len(x.Examples) < mostExamples {
		x.Examples = append(x.Examples, example)
	}
}
