package drift

import (
	"context"
	"encoding/json"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// unwatchedReason is what the end of a drift says that no window has ended.
const unwatchedReason = "the monitor is no longer watched: it was deleted, or its view or its windows are others now"

// forgotten ends the drift of a monitor that was deleted, or whose view or windows are others now: nothing will
// ever judge it, and whoever was told of its beginning would be told again and again that it goes on.
func (j *judging) forgotten(ctx context.Context, st tally.State) (bool, error) {
	began, err := j.beginning(ctx, st.Series)
	if err != nil {
		return false, err
	}
	now := j.now()
	next := st
	next.Firing, next.Streak, next.Since, next.Before = false, 0, 0, nil
	change := &tally.Change{Next: &next, At: now}
	if began.event != "" {
		e, err := endOf(st, began, now)
		if err != nil {
			return false, err
		}
		s := outbox.Subject{Project: e.Project, Type: e.Type, Owner: e.Owner, View: e.View, Severity: began.severity}
		next.Event = e.ID
		change.Event, change.Outbox = e, e.Entries(j.route(s), map[string]string{"content-type": EventContentType})
	}
	ok, err := j.store.Tell(ctx, change)
	if err != nil || !ok {
		return false, err // somebody else has judged or ended it
	}
	j.show(&next)
	if change.Event != nil {
		j.met.events.WithLabelValues(st.Project, st.Owner, change.Event.Type).Inc()
		j.log.Info("drift resolved", "monitor", st.Project+"/"+st.Owner, "view", st.View, "reason", unwatchedReason, "event", change.Event.ID)
	}
	return true, nil
}

// endOf makes the resolved event of what the event that told of the beginning says. Its id is made of that event's.
func endOf(st tally.State, began beginning, now time.Time) (*Event, error) {
	fault := func(err error) error {
		return feature.Errorf(feature.Internal, "drift.event", "monitor "+st.Project+"/"+st.Owner, "%w", err)
	}
	ce := cloudevents.New()
	var d EventData
	if err := json.Unmarshal(began.payload, &ce); err != nil {
		return nil, fault(err)
	}
	if err := ce.DataAs(&d); err != nil {
		return nil, fault(err)
	}
	e := &Event{ID: uuid.NewSHA1(eventSpace, []byte(began.event+"\x00unwatched")).String(), Project: st.Project, Owner: st.Owner, View: st.View,
		Type: ResolvedType, Time: now.UnixMicro(), WindowStart: d.Window.Start.UnixMicro(), WindowEnd: d.Window.End.UnixMicro()}
	d.Severity, d.Resolves, d.Reason, d.Retrain = began.severity, began.event, unwatchedReason, nil
	ce.SetID(e.ID)
	ce.SetType(e.Type)
	ce.SetTime(now.UTC())
	err := ce.SetData(cloudevents.ApplicationJSON, d)
	if err == nil {
		e.Payload, err = json.Marshal(ce)
	}
	if err != nil {
		return nil, fault(err)
	}
	return e, nil
}
