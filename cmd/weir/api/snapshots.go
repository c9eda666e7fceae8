package api

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// SnapshotRecords is where snapshots are remembered.
type SnapshotRecords interface {
	Snapshot(ctx context.Context, project, id string) (feature.Snapshot, error)
	SnapshotProfile(ctx context.Context, id string) ([]byte, error)
	ListSnapshots(ctx context.Context, project string) ([]feature.Snapshot, error)
}

// Snapshots is weir.v1.SnapshotService.
type Snapshots struct {
	weirv1.UnimplementedSnapshotServiceServer
	Training *Training
	Records  SnapshotRecords
	Log      *slog.Logger
}

// Create reads the spine from the call, joins, and sends the training set while it is made.
func (s *Snapshots) Create(stream weirv1.SnapshotService_CreateServer) error {
	first, err := stream.Recv()
	h := first.GetHeader()
	if err := headed("snapshot.create", h != nil, err); err != nil {
		return err
	}
	spine, err := newArrowRows("snapshot.create", "spine", func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetSpine(), err
	})
	if err != nil {
		return err
	}
	defer spine.Release()
	out := &sender{send: func(m *weirv1.CreateSnapshotResponse) error { return stream.Send(m) }}
	told := &joining{send: func(p *weirv1.SnapshotProgress) error {
		return out.one(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Progress{Progress: p}})
	}}
	made, err := s.Training.Train(stream.Context(), offline.TrainingRequest{
		Project: h.Project, Service: h.Service, Features: h.Features, Clock: clockOf(h.Clock), Versions: h.Versions, Split: splitOf(h.Split),
		Spine:    offline.Spine{Rows: spine, Time: h.TimeColumn, Unit: h.TimeUnit, Count: h.SpineRows},
		Progress: told.progress,
		Stage:    told.at,
		Begin:    out.begin,
		Sink:     func(rec arrow.RecordBatch) error { return out.rows.Write(rec) },
		Commit:   func() error { return out.rows.Close() },
	})
	if err != nil {
		return err
	}
	return out.one(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Snapshot{Snapshot: snapshot(made.Snapshot)}})
}

// sender sends a training set while it is made. A join tells its progress from other
// goroutines than its rows, and a stream takes one message at a time.
type sender struct {
	mu   sync.Mutex
	send func(*weirv1.CreateSnapshotResponse) error
	rows *ipc.Writer
}

func (s *sender) one(m *weirv1.CreateSnapshotResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(m)
}

func (s *sender) begin(schema *arrow.Schema, _ string) error {
	s.rows = arrowstream.NewWriter(schema, func(b []byte) error {
		return s.one(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Data{Data: b}})
	})
	return nil
}

// joining tells a client what a join comes to and how far it is, some ten times a second.
type joining struct {
	send  func(*weirv1.SnapshotProgress) error
	stage string // for people
	rows  int64
	total int64
	pace  pace
}

func (j *joining) at(stage string) {
	switch stage {
	case offline.StageWaiting:
		j.stage = "waiting for other training sets"
	case offline.StageReading:
		j.stage = "reading the spine"
	case offline.StageSorting:
		j.stage = "sorting the spine"
	default:
		j.stage = stage
	}
	j.tell()
}

func (j *joining) progress(done, total int64) {
	j.rows, j.total = done, total
	j.tell()
}

func (j *joining) tell() {
	if j.pace.due(j.stage) || j.total > 0 && j.rows == j.total {
		_ = j.send(&weirv1.SnapshotProgress{RowsDone: j.rows, RowsTotal: j.total, Stage: j.stage}) // whoever is gone ends the call's context
	}
}

// List lists snapshots, newest first.
func (s *Snapshots) List(ctx context.Context, req *weirv1.ListSnapshotsRequest) (*weirv1.ListSnapshotsResponse, error) {
	all, err := s.Records.ListSnapshots(ctx, req.Project)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b feature.Snapshot) int { return int(max(-1, min(1, b.CreatedAt-a.CreatedAt))) })
	resp := &weirv1.ListSnapshotsResponse{}
	for _, x := range all {
		if req.Service == "" || x.Service == req.Service {
			resp.Snapshots = append(resp.Snapshots, snapshot(x))
		}
		if len(resp.Snapshots) == limit(req.Limit, 100) {
			break
		}
	}
	return resp, nil
}

