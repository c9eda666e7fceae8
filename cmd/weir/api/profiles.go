package api

import (
	"context"
	"slices"

	"github.com/weir-ml/weir/drift"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Profiles is weir.v1.ProfileService.
type Profiles struct {
	weirv1.UnimplementedProfileServiceServer
	Registry *registry.Registry
	Reader   *drift.Reader
}

// Window returns a window's profile.
func (s *Profiles) Window(ctx context.Context, req *weirv1.WindowProfileRequest) (*weirv1.WindowProfile, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	m, err := cat.Monitor(project(req.Project), req.Monitor)
	if err != nil {
		return nil, err
	}
	w, err := s.Reader.Profiled(ctx, m, req.At)
	if err != nil {
		return nil, err
	}
	out := &weirv1.WindowProfile{Start: w.Start, End: w.End, Rows: w.Rows}
	for _, f := range w.Profile.Features {
		name := f.Name
		if m.ViewOf != nil {
			if at := m.ViewOf.Stored(name); at >= 0 {
				name = m.ViewOf.Features[at].Name
			}
		}
		if len(req.Features) > 0 && !slices.Contains(req.Features, name) {
			continue
		}
		x := &weirv1.FeatureProfile{Feature: name, Shape: f.Shape.String(), Count: f.Count, Nulls: f.Nulls, Odd: f.Odd,
			RankError: f.RankError(), CategoryError: f.CategoryError(), Kll: f.KLL(), Hll: f.HLL(), FrequentItems: f.FrequentItems()}
		if n, within, ok := f.Distinct(); ok {
			x.Distinct, x.DistinctError = &n, within
		}
		x.Bytes = int64(len(f.AppendBinary(nil)))
		out.Features = append(out.Features, x)
	}
	for _, name := range req.Features {
		if !slices.ContainsFunc(out.Features, func(x *weirv1.FeatureProfile) bool { return x.Feature == name }) {
			return nil, feature.Errorf(feature.NotFound, "monitor.profile", "feature "+name, "the window has none of the name").
				WithHint("weir monitor profile %s shows all", m.Meta.Name)
		}
	}
	return out, nil
}
