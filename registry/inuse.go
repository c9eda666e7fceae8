package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-ml/weir/registry/feature"
)

// trained is which models stand on which definitions, by what their snapshots were made from.
type trained map[feature.Ref][]feature.Model

// trainedOn asks the store for the models, only where a change needs to know.
func trainedOn(ctx context.Context, store Store) (trained, error) {
	models, err := store.ListModels(ctx, "", "")
	if err != nil {
		return nil, err
	}
	of := trained{}
	made := map[string]feature.Snapshot{}
	for _, m := range models {
		s, ok := made[m.Snapshot]
		if !ok {
			if s, err = store.Snapshot(ctx, m.Project, m.Snapshot); err != nil && feature.KindOf(err) != feature.NotFound {
				return nil, err
			}
			made[m.Snapshot] = s
		}
		ref := feature.Ref{Kind: feature.KindService, Project: m.Project, Name: m.Service}
		of[ref] = append(of[ref], m)
		for _, t := range s.Tables {
			ref := feature.Ref{Kind: feature.KindView, Project: m.Project, Name: t.View}
			of[ref] = append(of[ref], m)
		}
	}
	return of, nil
}

// checkTrained refuses to delete what a model was trained with, and adds to what breaks which models it breaks.
func (p *planner) checkTrained(ctx context.Context) error {
	asked := func(c Change) bool {
		return c.Action == Delete && (c.Kind == feature.KindService || c.Kind == feature.KindView) || len(c.Breaking) > 0
	}
	if !slices.ContainsFunc(p.plan.Changes, asked) {
		return nil
	}
	of, err := trainedOn(ctx, p.store)
	if err != nil {
		return err
	}
	for i := range p.plan.Changes {
		c := &p.plan.Changes[i]
		switch by := p.standOn(of, c.Ref()); {
		case len(by) == 0:
		case c.Action == Delete && (c.Kind == feature.KindService || c.Kind == feature.KindView):
			p.fault(c.Ref(), feature.Fault{Msg: fmt.Sprintf("%s trained with it: keep it, or delete the model versions first (weir model delete %s %s)",
				modelNames(by), by[0].Name, by[0].Version)})
		case len(c.Breaking) > 0:
			c.Breaking = append(c.Breaking, modelNames(by)+" trained with it as it is")
		}
	}
	return nil
}

// standOn are the models that were trained with a definition: of a source, with the views that read it.
func (p *planner) standOn(of trained, ref feature.Ref) []feature.Model {
	if ref.Kind != feature.KindSource {
		return of[ref]
	}
	var out []feature.Model
	for _, v := range p.base.catalog.users[ref] {
		for _, m := range of[v] {
			if !slices.ContainsFunc(out, func(x feature.Model) bool { return x.ID() == m.ID() }) {
				out = append(out, m)
			}
		}
	}
	return out
}

// noteModel says of a monitor that compares with a model's training set what that is now.
func (p *planner) noteModel(ctx context.Context, m *feature.Monitor) error {
	r := m.Reference
	all, err := p.store.ListModels(ctx, m.Meta.Project, r.Model)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.HasAlias(r.AliasOrChampion()) {
			r = r.Of(x)
		}
	}
	for i := range p.plan.Changes {
		if c := &p.plan.Changes[i]; c.Ref() == RefOf(m) {
			c.Notes = append(c.Notes, "compares with "+r.String())
		}
	}
	return nil
}

// SnapshotUsers says who needs a snapshot, in words: monitors that compare with it, and models that were trained on it.
func (r *Registry) SnapshotUsers(ctx context.Context, s feature.Snapshot) ([]string, error) {
	cat, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	out := monitorsOn(cat, s)
	models, err := r.trainedOnSnapshot(ctx, s)
	for _, m := range models {
		out = append(out, "model "+m.Label())
	}
	return out, err
}

func monitorsOn(cat *Catalog, s feature.Snapshot) (out []string) {
	for _, m := range cat.Monitors() {
		if m.Meta.Project == s.Project && m.Reference.Snapshot == s.ID {
			out = append(out, "monitor "+m.Meta.Name)
		}
	}
	return out
}

func (r *Registry) trainedOnSnapshot(ctx context.Context, s feature.Snapshot) ([]feature.Model, error) {
	all, err := r.store.ListModels(ctx, s.Project, "")
	return slices.DeleteFunc(all, func(m feature.Model) bool { return m.Snapshot != s.ID }), err
}

// modelNames is "model churn@3 (champion) was", or "models churn@3 (champion), churn@4 were": who, for sentences.
func modelNames(all []feature.Model) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Label()
		if len(all[i].Aliases) > 0 {
			names[i] += " (" + strings.Join(all[i].Aliases, ", ") + ")"
		}
	}
	if len(all) == 1 {
		return "model " + names[0] + " was"
	}
	return "models " + strings.Join(names, ", ") + " were"
}
