package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// settleColumns says for each feature of a wanted view where its values are kept
// (feature.Field.Column), by what the view was before, and refuses what the rows
// that are there cannot follow: other keys, types that do not hold the old values.
// Tables and online cells outlive a deleted view, so its versions count as well.
func (p *planner) settleColumns(ctx context.Context, wanted []feature.Definition) error {
	for _, d := range wanted {
		v, ok := d.(*feature.View)
		if !ok {
			continue
		}
		ref := RefOf(v)
		if old, ok := p.base.catalog.defs[ref].(*feature.View); ok && carriesOver(old, v) {
			continue
		}
		h, err := p.store.History(ctx, ref)
		if err != nil {
			return err
		}
		past := make([]*feature.View, len(h))
		for i, r := range h {
			d, err := Decode(ref.Kind, r.Body)
			if err != nil {
				return feature.Errorf(feature.Internal, "registry.plan", ref.String(), "%w", err)
			}
			past[i] = d.(*feature.View)
			past[i].Version = r.Version
		}
		if len(past) == 0 || p.faulty[ref] {
			for i := range v.Features {
				v.Features[i].Column = columnOf(v.Features[i].Name, v.Features[i].Stored())
			}
			continue
		}
		s := newSettlement(v, past)
		s.settle()
		for _, f := range s.faults {
			p.at[ref][f.Field] = true
			p.fault(ref, f)
		}
		p.returned[ref] = s.returned
	}
	return nil
}

// carriesOver settles the usual case without a look at the past: the features are
// those of the version before, new ones aside that never had another's name.
func carriesOver(old, now *feature.View) bool {
	if !slices.Equal(old.Entities, now.Entities) || len(old.Features) != len(now.Features) {
		return false
	}
	columns := make([]string, len(now.Features))
	for i, f := range now.Features {
		at := old.Feature(f.Name)
		if at < 0 || old.Features[at].Type != f.Type || f.RenamedFrom != "" && old.Features[at].RenamedFrom != f.RenamedFrom ||
			f.Column != "" && f.Column != old.Features[at].Stored() {
			return false
		}
		columns[i] = old.Features[at].Column
	}
	for i := range now.Features {
		now.Features[i].Column = columns[i]
	}
	return true
}

// columnOf is a column as a definition says it: nothing where it has the feature's name.
func columnOf(name, column string) string {
	if column == name {
		return ""
	}
	return column
}

// settlement finds the columns of a view's features.
type settlement struct {
	view     *feature.View
	prev     *feature.View
	columns  map[string]lastSeen // every column that the view ever had
	from     map[int]int         // renamed feature -> its place in prev
	away     map[int]bool        // places in prev that are renamed
	taken    map[string]bool
	returned []string // features that come back with the values that they had
	faults   []feature.Fault
}

// lastSeen is what a column was in the last version of the view that had it.
type lastSeen struct {
	name    string
	typ     feature.Type
	version int
}

func newSettlement(v *feature.View, past []*feature.View) *settlement {
	s := &settlement{view: v, prev: past[len(past)-1], columns: map[string]lastSeen{}, from: map[int]int{}, away: map[int]bool{}, taken: map[string]bool{}}
	for _, o := range past {
		for _, f := range o.Features {
			s.columns[f.Stored()] = lastSeen{f.Name, f.Type, o.Version}
		}
	}
	return s
}

func (s *settlement) fault(i int, field, format string, args ...any) {
	s.faults = append(s.faults, feature.Fault{Field: fmt.Sprintf("spec.features[%d].%s", i, field), Msg: fmt.Sprintf(format, args...)})
}

func (s *settlement) settle() {
	if !slices.Equal(s.prev.Entities, s.view.Entities) {
		s.faults = append(s.faults, feature.Fault{Field: "spec.entities", Msg: fmt.Sprintf(
			"they cannot change from %s to %s: the rows and online values that are there have the old keys; give the view with the new ones another name",
			strings.Join(s.prev.Entities, ", "), strings.Join(s.view.Entities, ", "))})
	}
	s.findRenames()
	if len(s.faults) > 0 {
		return
	}
	s.checkRenames()
	for i := range s.view.Features {
		f := &s.view.Features[i]
		column := s.column(i)
		s.taken[column] = true
		if f.Column != "" && f.Column != column {
			s.fault(i, "column", "%s is kept under %s and not under %s: leave column out, the catalog sets it", f.Name, column, f.Column)
			continue
		}
		f.Column = columnOf(f.Name, column)
		s.checkType(i)
	}
}

// findRenames finds out which renamed_from are to be done; the others were done before.
func (s *settlement) findRenames() {
	var before []int
	for i, f := range s.view.Features {
		if f.RenamedFrom == "" {
			continue
		}
		here := s.prev.Feature(f.Name)
		if here >= 0 && s.prev.Features[here].RenamedFrom == f.RenamedFrom {
			before = append(before, i)
			continue
		}
		at := s.prev.Feature(f.RenamedFrom)
		switch {
		case at < 0 && here >= 0: // the name it has; that it once had another one says nothing new
		case at < 0:
			s.fault(i, "renamed_from", "there is no feature %q to rename: %s", f.RenamedFrom,
				orElse(suggest.Phrase(f.RenamedFrom, featureNames(s.prev)), "leave renamed_from out for a new feature"))
		case s.away[at]:
			s.fault(i, "renamed_from", "%s can get only one new name: give the other feature none, and the same path, to have its values from now on", f.RenamedFrom)
		default:
			s.from[i], s.away[at] = at, true
		}
	}
	// One that was done before is to be done once more where its name goes to
	// another feature in this step: the two are swapped.
	for again := true; again; {
		again = false
		for _, i := range before {
			f := s.view.Features[i]
			at := s.prev.Feature(f.RenamedFrom)
			if _, done := s.from[i]; !done && s.away[s.prev.Feature(f.Name)] && at >= 0 && !s.away[at] {
				s.from[i], s.away[at], again = at, true, true
			}
		}
	}
}

