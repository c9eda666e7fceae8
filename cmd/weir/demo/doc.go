// Package demo is the sample project: the customers of a telecom, a live stream
// of their records with a few broken ones among them, and after a while a price
// change that makes the stream drift away from what a model was trained on.
//
// It is a user of Weir like any other: it produces to Kafka and speaks gRPC.
// Read Run first.
package demo
