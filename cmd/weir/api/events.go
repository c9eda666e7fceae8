package api

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// EventDestination is where all events are delivered: the project's Kafka topic.
const EventDestination = "kafka"

// Events is weir.v1.EventService.
type Events struct {
	weirv1.UnimplementedEventServiceServer
	Reader *drift.Reader
	Outbox outbox.Store
	Told   func() // called when entries are pending again; nil where this process delivers nothing
}

// goodness is the states of a delivery from the best to the worst.
var goodness = []outbox.State{outbox.Delivered, outbox.Discarded, outbox.Pending, outbox.Dead}

// mostEvents bounds what is searched for those that are asked for.
const mostEvents = 10_000

// List lists events, newest first, with how their delivery stands.
func (s *Events) List(ctx context.Context, req *weirv1.ListEventsRequest) (*weirv1.ListEventsResponse, error) {
	if req.State != "" && !slices.Contains(goodness, outbox.State(req.State)) {
		return nil, feature.Errorf(feature.Invalid, "events.list", "state "+req.State, "there is no such state").
			WithHint("use pending, delivered, dead or discarded")
	}
	most := limit(req.Limit, 100)
	q := drift.EventQuery{Project: req.Project, Owner: req.Monitor, Limit: most}
	if req.Type != "" || req.View != "" || req.State != "" {
		q.Limit = max(most, mostEvents) // of all, to find enough of one
	}
	evs, err := s.Reader.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	evs = slices.DeleteFunc(evs, func(e drift.Event) bool {
		return req.Type != "" && req.Type != e.Type || req.View != "" && req.View != e.View
	})
	resp := &weirv1.ListEventsResponse{}
	for part := range slices.Chunk(evs, 100) {
		deliveries, err := s.deliveries(ctx, part)
		if err != nil {
			return nil, err
		}
		for i := range part {
			to := deliveries[part[i].ID]
			if req.State != "" && !slices.ContainsFunc(to, func(x outbox.Entry) bool { return string(x.State) == req.State }) {
				continue
			}
			if len(resp.Events) == most {
				return resp, nil
			}
			e, err := eventOf(&part[i], to)
			if err != nil {
				return nil, err
			}
			resp.Events = append(resp.Events, e)
		}
	}
	return resp, nil
}

// Get gives one event as it was told.
func (s *Events) Get(ctx context.Context, req *weirv1.GetEventRequest) (*weirv1.GetEventResponse, error) {
	e, err := s.event(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	deliveries, err := s.deliveries(ctx, []tally.Event{*e})
	if err != nil {
		return nil, err
	}
	out, err := eventOf(e, deliveries[e.ID])
	if err != nil {
		return nil, err
	}
	return &weirv1.GetEventResponse{Event: out, Payload: e.Payload}, nil
}

// Resend makes deliveries pending again.
func (s *Events) Resend(ctx context.Context, req *weirv1.ResendEventsRequest) (*weirv1.ResendEventsResponse, error) {
	n, err := s.change(ctx, request{"events.resend", req.Id, req.Destination, req.Dead, req.Project}, s.Outbox.Resend, nil)
	if err == nil && n > 0 && s.Told != nil {
		s.Told()
	}
	return &weirv1.ResendEventsResponse{Entries: n}, err
}

// Discard ends deliveries that were given up.
func (s *Events) Discard(ctx context.Context, req *weirv1.DiscardEventsRequest) (*weirv1.DiscardEventsResponse, error) {
	n, err := s.change(ctx, request{"events.discard", req.Id, req.Destination, req.Dead, req.Project}, s.Outbox.Discard, []outbox.State{outbox.Dead})
	return &weirv1.DiscardEventsResponse{Entries: n}, err
}

// request is what Resend and Discard are asked.
type request struct {
	op, id, destination string
	dead                bool
	project             string
}

// change has an entry of the outbox changed for each delivery that is meant: of one event those in one
// of the states (any when there are none), or all that are dead.
func (s *Events) change(ctx context.Context, r request, to func(context.Context, []string, time.Time) (int64, error), states []outbox.State) (total int64, err error) {
	if r.dead == (r.id != "") {
		return 0, feature.Errorf(feature.Invalid, r.op, "request", "name one event, or ask for all that are dead")
	}
	if r.dead {
		for below := int64(0); ; { // what is given up anew meanwhile is not sent once more
			all, err := s.Outbox.Entries(ctx, outbox.Query{State: outbox.Dead, Destination: r.destination, Scope: r.project, Below: below, Limit: 1000})
			if err != nil || len(all) == 0 {
				return total, err
			}
			below = all[len(all)-1].Seq
			n, err := to(ctx, ids(all), time.Now())
			if total += n; err != nil {
				return total, err
			}
		}
	}
	if _, err := s.event(ctx, r.id); err != nil {
		return 0, err
	}
	all, err := s.Outbox.Entries(ctx, outbox.Query{Events: []string{r.id}, Destination: r.destination, Limit: 1000})
	if err != nil {
		return 0, err
	}
	if len(states) > 0 {
		all = slices.DeleteFunc(all, func(e outbox.Entry) bool { return !slices.Contains(states, e.State) })
	}
	if len(all) == 0 {
		what := "event " + r.id
		if r.destination != "" {
			what += " to " + r.destination
		}
		return 0, feature.Errorf(feature.NotFound, r.op, what, "there is no such delivery").
			WithHint("weir events show %s lists those there are", r.id)
	}
	return to(ctx, ids(all), time.Now())
}

func ids(all []outbox.Entry) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].ID
	}
	return out
}

