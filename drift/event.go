package drift

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/weir-ml/weir/registry/feature"
)

// Types of events, and the schema of their data (docs/events.md).
const (
	DetectedType = "io.weir.drift.detected.v1"
	ResolvedType = "io.weir.drift.resolved.v1"
	DataSchema   = "urn:io.weir:schema:drift:v1"
	// EventContentType is the content type of a structured CloudEvent.
	EventContentType = "application/cloudevents+json"
)

// EventData is the data of a drift event: what docs/drift-v1.schema.json describes.
type EventData struct {
	Project string `json:"project"`
	Monitor string `json:"monitor"`
	Version int    `json:"monitor_version"`
	View    string `json:"view"`
	// Severity is the monitor's; of a resolved event, that of the event it ends.
	Severity  feature.Severity `json:"severity"`
	Resolves  string           `json:"resolves,omitempty"` // id of the event that this one ends
	Window    EventWindow      `json:"window"`
	Since     time.Time        `json:"since"` // start of the first window of the drift
	Reference EventReference   `json:"reference"`
	Alpha     float64          `json:"alpha"`
	Features  []EventFeature   `json:"features"`
	// Performance is set in the place of features of monitors that judge predictions.
	Performance *Performance `json:"performance,omitempty"`
	// Reason is of a resolved event that no window has brought.
	Reason string `json:"reason,omitempty"`
	// Retrain asks for a retraining: set on detected events of monitors that name a model or pipeline.
	Retrain *feature.Retrain `json:"retrain,omitempty"`
}

// EventWindow is the window that changed the state.
type EventWindow struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Rows  int64     `json:"rows"`
}

// EventReference is what the window was compared with: a snapshot or a range of time.
type EventReference struct {
	Model    string     `json:"model,omitempty"` // whose snapshot it is, where the monitor follows a model
	Version  string     `json:"model_version,omitempty"`
	Snapshot string     `json:"snapshot,omitempty"`
	From     *time.Time `json:"from,omitempty"`
	To       *time.Time `json:"to,omitempty"`
	// Trailing and Gap say that From and To are a time before the window.
	Trailing feature.Duration `json:"trailing,omitempty"`
	Gap      feature.Duration `json:"gap,omitempty"`
	// Baseline are the values of a monitor of performance that has no other reference.
	Baseline map[string]float64 `json:"baseline,omitempty"`
}

// EventFeature is one feature of the window that changed the state.
type EventFeature struct {
	Name      string   `json:"name"`
	Outcome   Outcome  `json:"outcome"`
	Drifted   bool     `json:"drifted"`
	Test      string   `json:"test,omitempty"`
	Statistic *float64 `json:"statistic,omitempty"`
	PValue    *float64 `json:"p_value,omitempty"`
	PSI       *float64 `json:"psi,omitempty"`
	JS        *float64 `json:"js,omitempty"`
	Count     int64    `json:"count"`
	Nulls     int64    `json:"nulls"`
	RefCount  int64    `json:"reference_count"`
	RefNulls  int64    `json:"reference_nulls"`
	Distance  *float64 `json:"distance,omitempty"`
	Reasons   []string `json:"reasons,omitempty"`
	Checks    []Check  `json:"checks,omitempty"`
}

// eventSpace is the name space of event ids.
var eventSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:io.weir:drift:event"))

// EventID is the id of a monitor's change of state. The same change always has
// the same id, so whoever receives it twice can tell.
func EventID(m *feature.Monitor, windowStart int64, eventType string) string {
	return eventID(m, windowStart, eventType, 0)
}

// eventID tells the verdicts of one window apart, which may change the state more than once.
func eventID(m *feature.Monitor, windowStart int64, eventType string, amended int64) string {
	parts := []string{m.Meta.Project, m.Meta.Name, strconv.Itoa(m.Version), strconv.FormatInt(windowStart, 10), eventType}
	if amended > 0 {
		parts = append(parts, strconv.FormatInt(amended, 10))
	}
	name := strings.Join(parts, "\x00")
	return uuid.NewSHA1(eventSpace, []byte(name)).String()
}

// newEvent makes the event of a change of state.
func newEvent(m *feature.Monitor, w *WindowRecord, v *Verdict, since int64, kind string, began beginning, now time.Time) (*Event, error) {
	d := EventData{
		Project: m.Meta.Project, Monitor: m.Meta.Name, Version: m.Version, View: m.View,
		Window:   EventWindow{feature.Time(w.Start), feature.Time(w.End), w.Rows},
		Severity: m.Severity, Since: feature.Time(since), Alpha: v.Alpha, Features: make([]EventFeature, len(v.Features)), Performance: v.Performance,
	}
	if c := v.Compared; c != nil {
		d.Reference = EventReference{Snapshot: c.Snapshot, Model: c.Model, Version: c.Version}
	} else if p := m.Performance; p != nil && len(p.Baseline) > 0 {
		d.Reference.Baseline = p.Baseline
	} else if r := m.Reference; r.Snapshot != "" {
		d.Reference.Snapshot = r.Snapshot
	} else if r.Trailing > 0 {
		at, until := r.Before(w.Start)
		from, to := feature.Time(at), feature.Time(until)
		d.Reference = EventReference{From: &from, To: &to, Trailing: r.Trailing, Gap: r.Gap}
	} else {
		from, to := r.From.UTC(), r.To.UTC()
		d.Reference.From, d.Reference.To = &from, &to
	}
	for i := range v.Features {
		r := &v.Features[i]
		d.Features[i] = EventFeature{
			Name: r.Name, Outcome: r.Outcome, Drifted: r.Drifted(), Test: r.Test, Statistic: r.Statistic, PValue: r.PValue,
			PSI: r.PSI, JS: r.JS, Count: r.Count, Nulls: r.Nulls, RefCount: r.RefCount, RefNulls: r.RefNulls,
			Distance: r.Distance, Reasons: r.Reasons(), Checks: r.Checks,
		}
	}
	e := &Event{
		ID: eventID(m, w.Start, kind, w.Amended), Project: m.Meta.Project, Owner: m.Meta.Name, View: m.View, Type: kind,
		Time: now.UnixMicro(), WindowStart: w.Start, WindowEnd: w.End,
	}
	if kind == ResolvedType && began.event != "" {
		d.Severity, d.Resolves = began.severity, began.event
	}
	if d.Severity == "" {
		d.Severity = feature.Warning
	}
	if kind == DetectedType && m.Retrain != (feature.Retrain{}) {
		d.Retrain, e.Retrain = &m.Retrain, true
	}
	ce := cloudevents.New()
	ce.SetID(e.ID)
	ce.SetType(kind)
	ce.SetSource("/projects/" + m.Meta.Project + "/monitors/" + m.Meta.Name)
	ce.SetSubject(m.Meta.Name)
	ce.SetTime(now.UTC())
	ce.SetDataSchema(DataSchema)
	err := ce.SetData(cloudevents.ApplicationJSON, d)
	if err == nil {
		e.Payload, err = json.Marshal(ce)
	}
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "drift.event", "monitor "+m.ID(), "%w", err)
	}
	return e, nil
}
