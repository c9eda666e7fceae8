package feature

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// DefaultMaxFuture is how far an event time may lie ahead of the known time.
const DefaultMaxFuture = Duration(5 * time.Minute)

// TimeField says where a time stands in the event and how it is written.
type TimeField struct {
	Field  string `json:"field"`            // dotted path in the event
	Format string `json:"format,omitempty"` // one of TimeFormats; rfc3339 when empty
}

// TimeFormats are the ways an event may write a time. rfc3339 accepts any
// offset and up to nine digits of fraction (truncated to microseconds); naive
// is rfc3339 without an offset, taken as UTC, "T" or a space between; the others are numbers.
var TimeFormats = []string{"rfc3339", "naive", "unix_s", "unix_ms", "unix_us", "unix_ns"}

// Source is a Kafka topic with the shape of its events.
type Source struct {
	Meta   Meta            `json:"metadata"`
	Topic  string          `json:"topic"`
	Format string          `json:"format,omitempty"` // one of Formats; json when empty
	Schema json.RawMessage `json:"schema,omitempty"` // JSON Schema of the event; empty accepts any object
	// EventSchema is the schema by which events of another format than JSON are read: an
	// Avro schema, or the text of a .proto file. Where a schema registry says how an event was
	// written, it is what Avro's schema resolution makes of it.
	EventSchema json.RawMessage `json:"event_schema,omitempty"`
	Message     string          `json:"message,omitempty"` // protobuf: full name of the event's message; the first of EventSchema when empty
	// SchemaRegistry tells that events begin with the id of the schema that they were written by.
	SchemaRegistry *SchemaRegistry `json:"schema_registry,omitempty"`
	// Compatibility is what a new schema has to keep, one of Compatibilities. When empty: backward,
	// and none with events in JSON, whose schema is there to hold events back.
	Compatibility string     `json:"compatibility,omitempty"`
	EventTime     TimeField  `json:"event_time"`
	Created       *TimeField `json:"created,omitempty"`    // known time; the record's timestamp when nil
	MaxFuture     Duration   `json:"max_future,omitempty"` // DefaultMaxFuture when 0
	// NullValues are the texts that mean null in a CSV import; "" always does.
	NullValues []string `json:"null_values,omitempty"`
}

func (s *Source) Kind() Kind     { return KindSource }
func (s *Source) GetMeta() *Meta { return &s.Meta }
func (s *Source) Refs() []Ref    { return nil }

// Future is MaxFuture with its default, in microseconds.
func (s *Source) Future() int64 {
	if s.MaxFuture == 0 {
		return DefaultMaxFuture.Micros()
	}
	return s.MaxFuture.Micros()
}

func (s *Source) Check() []Fault {
	f := s.Meta.check()
	if s.Topic == "" {
		f = append(f, Fault{"spec.topic", "a Kafka topic is required"})
	} else if !validTopic(s.Topic) {
		f = append(f, Fault{"spec.topic", fmt.Sprintf("%q is not a topic name: letters, digits, '.', '_' and '-' (249 at most)", s.Topic)})
	}
	f = append(f, s.checkFormat()...)
	f = append(f, s.EventTime.check("spec.event_time")...)
	if s.Created != nil {
		f = append(f, s.Created.check("spec.created")...)
		if s.Created.Field == s.EventTime.Field && cmp.Or(s.Created.Format, "rfc3339") != cmp.Or(s.EventTime.Format, "rfc3339") {
			f = append(f, Fault{"spec.created.format", fmt.Sprintf("field %q is the event time too, as %s: one field has one format", s.Created.Field, cmp.Or(s.EventTime.Format, "rfc3339"))})
		}
	}
	if s.MaxFuture < 0 {
		f = append(f, Fault{"spec.max_future", "must not be negative"})
	}
	return f
}

func (t TimeField) check(at string) []Fault {
	var f []Fault
	if t.Field == "" {
		f = append(f, Fault{at + ".field", "the event's field that holds the time is required"})
	}
	if t.Format != "" && !slices.Contains(TimeFormats, t.Format) {
		f = append(f, Fault{at + ".format", fmt.Sprintf("unknown time format %q: use one of %v", t.Format, TimeFormats)})
	}
	return f
}

func validTopic(s string) bool {
	if len(s) > 249 || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