// Get returns one snapshot.
func (s *Snapshots) Get(ctx context.Context, req *weirv1.GetSnapshotRequest) (*weirv1.GetSnapshotResponse, error) {
	x, err := s.Records.Snapshot(ctx, "", req.Id)
	if err != nil {
		return nil, err
	}
	b, err := s.Records.SnapshotProfile(ctx, req.Id)
	if err != nil {
		return nil, err
	}
	columns, err := profiled(x, b)
	return &weirv1.GetSnapshotResponse{Snapshot: snapshot(x), Profile: columns}, err
}

// Verify makes a snapshot again from the recorded table versions and the given spine.
func (s *Snapshots) Verify(stream weirv1.SnapshotService_VerifyServer) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	h := first.GetHeader()
	if err := headed("snapshot.verify", h != nil, err); err != nil {
		return err
	}
	x, err := s.Records.Snapshot(ctx, "", h.Id)
	if err != nil {
		return err
	}
	svc, err := s.Training.Registry.SnapshotService(ctx, x)
	if err != nil {
		return err
	}
	tables, closeAll, err := s.Training.open(ctx, svc)
	if err != nil {
		return err
	}
	defer closeAll()
	spine, err := newArrowRows("snapshot.verify", "spine, or the training set itself", func() ([]byte, error) {
		m, err := stream.Recv()
		return m.GetSpine(), err
	})
	if err != nil {
		return err
	}
	defer spine.Release()
	told := &joining{send: func(p *weirv1.SnapshotProgress) error {
		return stream.Send(&weirv1.VerifySnapshotResponse{Progress: p})
	}}
	req := offline.VerifyRequest{Snapshot: x, Service: svc, Progress: told.progress, Stage: told.at,
		Spine: offline.Spine{Rows: spine, Time: h.TimeColumn, Unit: h.TimeUnit, Count: h.SpineRows}}
	for _, t := range tables {
		req.Tables = append(req.Tables, t.Table)
	}
	v, err := s.Training.Maker.Verify(ctx, req)
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.VerifySnapshotResponse{Equal: v.Same, Recorded: snapshot(x), ContentHash: v.ContentHash, SpineHash: v.SpineHash,
		Rows: v.Rows, Differences: v.Differences, Notes: v.Notes})
}

func clockOf(c weirv1.Clock) feature.Clock {
	if c == weirv1.Clock_CLOCK_EVENT {
		return feature.EventClock
	}
	return feature.KnownClock
}

func snapshot(s feature.Snapshot) *weirv1.Snapshot {
	out := &weirv1.Snapshot{Id: s.ID, Project: s.Project, Service: s.Service, ServiceVersion: int32(s.ServiceVersion), Clock: weirv1.Clock_CLOCK_KNOWN,
		Rows: s.Rows, SpineHash: s.SpineHash, ContentHash: s.ContentHash, CreatedAt: s.CreatedAt}
	if s.Clock == feature.EventClock {
		out.Clock = weirv1.Clock_CLOCK_EVENT
	}
	for _, t := range s.Tables {
		out.Tables = append(out.Tables, &weirv1.SnapshotTable{View: t.View, ViewVersion: int32(t.ViewVersion), Version: t.Version, Tag: t.Tag})
	}
	for _, c := range s.Columns {
		out.Columns = append(out.Columns, &weirv1.SnapshotColumn{Name: c.Name, View: c.View, Type: weirv1.Type(c.Type), Nulls: c.Nulls})
	}
	out.Split = splitMessage(s.Split)
	return out
}

func project(p string) string {
	if p == "" {
		return registry.DefaultProject
	}
	return p
}

func limit(n int32, def int) int {
	if n <= 0 {
		return def
	}
	return int(n)
}
