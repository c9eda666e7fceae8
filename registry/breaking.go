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
		if m, ok := c.Definition.(*feature.Monitor); ok && c.Action != Unchanged && !p.faulty[c.Ref()] {
			c.Notes = append(c.Notes, m.Promise())
		}
		if c.Action != Update {
			continue
		}
		before := old.defs[c.Ref()]
		switch now := c.Definition.(type) {
		case *feature.Entity:
			p.refuseKeys(c.Ref(), before.(*feature.Entity), now)
		case *feature.Source:
			c.Breaking = sourceBreaks(before.(*feature.Source), now, old.users[c.Ref()])
		case *feature.View:
			c.Breaking = viewBreaks(before.(*feature.View), now)
			c.Notes = p.viewNotes(before.(*feature.View), now)
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
	for i, k := range old.Keys {
		if i < len(now.Keys) && k.Name == now.Keys[i].Name && k.Path != now.Keys[i].Path {
			out = append(out, fmt.Sprintf("join key %s is read from %s instead of %s, so the rows there are have other keys", k.Name, now.Keys[i].Path, k.Path))
		}
	}
	for _, x := range old.Features {
		if now.Stored(x.Stored()) < 0 {
			out = append(out, fmt.Sprintf("feature %s is removed", x.Name))
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
		place[storedRef(now, c)] = i
	}
	var lost, shadowed, renamed []string
	moved := ""
	for i, c := range old.Columns {
		ref := columnRef(old, c)
		j, ok := place[storedRef(old, c)]
		switch {
		case !ok:
			lost = append(lost, ref)
		case now.Columns[j].Name != c.Name && columnRef(now, now.Columns[j]) != ref:
			renamed = append(renamed, fmt.Sprintf("%s is called %s now, so clients that ask for %s miss it", ref, now.Columns[j].Name, c.Name))
		case now.Columns[j].Name != c.Name:
			shadowed = append(shadowed, fmt.Sprintf("%s, which was called %s, would be called %s", ref, c.Name, now.Columns[j].Name))
		case i != j && moved == "":
			moved = fmt.Sprintf("its columns change places: %s was number %d and would be number %d; add new features at the end", ref, i+1, j+1)
		}
	}
	switch {
	case len(lost) > 0:
		return []string{"it no longer has " + strings.Join(lost, ", ")}
	case len(shadowed) > 0:
		return []string{"another view has a feature of the same name: " + strings.Join(shadowed, "; ")}
	case len(renamed) > 0:
		return renamed
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

// storedRef is a column by what its values are kept under, which a rename leaves as it is.
func storedRef(s *feature.Service, c feature.ServiceColumn) string {
	v := s.Views[c.View]
	return v.Meta.Name + ":" + v.Features[c.Feature].Stored()
}

func names(refs []feature.Ref) string {
	out := make([]string, len(refs))
	for i, r := range refs {
		out[i] = string(r.Kind) + " " + r.Name
	}
	return strings.Join(out, ", ")
}
