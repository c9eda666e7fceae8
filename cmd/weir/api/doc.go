// Package api is weir.v1 over the rooms: the services that need more than one
// of them, or one that the serving room may not know. Lookups are the serving
// room's own.
//
// The one rule: a handler translates between the wire and a room, and decides nothing.
// Errors are returned as they are; the server maps them.
package api
