// Package validate judges rows: its sub-packages check events against a JSON
// Schema and batches against an expectation suite, and this package holds what
// they say about a batch, the Verdict, and Filter, which acts on it.
//
// The one rule: a rejected row carries every rule it broke, never only the
// first, and a batch without rejected rows passes on as it is.
//
// Read Verdict first, then expect.Compile.
package validate
