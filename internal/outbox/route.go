package outbox

import "github.com/weir-ml/weir/registry/feature"

// Subject is what an event is about: what the choice of its destinations may depend on.
type Subject struct {
	Project, Type, Owner, View string
	Severity                   feature.Severity
	Firing                     bool             // it began; false when it is over
	Retrain                    *feature.Retrain // nil unless the event asks for a retraining
}

// Route names the destinations of an event. It is asked once, when the event is
// recorded: an entry is stored for each, and what the settings say later changes nothing for it.
type Route func(Subject) []string

// To is the route of every event to the same destinations.
func To(destinations ...string) Route {
	return func(Subject) []string { return destinations }
}
