package deadletter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/weir-ml/weir/internal/tally"
	"github.com/weir-ml/weir/registry/feature"
)

// Types of events, and the schema of their data (docs/delivery-v1.schema.json).
const (
	FailedType   = "io.weir.delivery.failed.v1"
	ResolvedType = "io.weir.delivery.resolved.v1"
	DataSchema   = "urn:io.weir:schema:delivery:v1"
)

// Data is the data of an event.
type Data struct {
	Project     string           `json:"project"`     // whose events were given up
	Destination string           `json:"destination"` // that did not take them
	Firing      bool             `json:"firing"`
	Severity    feature.Severity `json:"severity"`
	Since       time.Time        `json:"since"` // when the first of them was given up
	Reason      string           `json:"reason"`
	Dead        int64            `json:"dead"` // how many there were when it began
	LastError   string           `json:"last_error,omitempty"`
	Resolves    string           `json:"resolves,omitempty"` // id of the event that this one ends
}

// size marks the series of destinations among those of other owners.
const size = "delivery"

// owner is what the series of a destination is called; it has neither the slash of suites nor the colon of rules.
const owner = "delivery@"

func seriesOf(project, destination string) tally.Series {
	return tally.Series{Project: project, Owner: owner + destination, Size: size}
}

func destinationOf(s tally.Series) (string, bool) {
	d, ok := strings.CutPrefix(s.Owner, owner)
	return d, ok && s.Size == size
}

// eventSpace is the name space of event ids.
var eventSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:io.weir:delivery:event"))

// newEvent makes the event of a change; revision is that of the state it changes, which no other change has.
func newEvent(s tally.Series, d *Data, revision int64, now time.Time) (*tally.Event, error) {
	kind := ResolvedType
	if d.Firing {
		kind = FailedType
	}
	id := uuid.NewSHA1(eventSpace, []byte(strings.Join([]string{s.Project, s.Owner, strconv.FormatInt(revision, 10)}, "\x00"))).String()
	e := &tally.Event{ID: id, Project: s.Project, Owner: s.Owner, Type: kind, Time: now.UnixMicro()}
	ce := cloudevents.New()
	ce.SetID(id)
	ce.SetType(kind)
	ce.SetSource("/projects/" + s.Project + "/destinations/" + d.Destination)
	ce.SetSubject(d.Destination)
	ce.SetTime(now.UTC())
	ce.SetDataSchema(DataSchema)
	err := ce.SetData(cloudevents.ApplicationJSON, d)
	if err == nil {
		e.Payload, err = json.Marshal(ce)
	}
	if err != nil {
		return nil, feature.Errorf(feature.Internal, "outbox.deadletter", "destination "+d.Destination, "%w", err)
	}
	return e, nil
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
