package api

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/quarantine"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Quarantine is weir.v1.QuarantineService. Replayer is nil where the process
// does not run the role ingest.
type Quarantine struct {
	weirv1.UnimplementedQuarantineServiceServer
	Registry *registry.Registry
	Reader   *quarantine.Reader
	Rows     quarantine.Rows
	Replayer *ingest.Replayer
}

const (
	listed     = 256 // how much of a payload a list shows
	mostListed = 10_000
)

// List lists the events of a view, or of all views, that were held back, newest first.
func (s *Quarantine) List(ctx context.Context, req *weirv1.ListQuarantineRequest) (*weirv1.ListQuarantineResponse, error) {
	by := quarantine.Grouping(req.GroupBy)
	if !slices.Contains([]quarantine.Grouping{quarantine.ByReason, quarantine.ByRule, quarantine.ByPath, quarantine.ByNone}, by) {
		return nil, feature.Errorf(feature.Invalid, "quarantine.list", "group_by "+req.GroupBy, "events are not counted by that").WithHint("use rule, path or none, or leave it out for both")
	}
	f := filterOf(req.Filter)
	if req.Rule != "" {
		f.Rules = append(f.Rules, req.Rule)
	}
	for _, name := range req.States {
		if !slices.Contains(quarantine.States(), quarantine.State(name)) {
			return nil, feature.Errorf(feature.Invalid, "quarantine.list", "state "+name, "there is no such state").WithHint("use held, replayed, taken or discarded")
		}
		f.States = append(f.States, quarantine.State(name))
	}
	views, err := s.views(ctx, req.Project, req.View)
	if err != nil {
		return nil, err
	}
	o := quarantine.ListOptions{Limit: min(limit(req.Limit, 100), mostListed), Payload: listed, Group: by}
	resp := &weirv1.ListQuarantineResponse{States: map[string]int64{}}
	counts := map[string]int64{}
	var groups []quarantine.Group
	for _, v := range views {
		res, err := s.Reader.List(ctx, v, f, s.Rows, o)
		if err != nil {
			return nil, err
		}
		resp.Total += res.Total
		for state, n := range res.ByState {
			resp.States[string(state)] += n
		}
		for _, c := range res.ByRule {
			name := c.Rule
			if c.Path != "" {
				name += "(" + c.Path + ")"
			}
			counts[name] += c.Count
		}
		groups = append(groups, res.Groups...)
		for _, e := range slices.Backward(res.Entries) {
			resp.Entries = append(resp.Entries, entry(v, e, req.Payload))
		}
		if len(views) > 1 {
			slices.SortStableFunc(resp.Entries, func(a, b *weirv1.QuarantineEntry) int { return cmp.Compare(b.RecordTime, a.RecordTime) })
			resp.Entries = resp.Entries[:min(len(resp.Entries), o.Limit)]
		}
	}
	resp.Rules = ruleCounts(counts)
	quarantine.SortGroups(groups)
	for _, g := range groups {
		resp.Groups = append(resp.Groups, &weirv1.QuarantineGroup{View: g.View, Rule: g.Rule, Path: g.Path, Others: g.Others, Count: g.Count, FirstSeen: g.First, LastSeen: g.Last,
			Example: reason(g.Reason), Topic: g.Topic, Partition: g.Partition, Offset: g.Offset})
	}
	return resp, nil
}

// Show returns one event, whatever has become of it, with its payload as it came: of a view
// that masks values only where it is asked for.
func (s *Quarantine) Show(ctx context.Context, req *weirv1.ShowQuarantineRequest) (*weirv1.ShowQuarantineResponse, error) {
	v, err := s.view(ctx, req.Project, req.View)
	if err != nil {
		return nil, err
	}
	f := quarantine.Filter{Events: []quarantine.Event{{Topic: req.Topic, Partition: req.Partition, Offset: req.Offset}}, States: quarantine.States()}
	res, err := s.Reader.List(ctx, v, f, s.Rows, quarantine.ListOptions{Limit: 1, Group: quarantine.ByNone})
	if err != nil {
		return nil, err
	}
	if len(res.Entries) == 0 {
		return nil, feature.Errorf(feature.NotFound, "quarantine.show", req.View+" "+strconv.Itoa(int(req.Partition))+"/"+strconv.FormatInt(req.Offset, 10), "no such event is held back").
			WithHint("weir quarantine list --view %s shows those that are", req.View)
	}
	return &weirv1.ShowQuarantineResponse{Entry: entry(v, res.Entries[0], req.Payload)}, nil
}

