package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// state is a catalog with the records it was made of. Never changed once made.
type state struct {
	catalog *Catalog
	records map[feature.Ref]Record
}

// planner works out what a request does to a state: normalise and check each
// definition, put them in place of the old ones, resolve the whole, run the
// checks that need it resolved, then compare old with new.
type planner struct {
	base   *state
	store  Store
	checks Checks
	plan   *Plan
	next   *Catalog // the catalog as it would be

	index   map[feature.Ref]int // place in the request
	changed map[feature.Ref]bool
	gone    map[feature.Ref]bool
	faulty  map[feature.Ref]bool
	seen    map[Fault]bool
	at      map[feature.Ref]map[string]bool // fields that have a fault
	bodies  map[feature.Ref][]byte          // of the request
	broken  map[feature.Ref]bool            // cannot be stored
	pending []refFault
	// returned says of views which features come back with old values.
	returned map[feature.Ref][]string
}

// prepare makes a plan. An error means that the store did not answer; what is
// wrong with the request is in Plan.Faults.
func prepare(ctx context.Context, base *state, store Store, checks Checks, req Request) (*planner, error) {
	p := &planner{
		base: base, store: store, checks: checks,
		plan:  &Plan{Base: base.catalog.revision, Changes: []Change{}},
		index: map[feature.Ref]int{}, changed: map[feature.Ref]bool{}, gone: map[feature.Ref]bool{},
		faulty: map[feature.Ref]bool{}, seen: map[Fault]bool{}, at: map[feature.Ref]map[string]bool{},
		bodies: map[feature.Ref][]byte{}, broken: map[feature.Ref]bool{},
		returned: map[feature.Ref][]string{},
	}
	project := orElse(req.Project, DefaultProject)
	wanted := p.accept(req.Definitions, project)
	p.acceptDeletes(req.Delete, project)
	if err := p.settleColumns(ctx, wanted); err != nil {
		return nil, err
	}
	if err := p.settleMonitors(ctx, wanted); err != nil {
		return nil, err
	}
	if err := p.compare(ctx, wanted); err != nil {
		return nil, err
	}
	faults, err := p.resolve(wanted)
	if err != nil {
		return nil, err
	}
	p.plan.next = p.next
	p.refuseDangling(faults)
	p.checkSchemas()
	p.checkSuites()
	if err := p.checkReferences(ctx); err != nil {
		return nil, err
	}
	p.findBreaking()
	if err := p.findSchemaBreaks(ctx); err != nil {
		return nil, err
	}
	if err := p.checkTrained(ctx); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.plan.Changes, func(a, b Change) int { return compareRefs(a.Ref(), b.Ref()) })
	slices.SortStableFunc(p.plan.Faults, func(a, b Fault) int {
		if (a.Index < 0) != (b.Index < 0) {
			return b.Index - a.Index // faults of the request's own definitions first
		}
		return a.Index - b.Index
	})
	return p, nil
}

// fault records a fault once. Of two that name the same field of a definition
// the first stays: the later ones follow from it.
func (p *planner) fault(ref feature.Ref, f feature.Fault) {
	i, ok := p.index[ref]
	if !ok {
		i = -1
	}
	p.faulty[ref] = true
	p.add(Fault{Index: i, Kind: ref.Kind, Project: ref.Project, Name: ref.Name, Field: f.Field, Msg: f.Msg})
}

func (p *planner) add(f Fault) {
	if !p.seen[f] {
		p.seen[f] = true
		p.plan.Faults = append(p.plan.Faults, f)
	}
}

// accept checks the request's definitions one by one.
func (p *planner) accept(defs []feature.Definition, project string) []feature.Definition {
	var out []feature.Definition
	for i, d := range defs {
		if d == nil {
			p.add(Fault{Index: i, Msg: "there is no definition"})
			continue
		}
		c, err := normal(d, project)
		if err != nil {
			// It has a type, time or piece of JSON that is none; Check says which, if it can.
			ref := RefOf(d)
			ref.Project = orElse(ref.Project, project)
			p.broken[ref] = true
			faults := d.Check()
			if len(faults) == 0 {
				faults = []feature.Fault{{Msg: "it cannot be stored: " + err.Error()}}
			}
			for _, f := range faults {
				p.add(Fault{Index: i, Kind: ref.Kind, Project: ref.Project, Name: ref.Name, Field: f.Field, Msg: f.Msg})
			}
			continue
		}
		ref := RefOf(c)
		if j, dup := p.index[ref]; dup {
			p.add(Fault{Index: i, Kind: ref.Kind, Project: ref.Project, Name: ref.Name, Field: "metadata.name",
				Msg: fmt.Sprintf("%s is defined twice here (it is also definition %d): remove or rename one", ref, j+1)})
			continue
		}
		p.index[ref] = i
		p.at[ref] = map[string]bool{}
		for _, f := range c.Check() {
			p.at[ref][f.Field] = true
			p.fault(ref, f)
		}
		out = append(out, c)
	}
	return out
}

func (p *planner) acceptDeletes(refs []feature.Ref, project string) {
	for _, ref := range refs {
		if ref.Project == "" {
			ref.Project = project
		}
		_, have := p.base.records[ref]
		_, wanted := p.index[ref]
		switch {
		case wanted:
			p.fault(ref, feature.Fault{Msg: "it is to be applied and deleted at once: decide for one"})
		case !have:
			hint := orElse(suggest.Phrase(ref.Name, p.base.catalog.names(ref.Kind, ref.Project)), "there is nothing to delete")
			p.fault(ref, feature.Fault{Msg: "it does not exist: " + hint})
		case !p.gone[ref]:
			p.gone[ref] = true
			p.plan.Changes = append(p.plan.Changes, Change{Action: Delete, Kind: ref.Kind, Project: ref.Project, Name: ref.Name,
				Version: p.base.records[ref].Version})
		}
	}
}

