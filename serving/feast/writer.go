package feast

import (
	"context"

	"github.com/weir-ml/weir/registry/feature"
)

// Writer takes events to where the stream comes from, and knows when they have come out
// of it. The program brings one.
type Writer interface {
	// Write produces events to a source's topic and waits until each of the views has
	// taken or held back every one of them. A context that ends first is no error but Outcome.Waiting, once all are in the
	// topic. After an error, or for a caller who has gone, rows of the same text go on with the first: they are no other events.
	Write(ctx context.Context, src *feature.Source, views []*feature.View, rows Rows) (*Outcome, error)
	// CaughtUp waits until the views have taken or held back what their topics had at
	// the call. A context that ends first is an error of kind Unavailable.
	CaughtUp(ctx context.Context, views []*feature.View) error
}

// Rows are what one call writes.
type Rows struct {
	Events  []Event
	InTable bool   // wait until they are in the table, and not only online
	Same    string // tells the rows of a call that is repeated
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