func (s *Events) event(ctx context.Context, id string) (*tally.Event, error) {
	if id != "" {
		evs, err := s.Reader.Events(ctx, drift.EventQuery{ID: id, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(evs) == 1 {
			return &evs[0], nil
		}
	}
	return nil, feature.Errorf(feature.NotFound, "events", "event "+id, "there is none").WithHint("weir events list shows the newest")
}

// deliveries are the entries of events, by event, each by destination.
func (s *Events) deliveries(ctx context.Context, evs []tally.Event) (map[string][]outbox.Entry, error) {
	q := outbox.Query{Limit: 100 * len(evs)}
	for i := range evs {
		q.Events = append(q.Events, evs[i].ID)
	}
	all, err := s.Outbox.Entries(ctx, q)
	out := map[string][]outbox.Entry{}
	for _, x := range slices.Backward(all) { // in the order of their recording
		out[x.Event()] = append(out[x.Event()], x)
	}
	return out, err
}

// eventOf is an event in the words of the wire, with the least good of its deliveries for all.
func eventOf(e *tally.Event, to []outbox.Entry) (*weirv1.Event, error) {
	var ce struct {
		Source  string          `json:"source"`
		Subject string          `json:"subject"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(e.Payload, &ce); err != nil {
		return nil, feature.Errorf(feature.Internal, "events", e.ID, "%w", err)
	}
	out := &weirv1.Event{Id: e.ID, Type: e.Type, Source: ce.Source, Subject: ce.Subject, Time: e.Time, Project: e.Project, Monitor: e.Owner, View: e.View, Data: ce.Data}
	worst := -1
	for i := range to {
		x := &to[i]
		d := &weirv1.Delivery{Destination: x.Destination, State: string(x.State), Attempts: int32(x.Attempts), LastError: x.LastError, UpdatedAt: x.Updated}
		if x.State == outbox.Pending {
			d.NextTry = x.NextTry
		}
		out.Deliveries = append(out.Deliveries, d)
		at := slices.Index(goodness, x.State)
		if at <= worst {
			continue
		}
		worst = at
		out.State, out.Attempts, out.LastError, out.DeliveredAt = string(x.State), int32(x.Attempts), x.LastError, 0
		if x.State == outbox.Delivered {
			out.DeliveredAt = x.Updated
		} else if len(to) > 1 && x.LastError != "" {
			out.LastError = x.Destination + ": " + x.LastError
		}
	}
	return out, nil
}
