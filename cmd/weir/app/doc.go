// Package app wires the rooms: it is the only place that knows every
// technology. New makes an application from a configuration, Run runs it until
// its context ends; end-to-end tests start the same value.
//
// The one rule: start in the order catalog, online, offline, consumers,
// servers, and stop in the opposite one. Ready means that a lookup can be answered.
//
// Read App, then roles.go.
package app