// compare decides for each wanted definition whether it is new, changed or the same.
func (p *planner) compare(ctx context.Context, wanted []feature.Definition) error {
	for _, d := range wanted {
		ref := RefOf(d)
		body, err := Encode(d)
		if err != nil {
			return feature.Errorf(feature.Internal, "registry.plan", ref.String(), "%w", err)
		}
		p.bodies[ref] = body
		ch := Change{Action: Create, Kind: ref.Kind, Project: ref.Project, Name: ref.Name, Definition: d}
		if old, ok := p.base.records[ref]; ok {
			ch.Diffs, err = diff(old.Body, body)
			if err != nil {
				return feature.Errorf(feature.Internal, "registry.plan", ref.String(), "%w", err)
			}
			ch.Action, ch.Version = Update, old.Version+1
			if len(ch.Diffs) == 0 {
				ch.Action, ch.Version = Unchanged, old.Version
			}
		} else {
			// A name that was deleted goes on counting: two definitions never
			// have the same name and version.
			h, err := p.store.History(ctx, ref)
			if err != nil {
				return err
			}
			ch.Version = 1
			if n := len(h); n > 0 {
				ch.Version = h[n-1].Version + 1
			}
		}
		p.changed[ref] = ch.Action != Unchanged
		p.plan.Changes = append(p.plan.Changes, ch)
	}
	return nil
}

// resolve builds the catalog as it would be.
func (p *planner) resolve(wanted []feature.Definition) ([]refFault, error) {
	var items []item
	for ref, r := range p.base.records {
		if _, replaced := p.index[ref]; replaced || p.gone[ref] {
			continue
		}
		d, err := Decode(ref.Kind, r.Body)
		if err != nil {
			return nil, feature.Errorf(feature.Internal, "registry.plan", ref.String(), "%w", err)
		}
		items = append(items, item{d, r.Version})
	}
	versions := map[feature.Ref]int{}
	for _, c := range p.plan.Changes {
		versions[c.Ref()] = c.Version
	}
	for _, d := range wanted {
		items = append(items, item{d, versions[RefOf(d)]})
	}
	revision := p.base.catalog.revision
	if !p.plan.Empty() {
		revision++
	}
	var faults []refFault
	p.next, faults = build(revision, items, p.broken)
	return faults, nil
}

// refuseDangling reports what does not fit together, and for a deletion who
// still needs what is to go.
func (p *planner) refuseDangling(faults []refFault) {
	for _, c := range p.plan.Changes {
		if c.Action != Delete {
			continue
		}
		if users := p.next.users[c.Ref()]; len(users) > 0 {
			names := make([]string, len(users))
			for i, u := range users {
				names[i] = string(u.Kind) + " " + u.Name
			}
			p.fault(c.Ref(), feature.Fault{Msg: "it is still used by " + strings.Join(names, ", ") + ": delete or change them first, or in the same step"})
		}
	}
	for _, f := range faults {
		_, inRequest := p.index[f.ref]
		if p.at[f.ref][f.Field] || !inRequest && p.needsGone(f.ref) {
			continue
		}
		if !inRequest {
			f.Msg += " (it is in the catalog already: change it in the same step)"
		}
		p.fault(f.ref, f.Fault)
	}
}

func (p *planner) needsGone(ref feature.Ref) bool {
	return slices.ContainsFunc(p.next.defs[ref].Refs(), func(r feature.Ref) bool { return p.gone[r] })
}

// checkReferences looks up the snapshots that changed monitors compare with. A model may come later.
func (p *planner) checkReferences(ctx context.Context) error {
	for _, m := range p.next.Monitors() {
		ref := RefOf(m)
		if !p.changed[ref] {
			continue
		}
		if m.Reference.Model != "" {
			if err := p.noteModel(ctx, m); err != nil {
				return err
			}
		}
		if m.Reference.Snapshot == "" {
			continue
		}
		_, err := p.store.Snapshot(ctx, m.Meta.Project, m.Reference.Snapshot)
		if err != nil && feature.KindOf(err) != feature.NotFound {
			return err
		}
		if err != nil {
			p.fault(ref, feature.Fault{Field: "spec.reference.snapshot",
				Msg: fmt.Sprintf("there is no snapshot %q in project %s: weir snapshot list shows them", m.Reference.Snapshot, m.Meta.Project)})
		}
	}
	return nil
}

// changeSet is what the store is asked to do, and the state that follows from it.
func (p *planner) changeSet(at int64) (ChangeSet, *state) {
	set := ChangeSet{Base: p.plan.Base, At: at}
	next := &state{catalog: p.next, records: make(map[feature.Ref]Record, len(p.base.records)+len(p.plan.Changes))}
	for ref, r := range p.base.records {
		next.records[ref] = r
	}
	for _, c := range p.plan.Changes {
		switch c.Action {
		case Create, Update:
			r := Record{Ref: c.Ref(), Version: c.Version, Body: p.bodies[c.Ref()], From: set.Base + 1}
			set.Puts = append(set.Puts, r)
			next.records[r.Ref] = r
			if m, ok := p.next.defs[r.Ref].(*feature.Monitor); ok && m.Reference.Snapshot != "" {
				set.Snapshots = append(set.Snapshots, m.Reference.Snapshot)
			}
		case Delete:
			set.Delete = append(set.Delete, c.Ref())
			delete(next.records, c.Ref())
		}
	}
	return set, next
}
