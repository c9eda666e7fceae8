// Package embedded runs the servers that `weir up` needs where no address is
// configured: a Kafka broker that keeps its log in a folder, and a Redis that
// keeps its keys in memory. Both are reachable by any ordinary client.
//
// The one rule: what the embedded Kafka has acknowledged is on disk, and is
// there again after a kill. The embedded Redis promises nothing; the online
// store refills it from the table.
//
// Read StartKafka first.
package embedded
