// Package check judges a file of rows by a JSON Schema, an expectation suite or
// both, and writes what it found as Great Expectations' validation result or as
// JUnit XML. `weir check` is its command line.
//
// The one rule: what a file fails here it would fail in the stream too. Rows
// are judged by the code that judges events (validate/jsonschema) and the
// expectations by the code that judges batches and windows (validate/expect).
//
// Read Run first, then Outcome.
package check
