package registry

import (
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// Checks are the rules that need a compiler which the registry does not know.
// Any may be nil. A fault's Field is a path in the manifest ("spec.schema...",
// "spec.expectations[0]...") or relative to the schema or the suite's spec.
type Checks struct {
	// Schema compiles a source's JSON Schema.
	Schema func(raw []byte) []feature.Fault
	// Source looks at what a source's events are read by, beside its JSON Schema.
	Source func(*feature.Source) []feature.Fault
	// Suite compiles a suite for a view that uses it; the view is resolved. A suite
	// that no view uses is compiled once one does.
	Suite func(*feature.Suite, *feature.View) []feature.Fault
}

// under puts a fault below a field unless it names its place in the manifest itself.
func under(field string, f feature.Fault) feature.Fault {
	switch {
	case f.Field == "":
		f.Field = field
	case strings.HasPrefix(f.Field, "spec"), strings.HasPrefix(f.Field, "metadata"):
	case strings.HasPrefix(f.Field, "["):
		f.Field = field + f.Field
	default:
		f.Field = field + "." + f.Field
	}
	return f
}

// checkSchemas compiles the schemas of sources that are new or changed.
func (p *planner) checkSchemas() {
	for _, s := range p.next.Sources() {
		ref := RefOf(s)
		if p.checks.Source != nil && p.changed[ref] && !p.faulty[ref] {
			for _, f := range p.checks.Source(s) {
				p.fault(ref, f)
			}
		}
		if p.checks.Schema != nil && p.changed[ref] && len(s.Schema) > 0 {
			for _, f := range p.checks.Schema(s.Schema) {
				p.fault(ref, under("spec.schema", f))
			}
		}
	}
}

// checkSuites compiles each suite for each view that uses it, where either is
// new or changed. The fault is the suite's where the suite changed, else the
// view's: that is the file somebody has just written.
func (p *planner) checkSuites() {
	if p.checks.Suite == nil {
		return
	}
	for _, v := range p.next.Views() {
		if v.SourceOf == nil || p.faulty[RefOf(v)] {
			continue
		}
		p.checkSuite(v, v.SuiteOf, "spec.suite")
		p.checkSuite(v, v.ShadowOf, "spec.shadow_suite")
	}
	// Only now, so that a fault of a suite does not hide those for its other views.
	for _, f := range p.pending {
		p.fault(f.ref, f.Fault)
	}
	p.pending = nil
}

// checkSuite compiles one suite of a view; s may be nil.
func (p *planner) checkSuite(v *feature.View, s *feature.Suite, field string) {
	if s == nil || p.faulty[RefOf(s)] {
		return
	}
	view, suite := RefOf(v), RefOf(s)
	if !p.changed[view] && !p.changed[suite] {
		return
	}
	for _, f := range p.checks.Suite(s, v) {
		f = under("spec", f)
		if p.changed[suite] {
			f.Msg += " (as FeatureView " + v.Meta.Name + " uses it)"
			p.pending = append(p.pending, refFault{suite, f})
			continue
		}
		f.Msg = "ExpectationSuite " + s.Meta.Name + ": " + f.Field + ": " + f.Msg
		f.Field = field
		p.pending = append(p.pending, refFault{view, f})
	}
}
