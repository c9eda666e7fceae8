package api

import (
	"context"
	"math"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// Delete forgets a snapshot and lets go of the versions of its tables. The record goes
// first, in one step with the question who uses it; whatever happens then, upkeep
// takes off tags without a record.
func (s *Snapshots) Delete(ctx context.Context, req *weirv1.DeleteSnapshotRequest) (*weirv1.DeleteSnapshotResponse, error) {
	x, err := s.Training.Registry.DeleteSnapshot(ctx, req.Project, req.Id)
	if err != nil {
		return nil, err
	}
	// Half a deletion helps nobody: what is left is done even when the caller is gone.
	ctx = context.WithoutCancel(ctx)
	tables, left := s.tablesOf(ctx, x)
	defer func() {
		for _, t := range tables {
			_ = t.Close()
		}
	}()
	left = append(left, offline.LetGo(ctx, x, tables, s.Log)...)
	s.Log.Info("snapshot deleted", "snapshot", x.ID, "service", x.Service)
	return &weirv1.DeleteSnapshotResponse{Snapshot: snapshot(x), TagsLeft: left}, nil
}

// tablesOf opens the tables of a snapshot by the views of today; by those of then
// where a view is no more.
func (s *Snapshots) tablesOf(ctx context.Context, x feature.Snapshot) (tables map[string]offline.Table, left []string) {
	tables = map[string]offline.Table{}
	views := map[string]*feature.View{}
	if svc, err := s.Training.Registry.SnapshotService(ctx, x); err == nil {
		for _, v := range svc.Views {
			views[v.Meta.Name] = v
		}
	}
	cat, err := s.Training.Registry.Current(ctx)
	if err != nil {
		return tables, []string{err.Error()}
	}
	for _, st := range x.Tables {
		v, err := cat.View(x.Project, st.View)
		if err != nil {
			v = views[st.View]
		}
		if v == nil || st.Tag == "" {
			continue
		}
		t, err := s.Training.Tables.Table(ctx, v)
		if err != nil {
			left = append(left, st.View+": "+err.Error())
			continue
		}
		tables[st.View] = t
	}
	return tables, left
}

func splitOf(m *weirv1.SnapshotSplit) *feature.SnapshotSplit {
	if m == nil {
		return nil
	}
	out := &feature.SnapshotSplit{By: m.By, Seed: m.Seed, Time: m.Time}
	for _, p := range m.Parts {
		out.Parts = append(out.Parts, feature.SnapshotPart{Name: p.Name, Share: p.Share, From: p.From})
	}
	return out
}

func splitMessage(s *feature.SnapshotSplit) *weirv1.SnapshotSplit {
	if s == nil {
		return nil
	}
	out := &weirv1.SnapshotSplit{By: s.By, Seed: s.Seed, Time: s.Time, NoPart: s.None}
	for _, p := range s.Parts {
		out.Parts = append(out.Parts, &weirv1.SnapshotPart{Name: p.Name, Share: p.Share, From: p.From, Rows: p.Rows})
	}
	return out
}

// mostValues is how many of a column's most frequent values are told.
const mostValues = 5

// profiled sums up the profile of a snapshot, in the order of its columns.
func profiled(x feature.Snapshot, profile []byte) (out []*weirv1.ProfiledColumn, err error) {
	if len(profile) == 0 {
		return nil, nil
	}
	p := new(drift.Profile)
	if err := p.UnmarshalBinary(profile); err != nil {
		return nil, err
	}
	for _, c := range x.Columns {
		s := p.Sketch(c.Name)
		if s == nil {
			continue
		}
		m := &weirv1.ProfiledColumn{Name: c.Name, Values: s.Count, Nulls: s.Nulls, Odd: s.Odd}
		if n, ok := s.Moments(); ok {
			median, _ := s.Quantile(0.5)
			m.Numbers = &weirv1.ProfiledNumbers{Min: n.Min, Max: n.Max, Mean: n.Mean, Deviation: math.Sqrt(n.Variance), Median: median}
		}
		if s.Shape == drift.Categories {
			top, other := s.Categories()
			for i, t := range top {
				if i >= mostValues {
					other += t.Count
					continue
				}
				m.Top = append(m.Top, &weirv1.ProfiledValue{Value: t.Value, Count: t.Count})
			}
			m.Other = other
		}
		out = append(out, m)
	}
	return out, nil
}
