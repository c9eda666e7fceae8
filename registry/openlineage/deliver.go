package openlineage

import (
	"context"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/outbox/cloudevent"
	"github.com/weir-ml/weir/internal/outbox/posting"
)

// Destination is the name under which events wait to be delivered.
const Destination = "openlineage"

// Deliverer implements outbox.Deliverer: it posts the data of an event, which is what OpenLineage knows.
type Deliverer struct{ to *posting.Client }

var _ outbox.Deliverer = (*Deliverer)(nil)

// NewDeliverer makes a deliverer to the server that is set.
func NewDeliverer(c Config) *Deliverer {
	return &Deliverer{posting.New("openlineage", c.URL, c.Token, 0)}
}

// Deliver posts the event.
func (d *Deliverer) Deliver(ctx context.Context, e *outbox.Entry) error {
	ce, err := cloudevent.Parse(e.Payload)
	if err != nil {
		return err
	}
	return d.to.Post(ctx, ce.Data, map[string]string{"Content-Type": "application/json"})
}
