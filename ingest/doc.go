// Package ingest is the way in: Kafka records (or the rows of a file) become
// decoded, checked batches, bad events go to quarantine with every reason, good
// rows to the sinks, and one table commit an interval names them all.
//
// The one rule: the table's positions are the truth. A partition is read from
// where the table stands, and consumer offsets are committed only after the
// table commit, as a hint.
//
// Read Sink first, then Pipeline.
package ingest
