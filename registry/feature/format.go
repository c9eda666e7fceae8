package feature

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// How events are written.
const (
	FormatJSON     = "json"
	FormatAvro     = "avro"
	FormatProtobuf = "protobuf"
)

// Formats are the ways in which events may be written.
var Formats = []string{FormatJSON, FormatAvro, FormatProtobuf}

// SchemaRegistry says under which subject the schemas of a source's events are registered.
type SchemaRegistry struct {
	Subject string `json:"subject"`
}

// What a changed schema has to keep. Backward: it reads what was written by the one
// before. Forward: the one before reads what is written by it. The transitive ones ask
// that of all that the source ever had. Of events in JSON it is their JSON Schema, and to
// read an event is to pass it.
const (
	CompatibilityNone     = "none"
	CompatibilityBackward = "backward"
	CompatibilityForward  = "forward"
	CompatibilityFull     = "full"
	Transitive            = "_transitive"
)

// Compatibilities are what a source may ask of a changed schema.
var Compatibilities = []string{CompatibilityNone, CompatibilityBackward, CompatibilityForward, CompatibilityFull,
	CompatibilityBackward + Transitive, CompatibilityForward + Transitive, CompatibilityFull + Transitive}

// EventFormat is Format with its default.
func (s *Source) EventFormat() string { return cmp.Or(s.Format, FormatJSON) }

// Encoded reports whether a payload of the source is anything but the JSON of its event.
func (s *Source) Encoded() bool { return s.EventFormat() != FormatJSON || s.SchemaRegistry != nil }

// Encoding is equal for sources whose payloads are read alike.
func (s *Source) Encoding() string {
	if !s.Encoded() {
		return ""
	}
	b, _ := json.Marshal([]any{s.EventFormat(), string(s.EventSchema), s.Message, s.SchemaRegistry}) // texts: it cannot fail
	return string(b)
}

func (s *Source) checkFormat() []Fault {
	var f []Fault
	format := s.EventFormat()
	if !slices.Contains(Formats, format) {
		return []Fault{{"spec.format", fmt.Sprintf("%q is not supported: use one of %v", s.Format, Formats)}}
	}
	if format == FormatJSON && len(s.EventSchema) > 0 {
		f = append(f, Fault{"spec.event_schema", "events in JSON have none: write a JSON Schema under schema, or set format"})
	}
	if format != FormatJSON && len(s.EventSchema) == 0 && s.SchemaRegistry == nil {
		f = append(f, Fault{"spec.event_schema", fmt.Sprintf("events in %s are read by a schema: write it here, name its file with event_schema_file, or set schema_registry", format)})
	}
	if s.SchemaRegistry != nil && s.SchemaRegistry.Subject == "" {
		f = append(f, Fault{"spec.schema_registry.subject", "the subject of the events' schemas is required"})
	}
	if format == FormatProtobuf && len(s.EventSchema) > 0 && s.SchemaRegistry != nil {
		f = append(f, Fault{"spec.event_schema", "events in protobuf are read by the schema that the registry has for them: leave one of event_schema and schema_registry out"})
	}
	if format != FormatProtobuf && s.Message != "" {
		f = append(f, Fault{"spec.message", "only events in protobuf have one"})
	}
	if s.Compatibility != "" && !slices.Contains(Compatibilities, s.Compatibility) {
		f = append(f, Fault{"spec.compatibility", fmt.Sprintf("%q is not supported: use one of %v", s.Compatibility, Compatibilities)})
	}
	return f
}
