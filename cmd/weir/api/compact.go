package api

import (
	"cmp"
	"time"

	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// Compacted is what a compaction of one table did, or would do.
type Compacted struct {
	Files, Made, Rows, Bytes, BytesMade, FilesLeft, Conflicts int64
}

// Compact merges small files.
func (s *Upkeep) Compact(req *weirv1.CompactRequest, stream weirv1.UpkeepService_CompactServer) error {
	ctx := stream.Context()
	return s.each(stream.Context(), req.Project, req.View, func(v *feature.View) error {
		p := &pace{}
		res, err := s.Merge(ctx, v, req.DryRun, func(done, total int64) {
			if p.due("") {
				_ = stream.Send(&weirv1.CompactResponse{Part: &weirv1.CompactResponse_Progress{Progress: &weirv1.CompactProgress{View: v.ID(), Rows: done, Total: total}}})
			}
		})
		if err != nil {
			return err
		}
		return stream.Send(&weirv1.CompactResponse{Part: &weirv1.CompactResponse_Result{Result: &weirv1.CompactResult{
			Project: v.Meta.Project, View: v.Meta.Name, Files: res.Files, Made: res.Made, Rows: res.Rows, Bytes: res.Bytes, BytesMade: res.BytesMade,
			FilesLeft: res.FilesLeft, Conflicts: res.Conflicts}}})
	})
}

// Expire forgets old snapshots, and removes files that nothing names where that is asked for.
func (s *Upkeep) Expire(req *weirv1.ExpireRequest, stream weirv1.UpkeepService_ExpireServer) error {
	ctx := stream.Context()
	now := time.Now()
	o := offline.ExpireOptions{Before: cmp.Or(req.Before, now.Add(-s.Settings.SnapshotAge).UnixMicro()), Keep: s.Settings.SnapshotsKept, DryRun: req.DryRun}
	if req.Keep != nil {
		o.Keep = int(*req.Keep)
	}
	if o.Keep < 0 || o.Before > now.UnixMicro() {
		return feature.Errorf(feature.Invalid, "table.expire", "", "keep %d snapshots, and those from after %s: neither may be negative", o.Keep, feature.Time(o.Before).Format(time.RFC3339))
	}
	return s.each(ctx, req.Project, req.View, func(v *feature.View) error {
		if err := stream.Send(&weirv1.ExpireResponse{Part: &weirv1.ExpireResponse_View{View: v.ID()}}); err != nil {
			return err
		}
		t, err := s.Tables.Table(ctx, v)
		if err != nil {
			return err
		}
		defer t.Close()
		if !req.DryRun {
			if _, err := offline.SweepTags(ctx, t, s.Registry.Snapshots(), now, s.Log); err != nil {
				return err
			}
		}
		gone, err := t.Expire(ctx, o)
		if err != nil {
			return err
		}
		out := &weirv1.ExpireResult{Project: v.Meta.Project, View: v.Meta.Name, Snapshots: int64(gone.Snapshots), Kept: int64(gone.Kept), Files: int64(gone.Files), Bytes: gone.Bytes}
		if req.Orphans {
			swept, err := t.Sweep(ctx, offline.SweepOptions{Before: now.Add(-s.Settings.OrphanAge).UnixMicro(), DryRun: req.DryRun})
			if err != nil {
				return err
			}
			out.Orphans, out.OrphanBytes = int64(swept.Files), swept.Bytes
		}
		return stream.Send(&weirv1.ExpireResponse{Part: &weirv1.ExpireResponse_Result{Result: out}})
	})
}
