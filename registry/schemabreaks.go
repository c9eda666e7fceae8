package registry

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/weir-ml/weir/registry/compat"
	"github.com/weir-ml/weir/registry/feature"
)

// findSchemaBreaks says of each source whose event schema changes what the change
// breaks of the source's compatibility.
func (p *planner) findSchemaBreaks(ctx context.Context) error {
	for i := range p.plan.Changes {
		c := &p.plan.Changes[i]
		now, ok := c.Definition.(*feature.Source)
		if !ok || c.Action != Update || p.faulty[c.Ref()] || len(p.base.catalog.users[c.Ref()]) == 0 {
			continue
		}
		old, ok := p.base.catalog.defs[c.Ref()].(*feature.Source)
		if !ok || old.EventFormat() != now.EventFormat() {
			continue
		}
		was, is := schemaOf(old), schemaOf(now)
		if bytes.Equal(was.Text, is.Text) && was.Message == is.Message {
			continue
		}
		if len(is.Text) == 0 {
			if is.Format != feature.FormatJSON {
				continue
			}
			is.Text = []byte("true") // no schema passes every event
		}
		past, err := p.schemasBefore(ctx, c.Ref())
		if err != nil {
			return err
		}
		policy := now.Compatibility
		if is.Format == feature.FormatJSON {
			policy = cmp.Or(policy, feature.CompatibilityNone)
		}
		why, err := compat.Check(policy, is, past)
		if err != nil {
			return feature.Errorf(feature.Internal, "registry.plan", c.Ref().String(), "%w", err)
		}
		c.Breaking = append(c.Breaking, why...)
		if is.Format == feature.FormatJSON && now.Compatibility == "" && len(was.Text) > 0 {
			// A stricter schema is what such a change is for: it is said, and in the way of nothing.
			if why, err = compat.Check(feature.CompatibilityBackward, is, past); err != nil {
				return feature.Errorf(feature.Internal, "registry.plan", c.Ref().String(), "%w", err)
			}
			c.Notes = append(c.Notes, why...)
		}
		if now.EventFormat() == feature.FormatAvro && now.SchemaRegistry == nil && len(old.EventSchema) > 0 && now.Compatibility != feature.CompatibilityNone {
			c.Breaking = append(c.Breaking, "payloads do not say by which schema they were written, for the source has no schema_registry: from now on all are taken to be of the new one")
		}
	}
	return nil
}

// schemasBefore gives the event schemas that a source had, newest first, each once.
func (p *planner) schemasBefore(ctx context.Context, ref feature.Ref) ([]compat.Schema, error) {
	history, err := p.store.History(ctx, ref)
	if err != nil {
		return nil, err
	}
	var out []compat.Schema
	for _, r := range slices.Backward(history) {
		d, err := Decode(ref.Kind, r.Body)
		if err != nil {
			return nil, feature.Errorf(feature.Internal, "registry.plan", ref.String(), "%w", err)
		}
		s := schemaOf(d.(*feature.Source))
		if len(s.Text) > 0 && !slices.ContainsFunc(out, func(o compat.Schema) bool {
			return o.Format == s.Format && o.Message == s.Message && bytes.Equal(o.Text, s.Text)
		}) {
			out = append(out, s)
		}
	}
	return out, nil
}

func schemaOf(s *feature.Source) compat.Schema {
	if s.EventFormat() == feature.FormatJSON {
		return compat.Schema{Format: feature.FormatJSON, Text: s.Schema}
	}
	return compat.Schema{Format: s.EventFormat(), Text: s.EventSchema, Message: s.Message}
}
