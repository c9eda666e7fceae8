package api

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/weir-ml/weir/ingest/audit"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Upkeep is weir.v1.UpkeepService.
type Upkeep struct {
	weirv1.UnimplementedUpkeepServiceServer
	Registry *registry.Registry
	Examine  func(context.Context, *feature.View, AuditOptions, func(audit.Progress)) (*audit.Report, error)
	Rebuild  func(context.Context, *feature.View, MaterializeOptions, func(done, total int64)) (Materialized, error)
	Merge    func(ctx context.Context, v *feature.View, dryRun bool, progress func(done, total int64)) (Compacted, error)
	Tables   offline.Store
	Settings offline.UpkeepConfig
	Log      *slog.Logger
}

// AuditOptions say what is audited.
type AuditOptions struct {
	audit.Options
	NoImports bool // no import of the view is under way
}

// MaterializeOptions say how online rows are written again.
type MaterializeOptions struct {
	Restart       bool // begin anew
	KeepStrangers bool // leave rows that the table does not have
	NoImports     bool // no import of the view is under way
}

// Materialized is what came of it: rows of the table, those of them that were
// written, rows of the store that were removed, and rows that were replaced
// although they looked newer.
type Materialized struct {
	Rows, Stored, Removed, Mended int64
	Resumed                       bool
}

// Audit audits the views that are asked for, one after the other. Where one
// cannot be audited, the error comes after the reports of the others.
func (s *Upkeep) Audit(req *weirv1.AuditRequest, stream weirv1.UpkeepService_AuditServer) error {
	o := AuditOptions{audit.Options{SkipLog: req.SkipLog, SkipOnline: req.SkipOnline, Most: limit(req.Most, 100)}, req.NoImports}
	return s.each(stream.Context(), req.Project, req.View, func(v *feature.View) error {
		p := &pace{}
		rep, err := s.Examine(stream.Context(), v, o, func(a audit.Progress) {
			if p.due(a.Step) {
				_ = stream.Send(&weirv1.AuditResponse{Part: &weirv1.AuditResponse_Progress{Progress: &weirv1.AuditProgress{
					View: v.ID(), Step: a.Step, Done: a.Done, Total: a.Total}}})
			}
		})
		if err != nil {
			return err
		}
		return stream.Send(&weirv1.AuditResponse{Part: &weirv1.AuditResponse_Report{Report: auditReport(rep)}})
	})
}

// Materialize writes the online rows of a view again.
func (s *Upkeep) Materialize(req *weirv1.MaterializeRequest, stream weirv1.UpkeepService_MaterializeServer) error {
	cat, err := s.Registry.Current(stream.Context())
	if err != nil {
		return err
	}
	v, err := cat.View(project(req.Project), req.View)
	if err != nil {
		return err
	}
	if !v.IsOnline() {
		return feature.Errorf(feature.Invalid, "online.materialize", "view "+v.ID(), "the view is not online").WithHint("set spec.online: true and apply it")
	}
	p := &pace{}
	res, err := s.Rebuild(stream.Context(), v, MaterializeOptions{Restart: req.Restart, KeepStrangers: req.KeepStrangers, NoImports: req.NoImports}, func(done, total int64) {
		if p.due("") {
			_ = stream.Send(&weirv1.MaterializeResponse{Part: &weirv1.MaterializeResponse_Progress{Progress: &weirv1.MaterializeProgress{Rows: done, Total: total}}})
		}
	})
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.MaterializeResponse{Part: &weirv1.MaterializeResponse_Result{Result: &weirv1.MaterializeResult{
		Rows: res.Rows, Stored: res.Stored, Removed: res.Removed, Mended: res.Mended, Resumed: res.Resumed}}})
}

// each does something to the views that are asked for, one after the other. Where it
// fails for one, the others have their turn all the same, and the first error comes last.
func (s *Upkeep) each(ctx context.Context, project, view string, f func(*feature.View) error) error {
	views, err := s.views(ctx, project, view)
	if err != nil {
		return err
	}
	var failed error
	for _, v := range views {
		if err := f(v); err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed = cmp.Or(failed, err)
		}
	}
	return failed
}

// views are those of a project, or one.
func (s *Upkeep) views(ctx context.Context, proj, view string) ([]*feature.View, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	if view != "" {
		v, err := cat.View(project(proj), view)
		return []*feature.View{v}, err
	}
	return slices.DeleteFunc(slices.Clone(cat.Views()), func(v *feature.View) bool { return proj != "" && v.Meta.Project != proj }), nil
}

// pace lets through a progress message now and then, and each first one of a step.
type pace struct {
	last time.Time
	step string
}

func (p *pace) due(step string) bool {
	now := time.Now()
	if step == p.step && now.Sub(p.last) < 100*time.Millisecond {
		return false
	}
	p.step, p.last = step, now
	return true
}

func auditReport(r *audit.Report) *weirv1.AuditReport {
	out := &weirv1.AuditReport{Project: r.View.Meta.Project, View: r.View.Meta.Name, Snapshot: r.Snapshot, Found: r.Found, Notes: r.Notes}
	for _, l := range r.Lines {
		out.Lines = append(out.Lines, &weirv1.AuditLine{Topic: l.Topic, TopicId: l.TopicID[:], Partition: l.Partition, Day: l.Day,
			Log: l.Log, Table: l.Table, Quarantine: l.Quarantine, LogHash: l.LogHash, TableHash: l.TableHash,
			QuarantineHash: l.QuarantineHash, Compared: l.Compared, Replayed: l.Replayed})
	}
	if o := r.Online; o != nil {
		out.Online = &weirv1.AuditOnline{Keys: o.Keys, Equal: o.Equal, Expired: o.Expired, Ahead: o.Ahead, TableHash: o.TableHash, StoreHash: o.StoreHash}
	}
	for _, d := range r.Differences {
		w := &weirv1.AuditDifference{Kind: d.Kind, Topic: d.Topic, Partition: d.Partition, First: d.First, Last: d.Last, Count: d.Count,
			Day: d.Day, Key: d.Key, Path: d.Path, Detail: d.Detail}
		if d.Topic != "" {
			w.TopicId = d.TopicID[:]
		}
		out.Differences = append(out.Differences, w)
	}
	return out
}
