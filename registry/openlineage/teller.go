package openlineage

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// EventType is the type of the event by which the outbox knows that a training set was recorded.
const EventType = "io.weir.snapshot.created.v1"

// Records is where snapshots are put.
type Records interface {
	PutSnapshot(ctx context.Context, s feature.Snapshot, profile []byte) error
	ListSnapshots(ctx context.Context, project string) ([]feature.Snapshot, error)
}

// Events is where events are recorded, with their entries of the outbox.
type Events interface {
	Tell(ctx context.Context, c *tally.Change) (bool, error)
	Events(ctx context.Context, q tally.EventQuery) ([]tally.Event, error)
}

// Options are what a Teller needs.
type Options struct {
	Records Records
	Events  Events
	Config  Config
	Told    func() // called after an event was recorded; may be nil
	Log     *slog.Logger
	Now     func() time.Time // the wall clock when nil
}

// Teller is Records that record, of each snapshot that was put, an event for the outbox to deliver. That takes two
// transactions: what a process that died between them has left out, and what could not be recorded, Run finds.
type Teller struct {
	Records
	o Options
}

// NewTeller makes one.
func NewTeller(o Options) *Teller {
	if o.Told == nil {
		o.Told = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Teller{o.Records, o}
}

// PutSnapshot puts a snapshot, then records that it is to be told of.
func (t *Teller) PutSnapshot(ctx context.Context, s feature.Snapshot, profile []byte) error {
	if err := t.Records.PutSnapshot(ctx, s, profile); err != nil {
		return err
	}
	if err := t.tell(ctx, &s); err != nil {
		t.o.Log.Warn("that a training set was made could not be recorded for OpenLineage; the role drift tries again", "snapshot", s.ID, "error", err)
	}
	return nil
}

// How often Run looks for snapshots that were not told of, and how old they may be: those from before OpenLineage was
// set are not news.
const (
	every  = 10 * time.Minute
	oldest = 24 * time.Hour
)

// Run tells of what was left out, at once and every ten minutes, until ctx ends.
func (t *Teller) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for faults := (tally.Faults{}); ; {
		if err := t.CatchUp(ctx); faults.New(ctx, "", err) {
			t.o.Log.Error("training sets that OpenLineage was not told of cannot be looked for, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// CatchUp tells of the snapshots of the last day that nobody has told of.
func (t *Teller) CatchUp(ctx context.Context) error {
	all, err := t.ListSnapshots(ctx, "")
	if err != nil {
		return err
	}
	from := t.o.Now().Add(-oldest).UnixMicro()
	for i := range all {
		if all[i].CreatedAt < from {
			continue
		}
		if err := t.tell(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// tell records the event of a snapshot, unless it was recorded: that stays when its delivery is forgotten.
func (t *Teller) tell(ctx context.Context, s *feature.Snapshot) error {
	there, err := t.o.Events.Events(ctx, tally.EventQuery{ID: RunID(s.ID), Limit: 1})
	if err != nil || len(there) > 0 {
		return err
	}
	e, err := newEvent(s, t.o.Config.Namespace)
	if err != nil {
		return err
	}
	_, err = t.o.Events.Tell(ctx, &tally.Change{Event: e, At: t.o.Now(),
		Outbox: e.Entries([]string{Destination}, map[string]string{"content-type": cloudevents.ApplicationCloudEventsJSON})})
	if err == nil {
		t.o.Told()
	}
	return err
}

// newEvent is a CloudEvent around OpenLineage's, with the run's id: the same snapshot always has the same.
func newEvent(s *feature.Snapshot, namespace string) (*tally.Event, error) {
	data, err := Event(*s, namespace)
	if err != nil {
		return nil, err
	}
	e := &tally.Event{ID: RunID(s.ID), Project: s.Project, Owner: "snapshot@" + s.ID, Type: EventType, Time: s.CreatedAt}
	ce := cloudevents.New()
	ce.SetID(e.ID)
	ce.SetType(e.Type)
	ce.SetSource("/projects/" + s.Project + "/snapshots/" + s.ID)
	ce.SetSubject(s.ID)
	ce.SetTime(feature.Time(s.CreatedAt))
	ce.SetDataSchema(eventURL)
	if err = ce.SetData(cloudevents.ApplicationJSON, json.RawMessage(data)); err == nil {
		e.Payload, err = json.Marshal(ce)
	}
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "openlineage.event", "snapshot "+s.ID, "%w", err)
	}
	return e, nil
}
