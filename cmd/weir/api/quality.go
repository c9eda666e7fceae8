package api

import (
	"context"
	"encoding/json"
	"time"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	"github.com/weir-ml/weir/validate/quality"
)

// Quality is weir.v1.QualityService.
type Quality struct {
	weirv1.UnimplementedQualityServiceServer
	Registry *registry.Registry
	Reader   *quality.Reader
}

// List lists what is watched of views, with where it stands.
func (s *Quality) List(ctx context.Context, req *weirv1.ListQualityRequest) (*weirv1.ListQualityResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	var views []*feature.View
	for _, v := range cat.Views() {
		if req.Project == "" || req.Project == v.Meta.Project {
			views = append(views, v)
		}
	}
	all, err := s.Reader.Status(ctx, views)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.ListQualityResponse{}
	for i := range all {
		resp.Rules = append(resp.Rules, qualityRule(&all[i]))
	}
	return resp, nil
}

// Show returns the windows of a view's suites, newest first, and where its rules stand.
func (s *Quality) Show(ctx context.Context, req *weirv1.ShowQualityRequest) (*weirv1.ShowQualityResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	v, err := cat.View(project(req.Project), req.View)
	if err != nil {
		return nil, err
	}
	if !v.Quality.Watched() && (v.Quality == nil || v.Quality.MaxRejectRate == 0) {
		return nil, feature.Errorf(feature.NotFound, "quality.show", "view "+v.ID(), "nothing of its stream is watched").
			WithHint("say what is expected of it under spec.quality, and apply")
	}
	var at time.Time
	if req.Window != 0 {
		at = feature.Time(req.Window)
	}
	ws, err := s.Reader.Windows(ctx, v, at, min(limit(req.Limit, 20), mostWindows))
	if err != nil {
		return nil, err
	}
	all, err := s.Reader.Status(ctx, []*feature.View{v})
	if err != nil {
		return nil, err
	}
	resp := &weirv1.ShowQualityResponse{}
	for i := range all {
		resp.Rules = append(resp.Rules, qualityRule(&all[i]))
	}
	for i := range ws {
		resp.Windows = append(resp.Windows, qualityWindow(ws[i].Suite, &ws[i].Window))
	}
	return resp, nil
}

func qualityRule(s *quality.Status) *weirv1.QualityRule {
	out := &weirv1.QualityRule{Project: s.Project, View: s.View, Rule: string(s.Rule), Suite: s.Suite, Shadow: s.Shadow, Since: s.Since,
		Event: s.Event, About: s.About, Reason: s.Reason, State: weirv1.QualityState_QUALITY_STATE_WAITING}
	switch s.State {
	case quality.Good:
		out.State = weirv1.QualityState_QUALITY_STATE_OK
	case quality.Firing:
		out.State = weirv1.QualityState_QUALITY_STATE_FIRING
	}
	if s.Last != nil {
		out.Last = qualityWindow(s.Suite, s.Last)
	}
	return out
}

func qualityWindow(suite string, w *quality.Window) *weirv1.QualityWindow {
	out := &weirv1.QualityWindow{Suite: suite, Start: w.Start, End: w.End, State: string(w.State), Rows: w.Rows, Late: w.Late, Amended: w.Amended, JudgedAt: w.JudgedAt}
	if w.Verdict == nil {
		return out
	}
	out.Outcome = string(w.Verdict.Outcome)
	for i := range w.Verdict.Results {
		r := &w.Verdict.Results[i]
		x := &weirv1.QualityResult{Type: r.Type, Id: r.ID, Column: r.Column, Severity: string(r.Severity), Outcome: string(r.Outcome), Expected: r.Expected,
			Elements: r.Elements, Missing: r.Missing, Unexpected: r.Unexpected, Examples: r.Examples, Error: r.Error, Reason: r.Reason, Name: r.Name()}
		if r.Observed != nil {
			if b, err := json.Marshal(r.Observed); err == nil {
				x.Observed = string(b)
			}
		}
		out.Results = append(out.Results, x)
	}
	return out
}
