package jsonschema

import (
	"fmt"
	"sync"

	full "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// Options for Compile. The zero value is what events of a source want.
type Options struct {
	// Resources are the documents that the schema may refer to, by absolute URL,
	// or by a name relative to the schema. Nothing else is ever loaded.
	Resources map[string][]byte
	// Draft is the draft of schemas that do not name one in $schema: 4, 6, 7,
	// 2019 or 2020; 2020 when 0.
	Draft int
	// AssertFormat makes "format" a check. By default it is a remark.
	AssertFormat bool
	// FullEngine checks with the full engine what the compiled form could check
	// too. Slow; for comparing the two.
	FullEngine bool
	// Limits bound the events.
	Limits jsonscan.Limits
	// Steps bounds the work on one event, so that alternatives nested in
	// alternatives end in a refusal and not in a standstill; 8 million when 0.
	Steps int
}

// Schema is a compiled schema. Safe for concurrent use; checking needs a Checker each.
type Schema struct {
	engine *full.Schema
	root   *node // nil when the full engine does the work
	syms   *jsonscan.Symbols
	limits jsonscan.Limits
	steps  int
	pool   sync.Pool // of *Checker, for Validate
}

// Compiled reports whether the compiled form checks the schema; false when the full engine does.
func (s *Schema) Compiled() bool { return s.root != nil }

// Draft is the schema's draft: 4, 6, 7, 2019 or 2020.
func (s *Schema) Draft() int { return s.engine.DraftVersion }

// Symbols numbers the keys that the schema names. Who scans events for a
// Checker gives its scanner these, or a clone with more keys behind them.
func (s *Schema) Symbols() *jsonscan.Symbols { return s.syms }

// Validate checks one event and returns every failing keyword, nil when there
// is none. For one now and then; a stream uses a Checker.
func (s *Schema) Validate(event []byte) []feature.Reason {
	c, _ := s.pool.Get().(*Checker)
	if c == nil {
		c = s.NewChecker()
	}
	r := c.Check(event)
	s.pool.Put(c)
	return r
}

// Checker checks events against a schema, one at a time; not for concurrent use.
type Checker struct {
	schema *Schema
	scan   *jsonscan.Scanner // nil until events come as bytes
	own    jsonscan.Doc
	doc    *jsonscan.Doc
	steps  int
	buf    []byte // unescaped text
	buf2   []byte
	unique uniqueSet
}

// NewChecker returns a checker.
func (s *Schema) NewChecker() *Checker { return &Checker{schema: s} }

// Valid reports whether the event is JSON and passes. No allocation where the schema is compiled.
func (c *Checker) Valid(event []byte) bool {
	return c.scanOwn(event) == nil && c.ValidDoc(&c.own)
}

// Check returns every reason against the event, nil when it passes. What is not
// JSON gets one reason with the rule feature.RuleDecode.
func (c *Checker) Check(event []byte) []feature.Reason {
	if err := c.scanOwn(event); err != nil {
		return []feature.Reason{{Rule: feature.RuleDecode, Value: feature.Shorten(event), Expected: "JSON: " + err.Error()}}
	}
	if c.ValidDoc(&c.own) {
		return nil
	}
	return c.ExplainDoc(&c.own)
}

func (c *Checker) scanOwn(event []byte) error {
	if c.scan == nil {
		c.scan = jsonscan.NewScanner(c.schema.syms, c.schema.limits)
	}
	return c.scan.Scan(&c.own, event)
}

// ValidDoc reports whether a scanned event passes. Its scanner must have been
// made with the schema's Symbols, or a clone of them.
func (c *Checker) ValidDoc(d *jsonscan.Doc) bool {
	c.doc = d
	if c.schema.root == nil {
		return c.fullValid() == nil
	}
	c.steps = c.schema.steps
	return c.check(c.schema.root, 0) && c.steps > 0
}

// ExplainDoc returns every reason why an event that ValidDoc refused fails. It
// takes its time: nothing here is meant for the usual event.
func (c *Checker) ExplainDoc(d *jsonscan.Doc) []feature.Reason {
	c.doc = d
	if c.schema.root == nil {
		return c.fullReasons()
	}
	c.steps = c.schema.steps
	e := explainer{c: c}
	e.node(c.schema.root, 0, "")
	if c.steps <= 0 {
		return []feature.Reason{{
			Rule: "schema.complexity", Value: feature.Shorten(d.Data),
			Expected: fmt.Sprintf("an event that the schema can judge in %d steps", c.schema.steps),
		}}
	}
	return e.reasons
}
