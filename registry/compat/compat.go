package compat

import (
	"fmt"
	"strings"

	"github.com/weir-ml/weir/internal/avroschema"
	"github.com/weir-ml/weir/registry/feature"
)

// Schema is a version of a source's event schema.
type Schema struct {
	Format  string // one of feature.Formats
	Text    []byte // as a source has it; of JSON its JSON Schema
	Message string // protobuf: the event's message
}

// Check says, a sentence each, what a schema breaks of a policy (one of
// feature.Compatibilities, backward when empty), with the versions before it, newest first.
// A policy that is not transitive looks at the newest alone. A schema of another format is
// not compared.
func Check(policy string, now Schema, before []Schema) ([]string, error) {
	if policy == "" {
		policy = feature.CompatibilityBackward
	}
	kind, transitive := strings.CutSuffix(policy, feature.Transitive)
	if kind == feature.CompatibilityNone {
		return nil, nil
	}
	if !transitive && len(before) > 1 {
		before = before[:1]
	}
	var out []string
	for i, old := range before {
		if old.Format != now.Format {
			continue
		}
		read, err := reads(old, now)
		if err != nil {
			return nil, err
		}
		which := "by the schema before"
		if i > 0 {
			which = fmt.Sprintf("by the schema of %d changes ago", i+1)
		}
		backward, forward := "events written %s cannot be read: %s", "events written by the new schema cannot be read %s: %s"
		if now.Format == feature.FormatJSON {
			backward, forward = "events that are passed %s may be held back: %s", "events that the new schema passes may be held back %s: %s"
		}
		if kind == feature.CompatibilityBackward || kind == feature.CompatibilityFull {
			for _, why := range read.backward {
				out = append(out, fmt.Sprintf(backward, which, why))
			}
		}
		if kind == feature.CompatibilityForward || kind == feature.CompatibilityFull {
			for _, why := range read.forward {
				out = append(out, fmt.Sprintf(forward, which, why))
			}
		}
	}
	return out, nil
}

// both is why events of an old schema are not read by a new one, and the other way round.
type both struct{ backward, forward []string }

func reads(old, now Schema) (out both, err error) {
	if now.Format == feature.FormatProtobuf {
		a, err := protoMessage(old)
		if err != nil {
			return out, err
		}
		b, err := protoMessage(now)
		if err != nil {
			return out, err
		}
		return both{Protobuf(a, b), Protobuf(b, a)}, nil
	}
	if now.Format == feature.FormatJSON {
		return both{JSON(old.Text, now.Text), JSON(now.Text, old.Text)}, nil
	}
	a, err := avroschema.Parse(old.Text)
	if err != nil {
		return out, err
	}
	b, err := avroschema.Parse(now.Text)
	if err != nil {
		return out, err
	}
	return both{Avro(a, b), Avro(b, a)}, nil
}
