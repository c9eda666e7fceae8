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
		if v.SuiteOf == nil || v.SourceOf == nil || p.faulty[RefOf(v)] || p.faulty[RefOf(v.SuiteOf)] {
			continue
		}
		view, suite := RefOf(v), RefOf(v.SuiteOf)
		if !p.changed[view] && !p.changed[suite] {
			continue
		}
		for _, f := range p.checks.Suite(v.SuiteOf, v) {
			f = under("spec", f)
			if p.changed[suite] {
				f.Msg += " (as FeatureView " + v.Meta.Name + " uses it)"
				p.pending = append(p.pending, refFault{suite, f})
				continue
			}
			f.Msg = "ExpectationSuite " + v.Suite + ": " + f.Field + ": " + f.Msg
			f.Field = "spec.suite"
			p.pending = append(p.pending, refFault{view, f})
		}
	}
	// Only now, so that a fault of a suite does not hide those for its other views.
	for _, f := range p.pending {
		p.fault(f.ref, f.Fault)
	}
	p.pending = nil
}
