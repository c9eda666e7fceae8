// Package manifest reads definitions as people write them, YAML documents with
// apiVersion, kind, metadata and spec, and writes them back.
//
// The one rule: everything that is wrong is reported at once, each fault with
// file, line, column, the field's path and what to do. Nothing is guessed and
// nothing unknown is passed over.
//
// Read Parse first, then Doc, which knows where each field stands, so that
// faults found later (by a definition's own Check, by registry.Plan) are shown
// at their line too.
package manifest
