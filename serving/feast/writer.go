package feast

import (
	"context"

	"github.com/weir-ml/weir/registry/feature"
)

// Writer takes events to where the stream comes from, and knows when they have come out
// of it. The program brings one.
type Writer interface {
	// Write produces events to a source's topic and waits until each of the views has
	// taken or held back every one of them: online, and with inTable in the table too. A
	// context that ends first is no error but Outcome.Waiting, once all are in the topic.
	Write(ctx context.Context, src *feature.Source, views []*feature.View, events []Event, inTable bool) (*Outcome, error)
	// CaughtUp waits until the views have taken or held back what their topics had at
	// the call. A context that ends first is an error of kind Unavailable.
	CaughtUp(ctx context.Context, views []*feature.View) error
}

// Event is one record for a topic.
type Event struct{ Key, Payload []byte }

// Outcome is what became of events.
type Outcome struct {
	Held    []Held // in the order of the events
	Waiting string // why not all could be judged in time; empty when all were
}

// Held is an event that a view held back.
type Held struct {
	Event     int // index into what was written
	View      string
	Partition int32
	Offset    int64
	Reasons   []feature.Reason
}
