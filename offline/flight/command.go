package flight

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry/feature"
)

// Command is what a client asks for, as the JSON of a descriptor's command.
// Either Service or Features is there; everything else may be left out.
type Command struct {
	// ID sets this upload apart from others; only DoPut needs one.
	ID       string   `json:"id,omitempty"`
	Project  string   `json:"project,omitempty"` // "default" when empty
	Service  string   `json:"service,omitempty"`
	Features []string `json:"features,omitempty"` // view:feature or view:*
	// FullNames calls each feature view__feature. Nothing is recorded then.
	FullNames  bool     `json:"full_names,omitempty"`
	Time       string   `json:"time,omitempty"`        // known or event
	TimeColumn string   `json:"time_column,omitempty"` // event_timestamp when empty
	TimeUnit   string   `json:"time_unit,omitempty"`   // of a time column of integers: s, ms, us, ns
	Versions   []string `json:"versions,omitempty"`    // VERSION, or VIEW=VERSION
	// Record keeps the set as a snapshot: where nothing is said, if it is one of a service.
	Record *bool `json:"record,omitempty"`
	// Split puts each row into a part, whose name is in the last column, "split": by the hash of
	// the entity (or the columns of SplitBy) where parts have shares, by time where they begin at one.
	Split     []Part   `json:"split,omitempty"`
	SplitBy   []string `json:"split_by,omitempty"`
	SplitSeed uint64   `json:"split_seed,omitempty"`
}

const opFlight = "flight"

func invalid(what, format string, args ...any) *feature.Error {
	return feature.Errorf(feature.Invalid, opFlight, what, format, args...)
}

const exampleCommand = `a command is like {"service":"churn"} or {"features":["customer:*"],"time":"event"}`

// descriptor tells what a descriptor asks for: a command of ours, or one of Feast's
// SDK. A path of one or two names is a service, or a project and its service.
func descriptor(d *arrowflight.FlightDescriptor) (own *Command, feast *feastCommand, err error) {
	switch {
	case d == nil:
		return nil, nil, invalid("descriptor", "there is none").WithHint(exampleCommand)
	case d.Type == arrowflight.DescriptorPATH && len(d.Path) == 1:
		own = &Command{Service: d.Path[0]}
	case d.Type == arrowflight.DescriptorPATH && len(d.Path) == 2:
		own = &Command{Project: d.Path[0], Service: d.Path[1]}
	case d.Type == arrowflight.DescriptorPATH:
		return nil, nil, invalid("path", "it has %d names", len(d.Path)).WithHint("a path is SERVICE or PROJECT, SERVICE")
	default:
		var probe struct {
			API *string `json:"api"`
		}
		if json.Unmarshal(d.Cmd, &probe) == nil && probe.API != nil {
			feast, err = parseFeast(d.Cmd)
			return nil, feast, err
		}
		if own, err = ParseCommand(d.Cmd); err != nil {
			return nil, nil, err
		}
		return own, nil, nil
	}
	return own, nil, own.check()
}

// ParseCommand reads a command. Every field has to be known.
func ParseCommand(b []byte) (*Command, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	c := new(Command)
	if err := dec.Decode(c); err != nil {
		return nil, invalid("command", "%w", tidy(err)).WithHint(exampleCommand)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("command", "something follows the JSON object").WithHint(exampleCommand)
	}
	return c, c.check()
}

// tidy drops what only Go programmers want to know.
func tidy(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return errors.New(wrong.Field + " may not be of type " + wrong.Value)
	case errors.As(err, &wrong):
		return errors.New("it may not be of type " + wrong.Value)
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// check reports all faults at once.
func (c *Command) check() error {
	var faults []error
	switch {
	case c.Service == "" && len(c.Features) == 0:
		faults = append(faults, errors.New("neither service nor features is given"))
	case c.Service != "" && len(c.Features) > 0:
		faults = append(faults, errors.New("service and features are both given; choose one"))
	}
	if slices.Contains(c.Features, "") {
		faults = append(faults, errors.New("a feature has no name"))
	}
	if _, err := clock(c.Time); err != nil {
		faults = append(faults, err)
	}
	switch c.TimeUnit {
	case "", "s", "ms", "us", "ns":
	default:
		faults = append(faults, errors.New("time_unit must be s, ms, us or ns"))
	}
	if _, err := c.split(); err != nil {
		faults = append(faults, err)
	}
	if c.Record != nil && *c.Record && len(c.Features) > 0 {
		faults = append(faults, errors.New("features by name are not recorded; define a service of them"))
	}
	if c.Record != nil && *c.Record && c.FullNames {
		faults = append(faults, errors.New("a set with full_names is not recorded; leave out one of the two"))
	}
	if len(faults) > 0 {
		return invalid("command", "%w", errors.Join(faults...)).WithHint(exampleCommand)
	}
	return nil
}

func clock(text string) (feature.Clock, error) {
	switch c := feature.Clock(text); c {
	case "", feature.KnownClock, feature.EventClock:
		return c, nil
	}
	return "", errors.New("time must be known or event")
}

// request is the command as a trainer takes it; spine, Begin and Sink are missing.
func (c *Command) request() offline.TrainingRequest {
	at, _ := clock(c.Time) // checked
	split, _ := c.split()
	return offline.TrainingRequest{
		Project: c.Project, Service: c.Service, Features: c.Features, FullNames: c.FullNames, Clock: at,
		Versions: c.Versions, Unrecorded: c.Record != nil && !*c.Record, Split: split,
		Spine: offline.Spine{Time: c.TimeColumn, Unit: c.TimeUnit},
	}
}
