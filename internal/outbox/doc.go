// Package outbox delivers what a transaction has decided to send: entries are
// stored in the transaction itself and handed to their destination afterwards,
// until it acknowledges them.
//
// The one rule: at least once, in order per key. A receiver tells repetitions
// by the entry's payload (events carry a deterministic id); an entry that fails
// holds back the later ones of its key until it is delivered or dead.
//
// Read Entry first, then Dispatcher.
package outbox
