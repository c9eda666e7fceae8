package api

import (
	"context"
	"fmt"

	"github.com/weir-ml/weir/ingest"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// guarded adds what a view's suite in shadow has counted, and that it waits.
func (s *Ingest) guarded(ctx context.Context, v *feature.View, out *weirv1.ViewStatus) error {
	out.Shadow = s.shadow(v)
	if s.Pauses == nil {
		return nil
	}
	all, err := s.Pauses.Of(ctx, v.Meta.Project, v.Meta.Name)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.State == ingest.PauseResumed {
			continue
		}
		r := out.RejectPause
		if r == nil {
			r = &weirv1.RejectPause{Since: p.Since, Rejected: p.Rejected, Judged: p.Events, Limit: p.Limit, Events: p.Events, Accepting: p.State == ingest.PauseAccepted}
			out.RejectPause = r
		}
		if len(r.Rules) == 0 {
			r.Rules = ruleCounts(p.Rules)
		}
		if p.State == ingest.PauseStanding {
			r.Since, r.Accepting = min(r.Since, p.Since), false
			r.Partitions = append(r.Partitions, p.Partition)
			out.Paused = p.Text()
		} else if out.Paused == "" {
			out.Paused = p.Text()
		}
	}
	return nil
}

func (s *Ingest) shadow(v *feature.View) *weirv1.ShadowStatus {
	if v.ShadowOf == nil {
		return nil
	}
	out := &weirv1.ShadowStatus{Suite: v.ShadowOf.Meta.Name, Version: int32(v.ShadowOf.Version)}
	if s.Shadow == nil {
		return out
	}
	st := s.Shadow(v.Meta.Project, v.Meta.Name)
	if st == nil || st.Suite != out.Suite {
		return out
	}
	out.Since, out.Rows, out.Rejected, out.Fault = st.Since, st.Rows, st.Rejected, st.Fault
	for _, r := range st.Rules {
		out.Rules = append(out.Rules, &weirv1.ShadowRule{Expectation: r.Type, Column: r.Path, Expected: r.Expected, Severity: string(r.Severity),
			Rejects: r.Rejects, Evaluated: r.Evaluated, Failed: r.Failed})
	}
	return out
}

// Resume lets a paused view go on.
func (s *Ingest) Resume(ctx context.Context, req *weirv1.ResumeRequest) (*weirv1.ResumeResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	v, err := cat.View(project(req.Project), req.View)
	if err != nil {
		return nil, err
	}
	if s.Pauses == nil {
		return nil, errNoIngest
	}
	parts, err := ingest.Resume(ctx, s.Pauses, s.LogEnds, v, req.Accept)
	return &weirv1.ResumeResponse{Partitions: parts}, err
}

// Properties are what `weir describe` says of a view that somebody tries a suite on, or that waits.
func (s *Ingest) Properties(ctx context.Context, v *feature.View) (out []*weirv1.Property, err error) {
	st := &weirv1.ViewStatus{}
	if err := s.guarded(ctx, v, st); err != nil {
		return nil, err
	}
	add := func(name, format string, args ...any) {
		out = append(out, &weirv1.Property{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	if x := st.RejectPause; x != nil {
		add("paused", "%s", st.Paused)
		for _, r := range x.Rules {
			add("would be held back", "%d by %s", r.Rows, r.Rule)
		}
	}
	x := st.Shadow
	switch {
	case x == nil:
		return out, nil
	case x.Since == 0:
		add("shadow suite "+x.Suite, "has judged nothing in this process yet")
	default:
		add("shadow suite "+x.Suite, "%d of %d rows would be held back since %s", x.Rejected, x.Rows, feature.Time(x.Since).Format("2006-01-02 15:04:05Z"))
	}
	if x.Fault != "" {
		add("shadow suite "+x.Suite, "%s", x.Fault)
	}
	for _, r := range x.Rules {
		if r.Failed > 0 {
			add("  "+r.Expectation+"("+r.Column+")", "%d of %d failed, %s", r.Failed, r.Evaluated, r.Severity)
		}
	}
	return out, nil
}
