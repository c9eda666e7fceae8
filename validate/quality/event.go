package quality

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/weir-ml/weir/internal/outbox"
	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Rule is what an alert is about.
type Rule string

const (
	SuiteRule  Rule = "suite"       // a suite, by window
	Freshness  Rule = "freshness"   // no row has landed for too long
	Volume     Rule = "volume"      // too few or too many rows have landed
	RejectRate Rule = "reject_rate" // too large a share was held back: the view is paused
)

// DataSchema names the schema of the events' data (docs/quality-v1.schema.json),
// ContentType is that of a structured CloudEvent.
const (
	DataSchema  = "urn:io.weir:schema:quality:v1"
	ContentType = "application/cloudevents+json"
)

// EventType is the type of the CloudEvent that tells a rule's change.
func EventType(r Rule, firing bool) string {
	bad := map[Rule]string{SuiteRule: "quality.failed", Freshness: "freshness.stale", Volume: "volume.off", RejectRate: "view.paused"}
	good := map[Rule]string{SuiteRule: "quality.resolved", Freshness: "freshness.resolved", Volume: "volume.resolved", RejectRate: "view.resumed"}
	if firing {
		return "io.weir." + bad[r] + ".v1"
	}
	return "io.weir." + good[r] + ".v1"
}

// Alert is a change of state that is told: something began to fire, or ended. As
// JSON it is the data of the event, what docs/quality-v1.schema.json describes.
type Alert struct {
	Project  string           `json:"project"`
	View     string           `json:"view"`
	Rule     Rule             `json:"rule"`
	Firing   bool             `json:"firing"`
	Severity feature.Severity `json:"severity"` // critical when empty
	// Since is when it began: the start of the first failed window, the time of the
	// last row that landed, the time the view was paused.
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`             // one sentence for people
	Resolves string    `json:"resolves,omitempty"` // id of the event that this one ends

	// Of a suite.
	Suite        string       `json:"suite,omitempty"`
	SuiteVersion int          `json:"suite_version,omitempty"`
	Shadow       bool         `json:"shadow,omitempty"`
	Window       *AlertWindow `json:"window,omitempty"`
	// Expectations are those that failed; of a resolved event, those that the event it ends had.
	Expectations []Result `json:"expectations,omitempty"`

	FreshnessOf *FreshnessState `json:"freshness,omitempty"`
	VolumeOf    *VolumeState    `json:"volume,omitempty"`
	RejectsOf   *RejectState    `json:"rejects,omitempty"`
}

// AlertWindow is the window that changed the state.
type AlertWindow struct {
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Rows    int64     `json:"rows"`
	Early   bool      `json:"early,omitempty"`   // it still takes late rows, which may amend the verdict
	Amended int64     `json:"amended,omitempty"` // how often it was
}

// FreshnessState is how a stream's freshness stands.
type FreshnessState struct {
	Limit string     `json:"limit"`
	Last  *time.Time `json:"last,omitempty"` // when rows last landed; absent where none ever did
}

// VolumeState is how many rows have landed.
type VolumeState struct {
	Per  string `json:"per"`
	Rows int64  `json:"rows"`
	Min  int64  `json:"min,omitempty"`
	Max  int64  `json:"max,omitempty"`
}

// RejectState is what paused a view.
type RejectState struct {
	Rate   float64 `json:"rate"` // share of the events that was held back
	Max    float64 `json:"max"`
	Events int64   `json:"events"` // of how many
	// Rules are the rules that events failed, with how many failed each.
	Rules map[string]int64 `json:"rules,omitempty"`
}

// ownerOf names the series of a rule: "orders:freshness". ownerOfSuite that of a suite: "orders/orders_sane".
func ownerOf(view string, r Rule) string     { return view + ":" + string(r) }
func ownerOfSuite(view, suite string) string { return view + "/" + suite }
func ruleSeries(project, owner string) tally.Series {
	return tally.Series{Project: project, Owner: owner}
}

// eventSpace is the name space of event ids.
var eventSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:io.weir:quality:event"))

// eventID is the same each time that one change is told, and another for each change.
func eventID(s tally.Series, kind string, change ...int64) string {
	parts := []string{s.Project, s.Owner, s.Size, kind}
	for _, n := range change {
		parts = append(parts, strconv.FormatInt(n, 10))
	}
	return uuid.NewSHA1(eventSpace, []byte(strings.Join(parts, "\x00"))).String()
}

// event makes the CloudEvent of an alert.
func (a *Alert) event(s tally.Series, now time.Time, change ...int64) (*tally.Event, error) {
	if a.Severity == "" {
		a.Severity = feature.Critical
	}
	a.Since = a.Since.UTC()
	kind := EventType(a.Rule, a.Firing)
	e := &tally.Event{
		ID: eventID(s, kind, change...), Project: s.Project, Owner: s.Owner, View: a.View, Type: kind, Time: now.UnixMicro(),
	}
	if a.Window != nil {
		e.WindowStart, e.WindowEnd = a.Window.Start.UnixMicro(), a.Window.End.UnixMicro()
	}
	ce := cloudevents.New()
	ce.SetID(e.ID)
	ce.SetType(kind)
	ce.SetSource("/projects/" + s.Project + "/views/" + a.View)
	ce.SetSubject(s.Owner)
	ce.SetTime(now.UTC())
	ce.SetDataSchema(DataSchema)
	err := ce.SetData(cloudevents.ApplicationJSON, a)
	if err == nil {
		e.Payload, err = json.Marshal(ce)
	}
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "quality.event", s.String(), "%w", err)
	}
	return e, nil
}

// entries are the outbox entries of an alert's event.
func (a *Alerts) entries(e *tally.Event, x *Alert) []outbox.Entry {
	to := a.route(outbox.Subject{Project: e.Project, Type: e.Type, Owner: e.Owner, View: e.View, Severity: x.Severity, Firing: x.Firing})
	return e.Entries(to, map[string]string{"content-type": ContentType})
}

// ReadAlert reads the data of an event.
func ReadAlert(payload []byte) (*Alert, error) {
	var ce struct {
		Data *Alert `json:"data"`
	}
	if err := json.Unmarshal(payload, &ce); err != nil || ce.Data == nil {
		return nil, feature.Errorf(feature.Internal, "quality.event", "payload", "it is not an event: %v", err)
	}
	return ce.Data, nil
}
