package api

import (
	"context"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// SnapshotRecords is where snapshots are remembered.
type SnapshotRecords interface {
	Snapshot(ctx context.Context, project, id string) (feature.Snapshot, error)
	ListSnapshots(ctx context.Context, project string) ([]feature.Snapshot, error)
}

// Snapshots is weir.v1.SnapshotService.
type Snapshots struct {
	weirv1.UnimplementedSnapshotServiceServer
	Training *Training
	Records  SnapshotRecords
}

// Create reads the spine from the call, joins, and sends the training set while it is made.
func (s *Snapshots) Create(stream weirv1.SnapshotService_CreateServer) error {
	first, err := stream.Recv()
	h := first.GetHeader()
	if err := headed("snapshot.create", h != nil, err); err != nil {
		return err
	}
	spine, err := ipc.NewReader(&spineBytes{recv: func() ([]byte, error) {
		m, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return m.GetSpine(), nil
	}})
	if err != nil {
		return feature.Errorf(feature.Invalid, "snapshot.create", "spine", "not an Arrow IPC stream: %w", err)
	}
	defer spine.Release()
	var out *ipc.Writer
	var last int64
	made, err := s.Training.Train(stream.Context(), offline.TrainingRequest{
		Project: h.Project, Service: h.Service, Clock: clockOf(h.Clock), Versions: h.Versions,
		Spine: offline.Spine{Rows: ipcRows{spine}, Time: h.TimeColumn, Count: h.SpineRows},
		Progress: func(done, total int64) {
			if total > 0 && done-last < total/100 && done != total {
				return
			}
			last = done
			_ = stream.Send(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Progress{
				Progress: &weirv1.SnapshotProgress{RowsDone: done, RowsTotal: total, Stage: "joining"}}})
		},
		Begin: func(schema *arrow.Schema, _ string) error {
			out = ipc.NewWriter(chunks(func(b []byte) error {
				return stream.Send(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Data{Data: b}})
			}), ipc.WithSchema(schema))
			return nil
		},
		Sink:   func(rec arrow.RecordBatch) error { return out.Write(rec) },
		Commit: func() error { return out.Close() },
	})
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.CreateSnapshotResponse{Part: &weirv1.CreateSnapshotResponse_Snapshot{Snapshot: snapshot(made.Snapshot)}})
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
	return &weirv1.GetSnapshotResponse{Snapshot: snapshot(x)}, nil
}

// Verify makes a snapshot again from the recorded table versions and the given spine.
func (s *Snapshots) Verify(stream weirv1.SnapshotService_VerifyServer) error {
	ctx := stream.Context()
	first, err := stream.Recv()
	if err := headed("snapshot.verify", first.GetHeader() != nil, err); err != nil {
		return err
	}
	x, err := s.Records.Snapshot(ctx, "", first.GetHeader().Id)
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
	spine, err := ipc.NewReader(&spineBytes{recv: func() ([]byte, error) {
		m, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		return m.GetSpine(), nil
	}})
	if err != nil {
		return feature.Errorf(feature.Invalid, "snapshot.verify", "spine", "give the spine, or the training set itself, as an Arrow IPC stream: %w", err)
	}
	defer spine.Release()
	req := offline.VerifyRequest{Snapshot: x, Service: svc, Spine: offline.Spine{Rows: ipcRows{spine}, Time: first.GetHeader().TimeColumn}}
	for _, t := range tables {
		req.Tables = append(req.Tables, t.Table)
	}
	v, err := s.Training.Maker.Verify(ctx, req)
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.VerifySnapshotResponse{Equal: v.Same, Recorded: snapshot(x), ContentHash: v.ContentHash, SpineHash: v.SpineHash, Rows: v.Rows, Differences: v.Differences})
}

// ipcRows is an Arrow IPC stream as offline reads rows.
type ipcRows struct{ r *ipc.Reader }

func (r ipcRows) Schema() *arrow.Schema { return r.r.Schema() }

func (r ipcRows) Read() (arrow.RecordBatch, error) {
	if !r.r.Next() {
		if err := r.r.Err(); err != nil && err != io.EOF {
			return nil, err
		}
		return nil, io.EOF
	}
	rec := r.r.RecordBatch()
	rec.Retain()
	return rec, nil
}

// spineBytes turns messages into a stream of bytes.
type spineBytes struct {
	recv func() ([]byte, error)
	left []byte
}

func (s *spineBytes) Read(p []byte) (int, error) {
	for len(s.left) == 0 {
		b, err := s.recv()
		if err != nil {
			return 0, err
		}
		s.left = b
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// chunks sends what is written in messages of at most 1 MiB.
type chunks func([]byte) error

func (f chunks) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		c := b[:min(len(b), 1<<20)]
		if err := f(slices.Clone(c)); err != nil {
			return n, err
		}
		n, b = n+len(c), b[len(c):]
	}
	return n, nil
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
