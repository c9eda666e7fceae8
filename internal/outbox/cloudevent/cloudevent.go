// Package cloudevent puts a stored event, which is a CloudEvent in structured
// JSON, on the wire in the binary mode of CloudEvents 1.0: the data alone as the
// body, and every other attribute as a header.
//
// The one rule: what is converted is the event as it is stored; no attribute is
// added, left out or changed.
package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// The modes of CloudEvents.
const (
	Structured = "structured"
	Binary     = "binary"
)

// Event is a CloudEvent taken apart.
type Event struct {
	Attributes  map[string]string // all but datacontenttype
	ContentType string            // of the data: datacontenttype
	Data        []byte
}

// Parse takes structured JSON apart.
func Parse(payload []byte) (*Event, error) {
	fault := func(format string, args ...any) error {
		return feature.Errorf(feature.Invalid, "cloudevent", "event", format, args...)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return nil, fault("%w", err)
	}
	e := &Event{Attributes: map[string]string{}, ContentType: "application/json"}
	for name, raw := range all {
		text, err := canonical(raw)
		switch {
		case name == "data":
			e.Data = raw
			continue
		case err != nil:
			return nil, fault("%s: %w", name, err)
		case name == "data_base64":
			if e.Data, err = base64.StdEncoding.DecodeString(text); err != nil {
				return nil, fault("%s: %w", name, err)
			}
		case name == "datacontenttype":
			e.ContentType = text
		case !bytes.Equal(raw, []byte("null")):
			e.Attributes[name] = text
		}
	}
	for _, required := range []string{"id", "source", "specversion", "type"} {
		if e.Attributes[required] == "" {
			return nil, fault("it has no %s", required)
		}
	}
	return e, nil
}

// canonical is the text form of an attribute: of strings themselves, of numbers and truths as JSON writes them.
func canonical(raw json.RawMessage) (string, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, nil
	}
	if len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') {
		return "", fmt.Errorf("an attribute is text, a number or a truth")
	}
	return string(raw), nil
}

// HTTP are the headers and the body of the event by the HTTP binding. Header values are ASCII: whatever
// else they have, and spaces, quotes and percent signs, is percent-encoded UTF-8.
func (e *Event) HTTP() (map[string]string, []byte) {
	h := map[string]string{"content-type": e.ContentType}
	for name, v := range e.Attributes {
		h["ce-"+name] = encoded(v)
	}
	return h, e.Data
}

// Kafka are the headers and the value of the event by the Kafka binding: UTF-8 as it is.
func (e *Event) Kafka() (map[string]string, []byte) {
	h := map[string]string{"content-type": e.ContentType}
	for name, v := range e.Attributes {
		h["ce_"+name] = v
	}
	return h, e.Data
}

func encoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
