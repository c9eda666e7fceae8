package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-ml/weir/ingest/quarantine"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Quarantine is weir.v1.QuarantineService.
type Quarantine struct {
	weirv1.UnimplementedQuarantineServiceServer
	Registry *registry.Registry
	Reader   *quarantine.Reader
}

// listed is how much of a payload a list shows.
const listed = 256

// List lists the events of a view that were held back, newest first.
func (s *Quarantine) List(ctx context.Context, req *weirv1.ListQuarantineRequest) (*weirv1.ListQuarantineResponse, error) {
	res, err := s.read(ctx, req.Project, req.View, quarantine.Query{Rule: req.Rule, Limit: limit(req.Limit, 100)})
	if err != nil {
		return nil, err
	}
	resp := &weirv1.ListQuarantineResponse{Total: res.Total}
	counts := map[string]int64{}
	for _, c := range res.ByRule {
		name := c.Rule
		if c.Path != "" {
			name += "(" + c.Path + ")"
		}
		counts[name] += c.Count
	}
	for _, name := range sortedByCount(counts) {
		resp.Rules = append(resp.Rules, &weirv1.RuleCount{Rule: name, Rows: counts[name]})
	}
	for _, e := range slices.Backward(res.Entries) {
		out := entry(e)
		if len(out.Payload) > listed {
			out.Payload = out.Payload[:listed]
		}
		resp.Entries = append(resp.Entries, out)
	}
	return resp, nil
}

// Show returns one event, with its payload as it came.
func (s *Quarantine) Show(ctx context.Context, req *weirv1.ShowQuarantineRequest) (*weirv1.ShowQuarantineResponse, error) {
	res, err := s.read(ctx, req.Project, req.View, quarantine.Query{})
	if err != nil {
		return nil, err
	}
	for _, e := range res.Entries {
		if e.Partition == req.Partition && e.Offset == req.Offset && (req.Topic == "" || req.Topic == e.Topic) {
			return &weirv1.ShowQuarantineResponse{Entry: entry(e)}, nil
		}
	}
	return nil, feature.Errorf(feature.NotFound, "quarantine.show", req.View+" "+strconv.Itoa(int(req.Partition))+"/"+strconv.FormatInt(req.Offset, 10), "no such event is held back").
		WithHint("weir quarantine list --view %s shows those that are", req.View)
}

func (s *Quarantine) read(ctx context.Context, proj, view string, q quarantine.Query) (*quarantine.Result, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	q.Project, q.View = project(proj), view
	if _, err := cat.View(q.Project, view); err != nil {
		return nil, err
	}
	return s.Reader.Read(ctx, q)
}

func sortedByCount(m map[string]int64) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if m[a] != m[b] {
			return int(max(-1, min(1, m[b]-m[a])))
		}
		return strings.Compare(a, b)
	})
	return names
}

func entry(e *quarantine.Entry) *weirv1.QuarantineEntry {
	out := &weirv1.QuarantineEntry{Project: e.Project, View: e.View, Topic: e.Topic, TopicId: e.TopicID[:], Partition: e.Partition, Offset: e.Offset,
		RecordTime: e.Timestamp, Revision: e.Revision, Key: e.Key, Payload: e.Payload, PayloadSize: int64(len(e.Payload))}
	if e.Omitted > 0 {
		out.PayloadSize = e.Omitted
	}
	for _, r := range e.Reasons {
		out.Reasons = append(out.Reasons, &weirv1.Reason{Rule: r.Rule, Path: r.Path, Value: r.Value, Expected: r.Expected, Severity: string(r.Severity)})
	}
	return out
}
