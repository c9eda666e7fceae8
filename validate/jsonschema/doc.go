// Package jsonschema checks JSON events against a JSON Schema of draft 4, 6, 7,
// 2019-09 or 2020-12, on the payload's bytes: the event is scanned once into
// flat nodes (internal/jsonscan), and the compiled schema walks those. No tree
// is built and nothing is allocated on an event that passes.
//
// The one rule: the compiled form is taken whole or not at all. A schema of
// which any reachable part is not covered (dynamic references, unevaluated*,
// extra vocabularies) is checked whole by the full engine,
// santhosh-tekuri/jsonschema, which also reads every schema in the first place:
// references, drafts and vocabularies are resolved there, once, for both.
//
// What is never done: loading a reference from a network or a file. What a
// schema refers to is in Options.Resources, or Compile refuses it.
//
// An event is refused before its schema is asked when it is not strict JSON
// (see jsonscan): among others a key that stands twice in one object, a number
// of more than 1000 characters or with an exponent beyond 1000, nesting beyond 512.
//
// Formats are annotations unless Options.AssertFormat is set. An integer is a
// number without a fraction, so 1.0 is one; in draft 4 it is a number written
// without one, so 1.0 is not.
//
// Read Compile first, then Schema and Checker.
package jsonschema
