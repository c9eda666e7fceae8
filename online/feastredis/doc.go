// Package feastredis reads the online values that Feast keeps in Redis, so that
// a project can move to Weir.
//
// An entity of Feast's is one hash. Its key is the entity key (key.go) and the
// project's name; a field is the murmur3 hash of "view:feature" with a Value
// (value.go) in it, and the field "_ts:view" holds the event time of the view's row.
// Names of features are not kept, only their hashes: what is to be read must be known by name.
//
// The one rule: a row is read whole or not at all, and what was not read is
// counted with its reason and shown by example. Nothing is ever written.
//
// Read Reader first; Store fetches the hashes.
package feastredis
