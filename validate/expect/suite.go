package expect

import (
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate"
)

// JSONSchema decides whether a text is a JSON document that is valid. Many
// goroutines may ask it.
type JSONSchema interface {
	Valid(doc []byte) bool
}

// Option changes what Compile can do.
type Option func(*compiler)

// WithJSONSchema sets what compiles the schemas of
// expect_column_values_to_match_json_schema, for instance to resolve references.
// Without it the schema has to be complete in itself.
func WithJSONSchema(compile func(schema []byte) (JSONSchema, error)) Option {
	return func(c *compiler) { c.jsonSchema = compile }
}

// WithRenamed tells what a column of before is called now, "" for one that was never
// there, so that a suite which names it is told. Without it such a name is just unknown.
func WithRenamed(now func(name string) string) Option {
	return func(c *compiler) { c.renamed = now }
}

// Suite is a suite compiled for one schema. It does not change, and any number
// of goroutines may use it, each with its own Verdict.
type Suite struct {
	name     string
	rules    []validate.Rule
	checks   []check
	columns  []columnRef // the columns that some rule looks at
	conds    []condition // the row_conditions of the rules
	warnings []feature.Fault
	pool     sync.Pool // *batch
}

// check is one compiled rule. run sets the rows that break it and returns how
// many rows it had an opinion on.
type check struct {
	columns []int // index in Suite.columns
	under   int   // the condition of its rows: index in Suite.conds plus one, 0 for all rows
	run     func(b *batch, fail validate.Bitmap) (evaluated int)
}

// columnRef is a column of the schema that the suite was compiled for.
type columnRef struct {
	index int
	name  string
	typ   feature.Type
}

// Compile returns a suite ready to check rows of the schema (batches of a view are
// CompileView's), or every fault
// it has, each named as in the manifest ("spec.expectations[2].kwargs.max_value").
//
// An expectation with mostly below 1 promises a share of many rows: it counts
// its failures, but on its own rejects no row (see Warnings).
func Compile(suite *feature.Suite, schema *arrow.Schema, opts ...Option) (*Suite, []feature.Fault) {
	c := &compiler{schema: schema, out: &Suite{}, jsonSchema: selfContained}
	for _, o := range opts {
		o(c)
	}
	if suite == nil {
		return c.out, nil
	}
	c.out.name = suite.Meta.Name
	for i := range suite.Expectations {
		c.compile(i, &suite.Expectations[i])
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return c.out, nil
}

// Rules are what the suite checks, in its order.
func (s *Suite) Rules() []validate.Rule { return s.rules }

// Warnings are the places where a suite is right and may still surprise: a rule
// that no value of the column can pass, one that counts but does not reject.
func (s *Suite) Warnings() []feature.Fault { return s.warnings }

// Check judges a batch whose columns have the schema that the suite was
// compiled for, and leaves its finding in v; what v held before is gone.
// Tombstones are not judged: their features are null by definition.
// An error means that the batch does not fit the suite, not that rows failed.
func (s *Suite) Check(b *feature.Batch, v *validate.Verdict) error {
	return s.check(b.Rows, b.Tombstone, v)
}

// CheckRecord is Check for rows that are not a batch of a view, like a file's.
func (s *Suite) CheckRecord(rec arrow.RecordBatch, v *validate.Verdict) error {
	return s.check(rec, nil, v)
}

func (s *Suite) check(rec arrow.RecordBatch, skip []bool, v *validate.Verdict) error {
	b, _ := s.pool.Get().(*batch)
	if b == nil {
		b = &batch{cols: make([]column, len(s.columns))}
	}
	defer func() {
		b.release()
		s.pool.Put(b)
	}()
	rows := int(rec.NumRows())
	v.Reset(rows, s.rules)
	b.reset(rows, skip)
	for i, c := range s.columns {
		if c.index >= int(rec.NumCols()) {
			return s.misfit("it has %d columns, and the rules look at column %d (%s)", rec.NumCols(), c.index, c.name)
		}
		arr := rec.Column(c.index)
		if err := s.fits(c, arr.DataType()); err != nil {
			return err
		}
		b.load(i, c.typ, arr)
	}
	counts := v.Counts()
	for i := range s.checks {
		counts[i].Evaluated = int64(s.checks[i].run(b.under(s.checks[i].under, s.conds), v.Failures(i)))
	}
	v.Close(func(rule, row int) feature.Reason { return s.reason(b, rule, row) })
	return nil
}

// fits reports whether a column of a record has the type that it was compiled for.
func (s *Suite) fits(c columnRef, have arrow.DataType) error {
	if t := typeOf(have); t != c.typ && !(t == feature.Bytes && c.typ.IsArray()) {
		return s.misfit("column %s is %s, the suite was compiled for %s", c.name, have, c.typ)
	}
	return nil
}

func (s *Suite) misfit(format string, args ...any) error {
	return &feature.Error{
		Kind: feature.Invalid, Op: "expect.check", What: "suite " + s.name,
		Err:  fmt.Errorf("the batch does not have the suite's schema: "+format, args...),
		Hint: "compile the suite again for the batch's schema",
	}
}

func (s *Suite) reason(b *batch, rule, row int) feature.Reason {
	r := &s.rules[rule]
	return feature.Reason{
		Rule:     r.Type,
		Path:     r.Path,
		Value:    s.valueText(b, s.checks[rule].columns, row),
		Expected: r.Expected,
		Severity: r.Severity,
	}
}
