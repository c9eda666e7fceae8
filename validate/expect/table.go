package expect

import (
	"encoding/json"
	"errors"
	"os"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// TableSuite is a suite compiled to judge whole tables of one schema: a file, a
// window of a stream. It does not change; many goroutines may each Begin a run of it.
type TableSuite struct {
	suite   *Suite // the columns, the conditions and the rules' names
	entries []entry
	metrics []metricSpec
}

// entry is one expectation of a table suite.
type entry struct {
	written   feature.Expectation
	mostly    float64
	under     int                                 // the condition of its rows: index in Suite.conds plus one, 0 for all rows
	rows      func() loop                         // a rule that is judged row by row makes its loop, once a run; nil for others
	metrics   []int                               // index in TableSuite.metrics: what whole is given
	whole     answer                              // how the metrics become the result
	exception string                              // why this table cannot be asked
	unfit     string                              // why rows cannot be asked, where the table has any
	absent    []absent                            // of its condition; column is an index in TableSuite.metrics
	columns   []int                               // index in Suite.columns, as the kwargs name them
	names     []string                            // of columns
	shape     exampleShape                        // how an unexpected row is shown
	observed  any                                 // of a rule about a column's type: that type
	nulls     bool                                // it is about null itself: no row is missing
	kwargs    string                              // with the values of parameters
	near      func(ms []state, res *Result) error // in a window, in place of whole
}

// loop sets the rows of a batch that break a rule, and returns how many it had
// an opinion on. fail is empty before.
type loop func(b *batch, fail validate.Bitmap) (evaluated int)

// TableOptions say how a run works.
type TableOptions struct {
	// Memory is how many bytes a run may keep between batches, 0 for 256 MiB and at
	// least 64 KiB. What does not fit goes to files in Temp; the answers are the same.
	Memory int64
	// Temp is an existing folder for what does not fit, "" for the system's.
	Temp string
	// Examples is how many unexpected rows a result shows at most, 0 for 20.
	Examples int
	// Complete shows all of them. They are kept in memory, outside of the limit.
	Complete bool
	// FailFast makes Add return ErrDecided once a rule that all rows must pass
	// has met one that does not.
	FailFast bool
}

const (
	defaultMemory   = 256 << 20
	leastMemory     = 64 << 10
	defaultExamples = 20
)

// ErrDecided is what Add returns with TableOptions.FailFast when the table has
// failed already. Finish then reports about the rows so far.
var ErrDecided = errors.New("expect: the table has failed")

// WithParameters gives the values that {"$PARAMETER": "name"} stands for in kwargs.
func WithParameters(values map[string]json.RawMessage) Option {
	return func(c *compiler) { c.parameters = values }
}

// CompileTable makes a suite ready to judge a whole table: all of the vocabulary,
// not only what a stream can reject by. The faults are those of the suite itself. What
// only this table's schema forbids, like a column that is missing, is the exception of
// one result and fails it, as in Great Expectations.
func CompileTable(suite *feature.Suite, schema *arrow.Schema, opts ...Option) (*TableSuite, []feature.Fault) {
	out := &TableSuite{suite: &Suite{}}
	c := &compiler{schema: schema, out: out.suite, table: out, jsonSchema: selfContained}
	for _, o := range opts {
		o(c)
	}
	if suite == nil {
		return out, nil
	}
	out.suite.name = suite.Meta.Name
	for i := range suite.Expectations {
		c.compile(i, &suite.Expectations[i])
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return out, nil
}

// Warnings are the places where the suite is right and may still surprise.
func (s *TableSuite) Warnings() []feature.Fault { return s.suite.warnings }

// Begin starts to judge a table. The caller calls Close when done with the run.
func (s *TableSuite) Begin(o TableOptions) *Run {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	o.Memory = max(o.Memory, leastMemory)
	if o.Examples <= 0 {
		o.Examples = defaultExamples
	}
	if o.Temp == "" {
		o.Temp = os.TempDir()
	}
	r := &Run{suite: s, o: o, batch: &batch{cols: make([]column, len(s.suite.columns))}}
	for i := range s.entries {
		var st *ruleState
		if s.entries[i].rows != nil {
			st = newRuleState(&s.entries[i], &r.o)
		}
		r.rules = append(r.rules, st)
	}
	for i := range s.metrics {
		r.metrics = append(r.metrics, s.metrics[i].begin(&r.o, s.metrics[i].more))
	}
	return r
}
