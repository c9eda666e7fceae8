// Package kafkalog reads a range of a Kafka log to its exact end. A consumer
// cannot: it hands out records, and where the last records of a range are gone
// (compaction, aborted transactions, markers) it cannot tell that it has passed
// them. Here each fetch tells how far it has come.
//
// The one rule: a topic is read by its id, so what was begun in one topic never
// ends in another one of the same name.
//
// Read Log first.
package kafkalog
