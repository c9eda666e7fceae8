package api

import (
	"context"
	"slices"
	"strings"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/registry/suggest"
)

// Training makes training sets for whoever asks by names; it is an offline.Trainer.
type Training struct {
	Registry *registry.Registry
	Tables   offline.Store
	Maker    *offline.Snapshots
	Joins    *offline.Joins // where training sets are made that are no snapshots
}

const opTraining = "snapshot.create"

// Train implements offline.Trainer.
func (t *Training) Train(ctx context.Context, req offline.TrainingRequest) (offline.Created, error) {
	svc, recorded, err := t.service(ctx, req)
	if err != nil {
		return offline.Created{}, err
	}
	schema, err := offline.TrainingSchema(svc, req.Spine, req.Split)
	if err != nil {
		return offline.Created{}, err
	}
	tables, closeAll, err := t.open(ctx, svc)
	if err != nil {
		return offline.Created{}, err
	}
	defer closeAll()
	if err := atVersions(svc, req.Versions, tables); err != nil {
		return offline.Created{}, err
	}
	begin := func(id string) error {
		if req.Begin == nil {
			return nil
		}
		return req.Begin(schema, id)
	}
	if !recorded {
		return t.join(ctx, svc, tables, req, begin)
	}
	var names []string
	for _, c := range svc.Columns {
		names = append(names, c.Name)
	}
	return t.Maker.Create(ctx, offline.CreateRequest{Service: svc, Tables: tables, Spine: req.Spine, Clock: req.Clock, Split: req.Split,
		Begin: begin, Profiler: drift.NewProfiler(names...), Commit: req.Commit, Progress: req.Progress, Stage: req.Stage}, req.Sink)
}

// join makes a training set that nobody will ask for again.
func (t *Training) join(ctx context.Context, svc *feature.Service, tables []offline.TableAt, req offline.TrainingRequest, begin func(string) error) (offline.Created, error) {
	if err := begin(""); err != nil {
		return offline.Created{}, err
	}
	sink, err := offline.Splitting(req.Split, svc, req.Spine, req.Sink)
	if err != nil {
		return offline.Created{}, err
	}
	var made offline.Created
	made.Join, err = offline.Join(ctx, offline.JoinRequest{Service: svc, Tables: tables, Spine: req.Spine, Clock: req.Clock, Progress: req.Progress, Stage: req.Stage, Joins: t.Joins}, sink)
	if made.Rows = made.Join.Rows; err == nil && req.Commit != nil {
		err = req.Commit()
	}
	return made, err
}

// service finds the service, or makes one of the features that are asked for.
func (t *Training) service(ctx context.Context, req offline.TrainingRequest) (_ *feature.Service, recorded bool, err error) {
	cat, err := t.Registry.Current(ctx)
	if err != nil {
		return nil, false, err
	}
	if len(req.Features) == 0 {
		svc, err := cat.Service(project(req.Project), req.Service)
		if err != nil {
			return nil, false, err
		}
		return named(svc, req.FullNames), !req.Unrecorded && !req.FullNames, nil
	}
	if req.Service != "" {
		return nil, false, feature.Errorf(feature.Invalid, opTraining, "service "+req.Service, "features are named beside it").WithHint("ask for a service or for features, not for both")
	}
	svc := &feature.Service{Meta: feature.Meta{Project: project(req.Project), Name: "features"}, Features: req.Features}
	if err := unknown(cat, svc); err != nil {
		return nil, false, err
	}
	if faults := append(svc.Check(), svc.Resolve(func(name string) *feature.View {
		v, err := cat.View(svc.Meta.Project, name)
		if err != nil {
			return nil
		}
		return v
	})...); len(faults) > 0 {
		var texts []string
		for _, f := range faults {
			texts = append(texts, f.Msg)
		}
		return nil, false, feature.Errorf(feature.Invalid, opTraining, "features", "%s", strings.Join(texts, "; ")).WithHint("weir get views shows the views of the project")
	}
	return named(svc, req.FullNames), false, nil
}

// unknown is the error of the first feature that does not exist, with the one that was probably meant.
func unknown(cat *registry.Catalog, svc *feature.Service) error {
	for _, ref := range svc.Features {
		view, name, ok := strings.Cut(ref, ":")
		if !ok || view == "" || name == "" {
			continue // Check says what is wrong with it
		}
		v, err := cat.View(svc.Meta.Project, view)
		if err != nil {
			return err
		}
		if name == "*" || v.Feature(name) >= 0 {
			continue
		}
		var names []string
		for _, f := range v.Features {
			names = append(names, f.Name)
		}
		hint := suggest.Phrase(name, names)
		if hint == "" {
			hint = "it has " + strings.Join(names, ", ")
		}
		return feature.Errorf(feature.NotFound, opTraining, "feature "+ref, "view %s has no feature %q", v.ID(), name).WithHint("%s", hint)
	}
	return nil
}

// named gives every column its view's name too, where that is asked for.
func named(s *feature.Service, full bool) *feature.Service {
	if !full {
		return s
	}
	out := *s
	out.Columns = slices.Clone(s.Columns)
	for i := range out.Columns {
		c := &out.Columns[i]
		v := s.Views[c.View]
		c.Name = v.Meta.Name + "__" + v.Features[c.Feature].Name
	}
	return &out
}

// open opens the tables of a service.
func (t *Training) open(ctx context.Context, svc *feature.Service) (tables []offline.TableAt, closeAll func(), err error) {
	closeAll = func() {
		for _, t := range tables {
			_ = t.Table.Close()
		}
	}
	for _, v := range svc.Views {
		table, err := t.Tables.Table(ctx, v)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		tables = append(tables, offline.TableAt{Table: table})
	}
	return tables, closeAll, nil
}

// atVersions pins the tables to the versions that are asked for: VERSION for all
// views, or VIEW=VERSION for one.
func atVersions(svc *feature.Service, versions []string, tables []offline.TableAt) error {
	var all string
	by := map[string]string{}
	for _, text := range versions {
		view, version, one := strings.Cut(text, "=")
		switch _, twice := by[view]; {
		case !one && all == "":
			all = text
		case !one || twice:
			return feature.Errorf(feature.Invalid, "snapshot.create", "version "+text, "a second version for the same views")
		case !slices.ContainsFunc(svc.Views, func(v *feature.View) bool { return v.Meta.Name == view }):
			return feature.Errorf(feature.NotFound, "snapshot.create", "version "+text, "service %s has no features of view %s", svc.Meta.Name, view)
		default:
			by[view] = version
		}
	}
	for i, v := range svc.Views {
		text, ok := by[v.Meta.Name]
		if !ok {
			text = all
		}
		version, err := offline.ParseVersion(text)
		if err != nil {
			return err
		}
		tables[i].Version = version
	}
	return nil
}
