package api

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/manifest"
)

// Definitions is weir.v1.RegistryService.
type Definitions struct {
	weirv1.UnimplementedRegistryServiceServer
	Registry *registry.Registry
	Previews *Preview // nil where there are no tables
	// Guards adds what is known of a view that pauses or tries a suite; may be nil.
	Guards func(ctx context.Context, v *feature.View) ([]*weirv1.Property, error)
	// Advise adds notes to a definition that is new or changes; may be nil.
	Advise func(feature.Definition) []string
}

// parse reads the files of a request.
func parse(files []*weirv1.ManifestFile) (manifest.Docs, []manifest.Fault) {
	var in []manifest.File
	for _, f := range files {
		in = append(in, manifest.File{Name: f.Name, Data: f.Content, Open: func(name string) ([]byte, error) {
			if b, ok := f.Attachments[name]; ok {
				return b, nil
			}
			return nil, fmt.Errorf("%s was not sent along: %w", name, fs.ErrNotExist)
		}})
	}
	return manifest.Parse(in)
}

// Plan says what Apply would do.
func (s *Definitions) Plan(ctx context.Context, req *weirv1.PlanRequest) (*weirv1.PlanResponse, error) {
	docs, faults := parse(req.Files)
	plan, err := s.Registry.Plan(ctx, registry.Request{Definitions: docs.Definitions(), Project: req.DefaultProject})
	if err != nil {
		return nil, err
	}
	return &weirv1.PlanResponse{Changes: s.changes(plan), Faults: wireFaults(docs.Explain(faults, plan.Faults)), Revision: plan.Base}, nil
}

// Apply puts the files in force, all or nothing.
func (s *Definitions) Apply(ctx context.Context, req *weirv1.ApplyRequest) (*weirv1.ApplyResponse, error) {
	docs, faults := parse(req.Files)
	want := registry.Request{Definitions: docs.Definitions(), Project: req.DefaultProject, AllowBreaking: req.AllowBreaking, Base: req.ExpectRevision}
	if len(faults) > 0 {
		plan, err := s.Registry.Plan(ctx, want) // for the faults between definitions
		if err != nil {
			return nil, err
		}
		return &weirv1.ApplyResponse{Changes: s.changes(plan), Faults: wireFaults(docs.Explain(faults, plan.Faults)), Revision: plan.Base}, nil
	}
	plan, err := s.Registry.Apply(ctx, want)
	if plan != nil && len(plan.Faults) > 0 {
		return &weirv1.ApplyResponse{Changes: s.changes(plan), Faults: wireFaults(docs.Explain(faults, plan.Faults)), Revision: plan.Base}, nil
	}
	if err != nil {
		return nil, err
	}
	rev := plan.Revision
	if rev == 0 {
		rev = plan.Base
	}
	return &weirv1.ApplyResponse{Changes: s.changes(plan), Revision: rev}, nil
}

// Get returns one definition.
func (s *Definitions) Get(ctx context.Context, req *weirv1.GetRequest) (*weirv1.GetResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	k, err := kind(req.Kind)
	if err != nil {
		return nil, err
	}
	ref := feature.Ref{Kind: k, Project: project(req.Project), Name: req.Name}
	var d feature.Definition
	if req.Version != 0 {
		d, err = s.Registry.GetVersion(ctx, ref, int(req.Version))
	} else {
		d, err = cat.Get(ref)
	}
	if err != nil {
		return nil, err
	}
	out, err := definition(cat, d, true)
	return &weirv1.GetResponse{Definition: out}, err
}

// List lists definitions, without their text.
func (s *Definitions) List(ctx context.Context, req *weirv1.ListRequest) (*weirv1.ListResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	sel := registry.Selector{Project: req.Project}
	if req.Kind != "" {
		if sel.Kind, err = kind(req.Kind); err != nil {
			return nil, err
		}
	}
	for k, v := range req.Tags {
		if v != "" {
			k += "=" + v
		}
		sel.Tags = append(sel.Tags, k)
	}
	resp := &weirv1.ListResponse{Revision: cat.Revision()}
	for _, d := range cat.Select(sel) {
		out, err := definition(cat, d, false)
		if err != nil {
			return nil, err
		}
		resp.Definitions = append(resp.Definitions, out)
	}
	return resp, nil
}