// checkRenames refuses what could mean two things.
func (s *settlement) checkRenames() {
	for i, f := range s.view.Features {
		if _, ok := s.from[i]; !ok {
			continue
		}
		if k := s.view.Feature(f.RenamedFrom); k >= 0 {
			if _, ok := s.from[k]; !ok {
				s.fault(i, "renamed_from", "feature %s is still listed, so which of the two has its values? Take it out; a new feature of that name can be added in a later step", f.RenamedFrom)
			}
		}
		if here := s.prev.Feature(f.Name); here >= 0 && !s.away[here] {
			s.fault(i, "renamed_from", "there is a feature %s already, whose values this would hide: remove it in a step before, or rename it too", f.Name)
		}
	}
}

// column is where feature i is kept.
func (s *settlement) column(i int) string {
	f := s.view.Features[i]
	if at, ok := s.from[i]; ok {
		return s.prev.Features[at].Stored()
	}
	if at := s.prev.Feature(f.Name); at >= 0 && !s.away[at] {
		return s.prev.Features[at].Stored()
	}
	// A name that the view had and lost means what it meant then.
	best := ""
	for c, seen := range s.columns {
		if seen.name == f.Name && s.prev.Stored(c) < 0 && (best == "" || seen.version > s.columns[best].version) {
			best = c
		}
	}
	if best != "" {
		s.returned = append(s.returned, fmt.Sprintf("feature %s was there until version %d and comes back with the values that it had", f.Name, s.columns[best].version))
		return best
	}
	if _, used := s.columns[f.Name]; used {
		return fmt.Sprintf("%s@%d", f.Name, s.prev.Version+1)
	}
	return f.Name
}

// checkType refuses a type that does not hold what the column has.
func (s *settlement) checkType(i int) {
	f := s.view.Features[i]
	old, ok := s.columns[f.Stored()]
	if !ok || old.typ.Widens(f.Type) {
		return
	}
	why := fmt.Sprintf("a type can only be widened (int32 to int64, float32 to float64): the rows and online values that are there are %s and stay so", old.typ)
	switch {
	case f.Type.IsArray() || old.typ.IsArray():
		why = fmt.Sprintf("nothing becomes an array, and an array nothing else, not even one of wider numbers: the rows and online values that are there are %s and stay so", old.typ)
	case f.Type.Widens(old.typ):
		why = fmt.Sprintf("%s does not hold every %s, so values that are there would be lost", f.Type, old.typ)
	}
	was := fmt.Sprintf("%s cannot change from %s to %s", f.Name, old.typ, f.Type)
	if s.prev.Stored(f.Stored()) < 0 {
		was = fmt.Sprintf("%s was %s until version %d and cannot come back as %s", f.Name, old.typ, old.version, f.Type)
	}
	s.fault(i, "type", "%s: %s; keep %s, or add a feature of another name (with path: %s), or a view of another name", was, why, old.typ, f.EventPath())
}

// viewNotes says what happens to values that stay under another name or type.
func (p *planner) viewNotes(old, now *feature.View) []string {
	var out []string
	for _, f := range now.Features {
		at := old.Stored(f.Stored())
		if at < 0 {
			continue
		}
		o := old.Features[at]
		if o.Name != f.Name {
			out = append(out, fmt.Sprintf("feature %s is called %s from now on and keeps its values", o.Name, f.Name))
		}
		if o.Type == f.Type || !o.Type.Widens(f.Type) { // the latter is a fault
			continue
		}
		note := fmt.Sprintf("feature %s is widened from %s to %s", f.Name, o.Type, f.Type)
		if s := p.listing(now, f.Name); len(s) > 0 {
			note += ": clients of FeatureService " + strings.Join(s, ", ") + " get " + f.Type.String()
		}
		out = append(out, note)
	}
	out = append(out, suiteNotes(old, now)...)
	return append(out, p.returned[RefOf(now)]...)
}

// listing names the services that have a feature.
func (p *planner) listing(v *feature.View, name string) []string {
	var out []string
	for _, s := range p.next.services {
		if slices.ContainsFunc(s.Columns, func(c feature.ServiceColumn) bool {
			return s.Views[c.View] == v && v.Features[c.Feature].Name == name
		}) {
			out = append(out, s.Meta.Name)
		}
	}
	return out
}

// refuseKeys refuses other join keys for an entity of views that have rows.
func (p *planner) refuseKeys(ref feature.Ref, old, now *feature.Entity) {
	if slices.EqualFunc(old.JoinKeys, now.JoinKeys, func(a, b feature.Field) bool { return a.Name == b.Name && a.Type == b.Type }) {
		return
	}
	var users []feature.Ref
	for _, u := range p.base.catalog.users[ref] {
		if !p.gone[u] {
			users = append(users, u)
		}
	}
	if len(users) > 0 {
		p.fault(ref, feature.Fault{Field: "spec.join_keys", Msg: "they cannot change: the rows and online values of " + names(users) +
			" are found by the old ones; define another entity, and views of it under other names"})
	}
}
