// Package feast answers Feast's clients: the gRPC service feast.serving.ServingService,
// and the calls of Feast's feature server over HTTP. Lookups go through
// serving.Lookups; writes become events in the topic of the source, through a Writer
// that the program brings.
//
// The one rule: what a status says is true, also where Feast's own servers are wrong.
// An expired value is OUTSIDE_MAX_AGE, an absent entity NOT_FOUND, and what the
// store did not answer is never either: the call fails, or with Config.Partial the
// value is INVALID.
//
// Read Service, then answer; writes begin at Writer.
package feast
