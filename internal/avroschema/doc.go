// Package avroschema reads Avro schemas, as JSON, into a tree that can be walked:
// the way in decodes events by it, the catalog compares two versions of one.
//
// The one rule: a schema that is read is whole. Every name is resolved, every size
// is bounded, and what the specification says to ignore (a logical type that does
// not fit what it stands on) is ignored here, once.
//
// Read Parse first, then Schema.
package avroschema
