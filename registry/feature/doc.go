// Package feature is the vocabulary of Weir: entities, sources, views, services,
// suites, monitors, keys, batches, blocks, positions and errors. Plain types and
// their rules, no I/O. Every other package may import it; it imports none of them.
//
// The one rule: time is int64 microseconds since 1970 UTC, everywhere. Each row
// has an event time and a known time; its effective time is the earlier of the
// two (see Stamp). Nothing here ever asks the wall clock.
//
// Read View first, then Batch, then Stamp.
package feature
