// Package flight gives training sets over Arrow Flight: a client sends a spine and
// streams back the joined rows, straight into pandas or Polars.
//
// A client says what it wants in a Command, the JSON of a flight descriptor, and
// sends the spine behind it. Either in one exchange (DoExchange), or in two steps
// for clients that know only those: DoPut leaves the spine in the Store, and DoGet with
// the ticket from GetFlightInfo fetches the result.
//
// Feast's SDK, with `offline_store: {type: remote}`, speaks the same protocol with commands
// of its own, which have an "api": see feast.go.
//
// The one rule: nothing is answered that was not asked. What a command says and this
// package does not know is refused, with the way out.
//
// Read Service first.
package flight