// Replay takes events through today's schema and suite again.
func (s *Quarantine) Replay(req *weirv1.ReplayQuarantineRequest, stream weirv1.QuarantineService_ReplayServer) error {
	if s.Replayer == nil {
		return errNoIngest
	}
	p := &pace{}
	res, err := s.Replayer.Replay(stream.Context(), ingest.ReplayRequest{Project: project(req.Project), View: req.View, Filter: filterOf(req.Filter),
		Limit: req.Limit, DryRun: req.DryRun, By: req.By}, func(now ingest.ReplayProgress) {
		if p.due("") {
			_ = stream.Send(&weirv1.ReplayQuarantineResponse{Part: &weirv1.ReplayQuarantineResponse_Progress{Progress: &weirv1.ReplayProgress{
				Replayed: now.Replayed, Held: now.Held, Scanned: now.Scanned, Total: now.Total}}})
		}
	})
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.ReplayQuarantineResponse{Part: &weirv1.ReplayQuarantineResponse_Result{Result: &weirv1.ReplayResult{
		Replayed: res.Replayed, Held: res.Held, Undecided: res.Undecided, Lost: res.Lost, Rules: ruleCounts(res.Rules), KnownTime: res.Known, Revision: res.Revision}}})
}

// Discard gives events up.
func (s *Quarantine) Discard(req *weirv1.DiscardQuarantineRequest, stream weirv1.QuarantineService_DiscardServer) error {
	if s.Replayer == nil {
		return errNoIngest
	}
	if req.Reason == "" && !req.DryRun {
		return feature.Errorf(feature.Invalid, "quarantine.discard", "view "+req.View, "no reason is given").WithHint("say why: --reason TEXT")
	}
	p := &pace{}
	res, err := s.Replayer.Discard(stream.Context(), ingest.ReplayRequest{Project: project(req.Project), View: req.View, Filter: filterOf(req.Filter),
		Limit: req.Limit, DryRun: req.DryRun, By: req.By, Reason: req.Reason}, func(done int64) {
		if p.due("") {
			_ = stream.Send(&weirv1.DiscardQuarantineResponse{Discarded: done})
		}
	})
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.DiscardQuarantineResponse{Discarded: res.Discarded, Undecided: res.Undecided})
}

func (s *Quarantine) view(ctx context.Context, proj, view string) (*feature.View, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	return cat.View(project(proj), view)
}

// views are the one that is named, or all of a project.
func (s *Quarantine) views(ctx context.Context, proj, view string) ([]*feature.View, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	if view != "" {
		v, err := cat.View(project(proj), view)
		return []*feature.View{v}, err
	}
	var out []*feature.View
	for _, v := range cat.Views() {
		if v.Meta.Project == project(proj) {
			out = append(out, v)
		}
	}
	return out, nil
}

func filterOf(f *weirv1.QuarantineFilter) quarantine.Filter {
	if f == nil {
		return quarantine.Filter{}
	}
	out := quarantine.Filter{Rules: f.Rules, Since: f.Since, Until: f.Until, Partitions: f.Partitions}
	for _, e := range f.Events {
		out.Events = append(out.Events, quarantine.Event{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset})
	}
	return out
}

// entry is an entry as the API has it. Payload and key have all values of the event, so
// where the view masks some they come only when payload asks for them.
func entry(v *feature.View, e quarantine.Found, payload bool) *weirv1.QuarantineEntry {
	out := &weirv1.QuarantineEntry{Project: e.Project, View: e.View, Topic: e.Topic, TopicId: e.TopicID[:], Partition: e.Partition, Offset: e.Offset,
		RecordTime: e.Timestamp, Revision: e.Revision, Key: e.Key, Payload: e.Payload, PayloadSize: e.Size, State: string(e.State), Masked: v.Mask() != nil}
	if out.Masked && !payload {
		out.Key, out.Payload = nil, nil
	}
	if e.Omitted > 0 {
		out.PayloadSize, out.PayloadOmitted, out.PayloadSha256 = e.Omitted, true, e.SHA256
	}
	if d := e.Discarded; d != nil {
		out.Discarded = &weirv1.QuarantineDiscard{At: d.At, By: d.By, Reason: d.Reason}
	}
	for _, r := range e.Reasons {
		out.Reasons = append(out.Reasons, reason(r))
	}
	return out
}

func reason(r feature.Reason) *weirv1.Reason {
	return &weirv1.Reason{Rule: r.Rule, Path: r.Path, Value: r.Value, Expected: r.Expected, Severity: string(r.Severity)}
}
