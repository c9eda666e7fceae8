package jsonschema

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	full "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-ml/weir/internal/jsonscan"
	"github.com/weir-ml/weir/registry/feature"
)

// base is where a schema without an $id stands, so that relative references
// have something to be relative to. Nothing is ever asked of it.
const base = "https://schema.weir.invalid/"

const defaultSteps = 8_000_000

// Compile reads a schema. An error is a feature.Error of kind Invalid that says what is wrong with it.
func Compile(raw []byte, o Options) (s *Schema, err error) {
	const op = "jsonschema.compile"
	defer func() {
		// The full engine is not meant to panic on any schema; if one makes it, that
		// schema is refused and the process lives.
		if r := recover(); r != nil {
			s, err = nil, feature.Errorf(feature.Invalid, op, "schema", "the schema cannot be compiled: %v", r)
		}
	}()
	drafts := map[int]*full.Draft{0: full.Draft2020, 4: full.Draft4, 6: full.Draft6, 7: full.Draft7, 2019: full.Draft2019, 2020: full.Draft2020}
	draft, ok := drafts[o.Draft]
	if !ok {
		return nil, feature.Errorf(feature.Invalid, op, "schema", "unknown draft %d", o.Draft).WithHint("use 4, 6, 7, 2019 or 2020")
	}
	doc, err := document(raw)
	if err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: op, What: "schema", Err: err}
	}
	c := full.NewCompiler()
	c.DefaultDraft(draft)
	c.UseLoader(loader(o.Resources))
	c.UseRegexpEngine(compilePattern)
	if o.AssertFormat {
		c.AssertFormat()
	}
	if err := c.AddResource(base, doc); err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: op, What: "schema", Err: err}
	}
	engine, err := c.Compile(base)
	if err != nil {
		return nil, &feature.Error{Kind: feature.Invalid, Op: op, What: "schema", Err: readable(doc, err)}
	}
	if !o.AssertFormat {
		forgetFormats(engine)
	}
	s = &Schema{engine: engine, syms: jsonscan.NewSymbols(), limits: o.Limits, steps: o.Steps}
	if s.steps <= 0 {
		s.steps = defaultSteps
	}
	if !o.FullEngine {
		b := builder{syms: s.syms, nodes: map[*full.Schema]*node{}}
		if root := b.build(engine); !b.refused {
			if cyclic(b.nodes) {
				return nil, feature.Errorf(feature.Invalid, op, "schema", "the schema refers back to itself without looking at a part of the value, so it could never be answered").
					WithHint("refer from within properties or items")
			}
			s.root = root
		}
	}
	return s, nil
}

// document reads a schema or resource with the bounds that events have, before
// anything else looks at its numbers or its nesting.
func document(raw []byte) (any, error) {
	var d jsonscan.Doc
	if err := jsonscan.NewScanner(nil, jsonscan.Limits{}).Scan(&d, raw); err != nil {
		return nil, err
	}
	return full.UnmarshalJSON(bytes.NewReader(raw))
}

// loader answers for references from Resources alone.
type loader map[string][]byte

func (l loader) Load(url string) (any, error) {
	raw, ok := l[url]
	if !ok {
		raw, ok = l[strings.TrimPrefix(url, base)]
	}
	if !ok {
		return nil, errors.New("references are not loaded from anywhere: add the document to the schema's resources")
	}
	return document(raw)
}

// readable shortens the engine's error to what an author can act on.
func readable(doc any, err error) error {
	var v *full.SchemaValidationError
	if errors.As(err, &v) {
		var ve *full.ValidationError
		if errors.As(v.Err, &ve) {
			var msgs []string
			for _, r := range reasonsOf(ve, true, valueIn(doc)) {
				at := r.Path
				if at == "" {
					at = "schema"
				}
				msgs = append(msgs, fmt.Sprintf("%s: expected %s, not %s", at, r.Expected, r.Value))
			}
			return errors.New(strings.Join(msgs, "; "))
		}
	}
	var re *full.InvalidRegexError
	if errors.As(err, &re) {
		return fmt.Errorf("the pattern %q cannot be used: %w", re.Regex, re.Err)
	}
	return errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "failing "), base, ""))
}

// valueIn looks values of a schema up, for messages about it.
func valueIn(doc any) func(at []string) string {
	return func(at []string) string {
		v := doc
		for _, tok := range at {
			switch x := v.(type) {
			case map[string]any:
				v = x[tok]
			case []any:
				i, err := strconv.Atoi(tok)
				if err != nil || i < 0 || i >= len(x) {
					return "that"
				}
				v = x[i]
			}
		}
		return feature.Shorten([]byte(jsonText(v)))
	}
}

// forgetFormats makes format a remark where the draft's engine would assert it.
func forgetFormats(root *full.Schema) {
	seen := map[*full.Schema]bool{}
	var walk func(s *full.Schema)
	walk = func(s *full.Schema) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		if s.DraftVersion < 2019 {
			s.Format = nil
		}
		eachChild(s, walk)
	}
	walk(root)
}

// eachChild calls f for every schema that s applies, to the same value or to a part of it.
func eachChild(s *full.Schema, f func(*full.Schema)) {
	for _, x := range []*full.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema} {
		f(x)
	}
	if s.DynamicRef != nil {
		f(s.DynamicRef.Ref)
	}
	for _, list := range [][]*full.Schema{s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems} {
		for _, x := range list {
			f(x)
		}
	}
	for _, x := range s.Properties {
		f(x)
	}
	for _, x := range s.PatternProperties {
		f(x)
	}
	for _, x := range s.DependentSchemas {
		f(x)
	}
	for _, d := range s.Dependencies {
		if x, ok := d.(*full.Schema); ok {
			f(x)
		}
	}
	for _, d := range []any{s.AdditionalProperties, s.AdditionalItems, s.Items} {
		switch x := d.(type) {
		case *full.Schema:
			f(x)
		case []*full.Schema:
			for _, y := range x {
				f(y)
			}
		}
	}
}

// pattern is a regular expression: matched by a small loop of its own where it
// is as simple as most are, by the regexp package otherwise.
type pattern struct {
	re    *regexp.Regexp
	quick *quickPattern // nil when the expression is not simple
}

func compilePattern(expr string) (full.Regexp, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("%w (RE2 syntax: no look-around and no back-references)", err)
	}
	return &pattern{re: re, quick: compileQuick(expr)}, nil
}

func (p *pattern) String() string { return p.re.String() }

func (p *pattern) MatchString(s string) bool { return p.re.MatchString(s) }

func (p *pattern) match(b []byte) bool {
	if p.quick != nil {
		return p.quick.match(b)
	}
	return p.re.Match(b)
}
