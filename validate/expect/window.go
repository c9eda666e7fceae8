package expect

import (
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-ml/weir/registry/feature"
)

// WindowSuite is a suite compiled to judge windows of a view's stream. What it keeps
// of a window is bounded and merges, so that a window can be counted in parts, by many
// workers. It does not change, and any number of goroutines may use it.
type WindowSuite struct {
	suite   *TableSuite
	entries []windowEntry
	specs   []tallySpec // what a tally keeps, in its order
	pool    sync.Pool   // *folder
}

// windowEntry is how an expectation of the suite finds its answer in a tally.
type windowEntry struct {
	specs []int // index in WindowSuite.specs
}

// tallySpec is something that a tally keeps, asked for by one or more expectations.
type tallySpec struct {
	key    uint64 // the same in every version of the suite that asks for the same
	under  int    // as entry.under
	judged bool   // counts the rows that the suite holds back too
	begin  func() state
	fold   func(st state, f *folder, b *batch)
}

// keptAs is how a metric is kept in windows; nil of those that only tables have.
type keptAs struct {
	more  bool // metricSpec.more makes another state
	begin func(more bool) state
	fold  func(st state, f *folder, b *batch)
}

// windowed is how a window answers an expectation that tables answer otherwise,
// because its metrics are summaries with an error.
type windowed struct {
	metrics []metricSpec
	answer  func(ms []state, res *Result) error
}

// CompileWindow makes a suite ready to judge windows of a view: all of the vocabulary,
// but what needs SQL. The faults are those of the suite itself, and what the view's
// columns forbid. Values of {"$PARAMETER": name} are the view's quality.parameters, or those of
// WithParameters.
func CompileWindow(suite *feature.Suite, view *feature.View, opts ...Option) (*WindowSuite, []feature.Fault) {
	out := &WindowSuite{suite: &TableSuite{suite: &Suite{}}}
	if suite == nil {
		return out, nil
	}
	if p := view.Quality; p.Windowed() && p.Parameters != nil {
		opts = append([]Option{WithParameters(p.Parameters)}, opts...)
	}
	c := &compiler{schema: view.Schema(), out: out.suite.suite, table: out.suite, window: out, jsonSchema: selfContained}
	for _, o := range append(opts, WithRenamed(view.NowCalled), WithArrays(arraysOf(view))) {
		o(c)
	}
	out.suite.suite.name = suite.Meta.Name
	for i := range suite.Expectations {
		c.compile(i, &suite.Expectations[i])
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	out.plan()
	return out, nil
}

// plan decides what a tally keeps.
func (s *WindowSuite) plan() {
	at := map[uint64]int{}
	want := func(spec tallySpec) int {
		i, ok := at[spec.key]
		if !ok {
			i = len(s.specs)
			at[spec.key] = i
			s.specs = append(s.specs, spec)
		}
		return i
	}
	for i := range s.suite.entries {
		e := &s.suite.entries[i]
		var we windowEntry
		if e.rows != nil {
			run := e.rows()
			we.specs = append(we.specs, want(tallySpec{
				key: keyOf("rows", e.written.Type, e.kwargs), under: e.under, judged: true,
				begin: func() state { return &rowsState{} },
				fold:  func(st state, f *folder, b *batch) { st.(*rowsState).fold(e, run, f, b) },
			}))
		}
		for _, m := range e.metrics {
			spec := &s.suite.metrics[m]
			more := spec.more && spec.kept.more
			we.specs = append(we.specs, want(tallySpec{
				key: keyOf("metric", spec.name, fmt.Sprint(more, s.conditionText(spec.under))), under: spec.under,
				begin: func() state { return spec.kept.begin(more) },
				fold:  spec.kept.fold,
			}))
		}
		s.entries = append(s.entries, we)
	}
}

func (s *WindowSuite) conditionText(under int) string {
	if under == 0 {
		return ""
	}
	return s.suite.suite.conds[under-1].text
}

func keyOf(parts ...string) uint64 {
	d := xxhash.New()
	for _, p := range parts {
		_, _ = d.WriteString(p) // never an error
		_, _ = d.Write([]byte{0})
	}
	return d.Sum64()
}

// Warnings are the places where the suite is right and may still surprise.
func (s *WindowSuite) Warnings() []feature.Fault { return s.suite.Warnings() }

// Expectations is how many results a report has.
func (s *WindowSuite) Expectations() int { return len(s.suite.entries) }

// New returns an empty tally of a window.
func (s *WindowSuite) New() *WindowTally {
	t := &WindowTally{parts: make([]part, len(s.specs)), suite: s}
	for i := range s.specs {
		t.parts[i] = part{key: s.specs[i].key, state: s.specs[i].begin()}
	}
	return t
}
