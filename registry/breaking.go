package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// findBreaking says for each change who stops working: a table whose columns
// would mean something else, a reader that loses a feature, a model whose
// vector is put together differently.
func (p *planner) findBreaking() {
	old, shifted := p.base.catalog, map[feature.Ref]bool{}
	for i := range p.plan.Changes {
		c := &p.plan.Changes[i]
		if c.Action != Update {
			continue
		}
		before := old.defs[c.Ref()]
		switch now := c.Definition.(type) {
		case *feature.Entity:
			c.Breaking = entityBreaks(before.(*feature.Entity), now, old.users[c.Ref()])
		case *feature.Source:
			c.Breaking = sourceBreaks(before.(*feature.Source), now, old.users[c.Ref()])
		case *feature.View:
			c.Breaking = viewBreaks(before.(*feature.View), now)
		case *feature.Service:
			shifted[c.Ref()] = true
			if p.faulty[c.Ref()] {
				continue
			}
			c.Breaking = serviceBreaks(before.(*feature.Service), now)
		}
	}
	if len(p.plan.Faults) > 0 {
		return // services are not all resolved
	}
	// A service that is not touched itself still changes with "view:*", or when
	// two of its views come to have a feature of the same name.
	for _, s := range p.next.services {
		before, ok := old.defs[RefOf(s)].(*feature.Service)
		if !ok || shifted[RefOf(s)] {
			continue
		}
		for _, why := range serviceBreaks(before, s) {
			for i := range p.plan.Changes {
				c := &p.plan.Changes[i]
				if v, ok := c.Definition.(*feature.View); ok && c.Action == Update && slices.Contains(s.Views, v) {
					c.Breaking = append(c.Breaking, fmt.Sprintf("FeatureService %s: %s", s.Meta.Name, why))
				}
			}
		}
	}
}

func entityBreaks(old, now *feature.Entity, users []feature.Ref) []string {
	if len(users) == 0 || slices.EqualFunc(old.JoinKeys, now.JoinKeys, func(a, b feature.Field) bool { return a.Name == b.Name && a.Type == b.Type }) {
		return nil
	}
	return []string{"the join keys change, so the rows and online values of " + names(users) + " are no longer found"}
}

func sourceBreaks(old, now *feature.Source, users []feature.Ref) []string {
	if len(users) == 0 {
		return nil
	}
	var out []string
	if old.Topic != now.Topic {
		out = append(out, fmt.Sprintf("the topic changes from %s to %s, so %s continues on another log", old.Topic, now.Topic, names(users)))
	}
	if orElse(old.Format, "json") != orElse(now.Format, "json") {
		out = append(out, fmt.Sprintf("the format changes from %s to %s", orElse(old.Format, "json"), orElse(now.Format, "json")))
	}
	if timeField(&old.EventTime) != timeField(&now.EventTime) {
		out = append(out, fmt.Sprintf("the event time changes from %s to %s, so old and new rows cannot be ordered", timeField(&old.EventTime), timeField(&now.EventTime)))
	}
	if timeField(old.Created) != timeField(now.Created) {
		out = append(out, fmt.Sprintf("the known time changes from %s to %s, so old and new rows cannot be ordered", timeField(old.Created), timeField(now.Created)))
	}
	return out
}

func timeField(t *feature.TimeField) string {
	if t == nil {
		return "the record's timestamp"
	}
	return t.Field + " (" + orElse(t.Format, "rfc3339") + ")"
}

func viewBreaks(old, now *feature.View) []string {
	var out []string
	if old.Source != now.Source {
		out = append(out, fmt.Sprintf("the source changes from %s to %s, so the table continues on another log", old.Source, now.Source))
	}
	if !slices.Equal(old.Entities, now.Entities) {
		out = append(out, fmt.Sprintf("the entities change from %s to %s, so the rows there are have other keys", strings.Join(old.Entities, ", "), strings.Join(now.Entities, ", ")))
	} else {
		for i, k := range old.Keys {
			if i < len(now.Keys) && k.Name == now.Keys[i].Name && k.Path != now.Keys[i].Path {
				out = append(out, fmt.Sprintf("join key %s is read from %s instead of %s, so the rows there are have other keys", k.Name, now.Keys[i].Path, k.Path))
			}
		}
	}
	for _, x := range old.Features {
		i := now.Feature(x.Name)
		switch {
		case i < 0:
			out = append(out, fmt.Sprintf("feature %s is removed", x.Name))
		case now.Features[i].Type != x.Type:
			out = append(out, fmt.Sprintf("feature %s changes its type from %s to %s", x.Name, x.Type, now.Features[i].Type))
		}
	}
	if old.IsOnline() && !now.IsOnline() {
		out = append(out, "it is no longer served online")
	}
	return out
}

// serviceBreaks compares the vectors: what was there must be there still, with
// the same names, in the same places. New columns may follow.
func serviceBreaks(old, now *feature.Service) []string {
	place := map[string]int{}
	for i, c := range now.Columns {
		place[columnRef(now, c)] = i
	}
	var lost, renamed []string
	moved := ""
	for i, c := range old.Columns {
		ref := columnRef(old, c)
		j, ok := place[ref]
		switch {
		case !ok:
			lost = append(lost, ref)
		case now.Columns[j].Name != c.Name:
			renamed = append(renamed, fmt.Sprintf("%s, which was called %s, would be called %s", ref, c.Name, now.Columns[j].Name))
		case i != j && moved == "":
			moved = fmt.Sprintf("its columns change places: %s was number %d and would be number %d; add new features at the end", ref, i+1, j+1)
		}
	}
	switch {
	case len(lost) > 0:
		return []string{"it no longer has " + strings.Join(lost, ", ")}
	case len(renamed) > 0:
		return []string{"another view has a feature of the same name: " + strings.Join(renamed, "; ")}
	case moved != "":
		return []string{moved}
	}
	return nil
}

// columnRef is a column as a manifest writes it: "view:feature".
func columnRef(s *feature.Service, c feature.ServiceColumn) string {
	v := s.Views[c.View]
	return v.Meta.Name + ":" + v.Features[c.Feature].Name
}

func names(refs []feature.Ref) string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = string(r.Kind) + " " + r.Name
	}
	return strings.Join(out, ", ")
}
