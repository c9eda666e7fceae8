package api

import (
	"context"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Models is weir.v1.ModelService.
type Models struct {
	weirv1.UnimplementedModelServiceServer
	Registry *registry.Registry
}

// Register ties a version of a model to the snapshot it was trained on.
func (s *Models) Register(ctx context.Context, req *weirv1.RegisterModelRequest) (*weirv1.RegisterModelResponse, error) {
	m := req.Model
	if m == nil {
		return nil, feature.Errorf(feature.Invalid, "model.register", "", "there is no model in the request")
	}
	made, fresh, err := s.Registry.RegisterModel(ctx, feature.Model{Project: m.Project, Name: m.Name, Version: m.Version, Service: m.Service,
		ServiceVersion: int(m.ServiceVersion), Snapshot: m.Snapshot, URI: m.Uri, Tags: m.Tags, Aliases: m.Aliases, CreatedAt: m.CreatedAt})
	if err != nil {
		return nil, err
	}
	return &weirv1.RegisterModelResponse{Model: model(made), Created: fresh}, nil
}

// List lists versions.
func (s *Models) List(ctx context.Context, req *weirv1.ListModelsRequest) (*weirv1.ListModelsResponse, error) {
	all, err := s.Registry.ListModels(ctx, req.Project, req.Name)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.ListModelsResponse{}
	for _, m := range all {
		resp.Models = append(resp.Models, model(m))
	}
	return resp, nil
}

// Get returns a version with the past of the model's aliases.
func (s *Models) Get(ctx context.Context, req *weirv1.GetModelRequest) (*weirv1.GetModelResponse, error) {
	m, err := s.Registry.FindModel(ctx, req.Project, req.Name, req.Version)
	if err != nil {
		return nil, err
	}
	moves, err := s.Registry.AliasMoves(ctx, m.Project, m.Name)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.GetModelResponse{Model: model(m)}
	for _, x := range moves {
		resp.Moves = append(resp.Moves, &weirv1.AliasMove{Alias: x.Alias, Version: x.Version, Snapshot: x.Snapshot, At: x.At})
	}
	return resp, nil
}

// SetAlias puts an alias at a version.
func (s *Models) SetAlias(ctx context.Context, req *weirv1.SetAliasRequest) (*weirv1.SetAliasResponse, error) {
	if req.Version == "" {
		return nil, feature.Errorf(feature.Invalid, "model.alias", req.Name+" "+req.Alias, "a version is required")
	}
	moved, err := s.Registry.MoveAlias(ctx, req.Project, req.Name, req.Alias, req.Version)
	return &weirv1.SetAliasResponse{Moved: moved}, err
}

// DeleteAlias takes an alias off.
func (s *Models) DeleteAlias(ctx context.Context, req *weirv1.DeleteAliasRequest) (*weirv1.DeleteAliasResponse, error) {
	m, ok, err := s.Registry.AliasedModel(ctx, project(req.Project), req.Name, req.Alias)
	if err != nil {
		return nil, err
	}
	what := project(req.Project) + "/" + req.Name + "@" + req.Version
	switch {
	case !ok:
		return nil, feature.Errorf(feature.NotFound, "model.alias", what, "no version is %s", req.Alias).WithHint("weir model list shows aliases")
	case req.Version != "" && m.Version != req.Version:
		return nil, feature.Errorf(feature.Invalid, "model.alias", what, "%s is version %s", req.Alias, m.Version)
	}
	moved, err := s.Registry.MoveAlias(ctx, req.Project, req.Name, req.Alias, "")
	return &weirv1.DeleteAliasResponse{Moved: moved}, err
}

// Delete forgets a version.
func (s *Models) Delete(ctx context.Context, req *weirv1.DeleteModelRequest) (*weirv1.DeleteModelResponse, error) {
	return &weirv1.DeleteModelResponse{}, s.Registry.DeleteModel(ctx, req.Project, req.Name, req.Version)
}

func model(m feature.Model) *weirv1.Model {
	return &weirv1.Model{Project: m.Project, Name: m.Name, Version: m.Version, Service: m.Service, ServiceVersion: int32(m.ServiceVersion),
		Snapshot: m.Snapshot, Uri: m.URI, Tags: m.Tags, Aliases: m.Aliases, CreatedAt: m.CreatedAt}
}
