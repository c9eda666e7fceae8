package check

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/weir-ml/weir/internal/tabular"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
)

// Options say what is checked by what.
type Options struct {
	Path      string
	Format    tabular.Format          // from the file's name when empty
	Types     map[string]feature.Type // of columns, in the place of inferred ones
	Nulls     []string                // texts that mean null in CSV, beside the empty one
	Separator byte                    // of CSV; a comma (.tsv: a tab) when 0

	Suite      *manifest.SuiteFile // nil: none
	Parameters map[string]json.RawMessage
	Schema     *Schema // nil: none

	FailFast bool   // stop at the first row, or expectation, that decides the answer
	Examples int    // failing rows shown of each expectation and schema rule; 0 for 20
	Complete bool   // of expectations keep all failing rows
	Memory   int64  // what the expectations may keep in memory, in bytes; 0 for 256 MiB
	Temp     string // folder that takes what does not fit; one that is removed afterwards when empty

	// Progress hears how many bytes of how many have been read.
	Progress func(done, total int64)
}

// Outcome is what was found.
type Outcome struct {
	Path    string
	Rows    int64 // rows judged: all, unless Stopped
	Suite   *SuiteOutcome
	Schema  *SchemaOutcome
	Stopped bool // by FailFast, before the end of the file
	Took    time.Duration
}

// Success reports whether everything holds, whatever its severity.
func (o *Outcome) Success() bool {
	return (o.Suite == nil || o.Suite.Report.Success) && (o.Schema == nil || o.Schema.Failed == 0)
}

// Levels are the severities, from the one that weighs least.
var Levels = []feature.Severity{feature.Info, feature.Warning, feature.Critical}

// Fails reports whether something failed that weighs level or more. Rows that
// break the schema are critical.
func (o *Outcome) Fails(level feature.Severity) bool {
	if o.Schema != nil && o.Schema.Failed > 0 {
		return true
	}
	if o.Suite == nil {
		return false
	}
	for i := range o.Suite.Report.Results {
		r := &o.Suite.Report.Results[i]
		if !r.Success && weighs(r.Expectation.Level(), level) {
			return true
		}
	}
	return false
}

// DefaultExamples is how many failing rows are shown.
const DefaultExamples = 20

// Run judges the file. The schema judges it row by row, the suite as columns:
// with both the file is read for each.
func Run(ctx context.Context, o Options) (*Outcome, error) {
	if o.Examples <= 0 {
		o.Examples = DefaultExamples
	}
	began := time.Now()
	out := &Outcome{Path: o.Path}
	passes, pass := int64(0), int64(0)
	if o.Suite != nil {
		passes++
	}
	if o.Schema != nil {
		passes++
	}
	report := func(done, total int64) {
		if o.Progress != nil {
			o.Progress(pass*total+done, passes*total)
		}
	}
	if o.Suite != nil {
		s, err := judgeSuite(ctx, &o, report)
		if err != nil {
			return nil, err
		}
		out.Suite, out.Rows, out.Stopped = s, s.Report.Rows, s.stopped
		pass++
	}
	if o.Schema != nil && !out.Stopped {
		s, err := judgeRows(ctx, &o, report)
		if err != nil {
			return nil, err
		}
		out.Schema, out.Rows, out.Stopped = s, s.Rows, s.stopped
	}
	out.Took = time.Since(began)
	return out, nil
}

// Faults are what is wrong with a suite or a schema, each at its line.
type Faults []manifest.Fault

func (f Faults) Error() string {
	errs := make([]error, len(f))
	for i, x := range f {
		errs[i] = x
	}
	return errors.Join(errs...).Error()
}