// Describe adds to a definition its past, what it needs and who uses it.
func (s *Definitions) Describe(ctx context.Context, req *weirv1.DescribeRequest) (*weirv1.DescribeResponse, error) {
	k, err := kind(req.Kind)
	if err != nil {
		return nil, err
	}
	d, err := s.Registry.Describe(ctx, feature.Ref{Kind: k, Project: project(req.Project), Name: req.Name})
	if err != nil {
		return nil, err
	}
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	out, err := definition(cat, d.Definition, true)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.DescribeResponse{Definition: out}
	for _, r := range d.Uses {
		resp.Needs = append(resp.Needs, r.String())
	}
	for _, r := range d.UsedBy {
		resp.UsedBy = append(resp.UsedBy, r.String())
	}
	prop := func(name, value string) {
		if value != "" {
			resp.Properties = append(resp.Properties, &weirv1.Property{Name: name, Value: value})
		}
	}
	m := d.Definition.GetMeta()
	prop("description", m.Description)
	prop("owner", m.Owner)
	for _, v := range d.Versions {
		out.UpdatedAt = v.At
		var diffs []string
		for _, x := range v.Diffs {
			diffs = append(diffs, x.String())
		}
		prop(fmt.Sprintf("version %d", v.Version), strings.TrimSpace(feature.Time(v.At).Format("2006-01-02 15:04:05Z")+"  "+strings.Join(diffs, "; ")))
	}
	if v, ok := d.Definition.(*feature.View); ok && s.Guards != nil {
		ps, err := s.Guards(ctx, v)
		if err != nil {
			return nil, err
		}
		resp.Properties = append(resp.Properties, ps...)
	}
	for _, x := range d.Snapshots {
		prop("snapshot "+x.ID, fmt.Sprintf("%d rows", x.Rows))
	}
	for _, x := range d.Models {
		prop("model "+x.Label(), strings.TrimSpace("trained on snapshot "+x.Snapshot+"  "+strings.Join(x.Aliases, ", ")))
	}
	return resp, nil
}

// Delete removes a definition that nothing uses.
func (s *Definitions) Delete(ctx context.Context, req *weirv1.DeleteRequest) (*weirv1.DeleteResponse, error) {
	k, err := kind(req.Kind)
	if err != nil {
		return nil, err
	}
	plan, err := s.Registry.Delete(ctx, feature.Ref{Kind: k, Project: project(req.Project), Name: req.Name})
	if err != nil {
		return nil, err
	}
	return &weirv1.DeleteResponse{Revision: plan.Revision}, nil
}

func kind(s string) (feature.Kind, error) {
	k, err := feature.ParseKind(s)
	if err != nil {
		return "", feature.Errorf(feature.Invalid, "registry", "", "%w", err)
	}
	return k, nil
}

func definition(cat *registry.Catalog, d feature.Definition, whole bool) (*weirv1.Definition, error) {
	m := d.GetMeta()
	out := &weirv1.Definition{Kind: string(d.Kind()), Project: m.Project, Name: m.Name, Version: int32(cat.Version(registry.RefOf(d))),
		Description: m.Description, Owner: m.Owner, Tags: m.Tags}
	if !whole {
		return out, nil
	}
	var err error
	if out.Manifest, err = manifest.Marshal(d); err != nil {
		return nil, err
	}
	out.Json, err = registry.Encode(d)
	return out, err
}

var actions = map[registry.Action]weirv1.Action{
	registry.Create: weirv1.Action_ACTION_CREATE, registry.Update: weirv1.Action_ACTION_UPDATE,
	registry.Delete: weirv1.Action_ACTION_DELETE, registry.Unchanged: weirv1.Action_ACTION_UNCHANGED,
}

func (s *Definitions) changes(p *registry.Plan) []*weirv1.Change {
	var out []*weirv1.Change
	for _, c := range p.Changes {
		if s.Advise != nil && (c.Action == registry.Create || c.Action == registry.Update) {
			c.Notes = append(slices.Clip(c.Notes), s.Advise(c.Definition)...)
		}
		w := &weirv1.Change{Action: actions[c.Action], Kind: string(c.Kind), Project: c.Project, Name: c.Name, Version: int32(c.Version), Breaking: c.Breaking, Notes: c.Notes}
		for _, d := range c.Diffs {
			w.Diff = append(w.Diff, d.String())
		}
		out = append(out, w)
	}
	return out
}

func wireFaults(fs []manifest.Fault) []*weirv1.Fault {
	var out []*weirv1.Fault
	for _, f := range fs {
		out = append(out, &weirv1.Fault{File: f.File, Line: int32(f.Line), Column: int32(f.Column), Field: f.Field, Message: f.Msg})
	}
	return out
}
