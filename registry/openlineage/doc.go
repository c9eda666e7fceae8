// Package openlineage says in OpenLineage's words from what a training set was made, and tells it, through
// the outbox, to a server of such events.
//
// The one rule: an event is made of the snapshot's record alone, so that the same snapshot always has the
// same event, with the same run id.
//
// Read Event first, then Teller and Deliverer.
package openlineage
