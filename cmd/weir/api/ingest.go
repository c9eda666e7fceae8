package api

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Ingest is weir.v1.IngestService. Supervisor and Importer are nil where the
// process does not run the role.
type Ingest struct {
	weirv1.UnimplementedIngestServiceServer
	Registry   *registry.Registry
	Tables     offline.Store
	Supervisor *ingest.Supervisor
	Importer   *ingest.Importer
	Held       func(project, view string) int64 // events held back since the start
	Newest     func(project, view string) int64 // newest effective time seen, microseconds UTC
	Shadow     func(project, view string) *ingest.ShadowStatus
	Pauses     ingest.Pauses  // of all workers
	LogEnds    ingest.LogEnds // of sources' topics
	Spool      string         // folder for files on their way in
	// Place opens a bucket or a folder that the server reads itself; it refuses what is not allowed.
	Place func(ctx context.Context, location string) (ingest.ImportPlace, error)

	uploads sync.Map // by content hash: a chan struct{} held by who receives it
}

var errNoIngest = feature.Errorf(feature.Unsupported, "ingest", "", "this process does not ingest").WithHint("ask one that runs the role ingest")

// ruleCounts has the rule that most rows failed first.
func ruleCounts(rules map[string]int64) (out []*weirv1.RuleCount) {
	for rule, rows := range rules {
		out = append(out, &weirv1.RuleCount{Rule: rule, Rows: rows})
	}
	slices.SortFunc(out, func(a, b *weirv1.RuleCount) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Rule, b.Rule))
	})
	return out
}

// headed refuses a stream that does not begin with a header.
func headed(op string, header bool, err error) error {
	if errors.Is(err, io.EOF) || err == nil && !header {
		return feature.Errorf(feature.Invalid, op, "", "the first message must be the header")
	}
	return err
}

// Status says where every view's table and its streams stand.
func (s *Ingest) Status(ctx context.Context, req *weirv1.IngestStatusRequest) (*weirv1.IngestStatusResponse, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, err
	}
	live := map[string]ingest.SourceStatus{}
	if s.Supervisor != nil {
		for _, st := range s.Supervisor.Status() {
			live[st.Project+"/"+st.Source] = st
		}
	}
	resp := &weirv1.IngestStatusResponse{}
	for _, v := range cat.Views() {
		if req.Project != "" && v.Meta.Project != req.Project || req.View != "" && v.Meta.Name != req.View {
			continue
		}
		out, err := s.view(ctx, v, live[v.Meta.Project+"/"+v.Source])
		if err != nil {
			return nil, err
		}
		resp.Views = append(resp.Views, out)
	}
	return resp, nil
}

func (s *Ingest) view(ctx context.Context, v *feature.View, src ingest.SourceStatus) (*weirv1.ViewStatus, error) {
	out := &weirv1.ViewStatus{Project: v.Meta.Project, View: v.Meta.Name, Topic: v.SourceOf.Topic}
	if s.Held != nil {
		out.Quarantined, out.NewestEventTime = s.Held(v.Meta.Project, v.Meta.Name), s.Newest(v.Meta.Project, v.Meta.Name)
	}
	if src.State != ingest.StateRunning && src.State != "" {
		out.Paused = src.State
		if src.Err != "" {
			out.Paused += ": " + src.Err
		}
	}
	if err := s.guarded(ctx, v, out); err != nil {
		return nil, err
	}
	t, err := s.Tables.Table(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	st, err := t.Load(ctx, offline.Version{})
	if err != nil {
		return nil, err
	}
	out.Rows, out.LastCommit = st.Rows, st.CommittedAt
	seen := map[int32]bool{}
	for _, vs := range src.Views {
		if vs.View != v.Meta.Name {
			continue
		}
		if vs.CatchingUp && out.Paused == "" {
			out.Paused = "catching up on a consumer of its own"
		}
		for _, p := range vs.Partitions {
			seen[p.Partition] = true
			out.Partitions = append(out.Partitions, &weirv1.PartitionStatus{Topic: v.SourceOf.Topic, Partition: p.Partition,
				Position: standsAt(st.Positions, v.SourceOf.Topic, p), EndOffset: p.End, Lag: p.Lag(), Stopped: p.Stopped})
		}
	}
	for _, p := range st.Positions { // partitions of other workers, and imports
		if p.Partition == feature.ImportPartition || p.Topic != v.SourceOf.Topic || seen[p.Partition] {
			continue
		}
		out.Partitions = append(out.Partitions, &weirv1.PartitionStatus{Topic: p.Topic, Partition: p.Partition, Position: p.Next})
	}
	return out, nil
}

// standsAt is where the table stands on a worker's partition: behind what the
// worker knows when the table was rolled back and the worker has not noticed yet.
func standsAt(at []feature.Position, topic string, p ingest.PartitionStatus) int64 {
	newest := int64(-1)
	for _, q := range at {
		if q.Topic == topic && q.Partition == p.Partition {
			newest = max(newest, q.Next) // a topic made anew has several
		}
	}
	if newest < 0 {
		return p.Table
	}
	return min(p.Table, newest)
}
