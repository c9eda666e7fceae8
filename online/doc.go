// Package online keeps the newest row of every key where a lookup finds it
// within a millisecond: Writer (one of ingest's sinks) puts rows in, Reader
// answers lookups, Store is what both talk to (adapters: online/redis, online/memory).
//
// The one rule: per key the store holds the row that feature.Stamp orders last.
// Writing is "put unless a newer one is there", decided by the store itself, so
// replays, late events and two writers at once change nothing.
//
// Check holds a store against the table, Materialize rebuilds it from there.
//
// Read cells.go for the bytes of a value, then Store, then Writer and Reader.
package online
