package api

import (
	"context"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// Exports is weir.v1.ExportService.
type Exports struct {
	weirv1.UnimplementedExportServiceServer
	Training *Training
	Now      func() time.Time
}

const opExport = "export"

// Export sends the newest values of a service while they are found.
func (s *Exports) Export(stream weirv1.ExportService_ExportServer) error {
	first, err := stream.Recv()
	h := first.GetHeader()
	if err := headed(opExport, h != nil, err); err != nil {
		return err
	}
	ctx := stream.Context()
	svc, tables, closeAll, err := s.Training.atVersions(ctx, h.Project, h.Service, h.Versions)
	if err != nil {
		return err
	}
	defer closeAll()
	req := offline.ExportRequest{Service: svc, Tables: tables, At: h.At, TimeColumn: h.TimeColumn, Joins: s.Training.Joins}
	if req.At == 0 {
		req.At = s.Now().UnixMicro()
	}
	if h.Entities {
		entities, err := newArrowRows(opExport, "entities", func() ([]byte, error) {
			m, err := stream.Recv()
			return m.GetEntities(), err
		})
		if err != nil {
			return err
		}
		defer entities.Release()
		req.Entities = entities
	}
	out := &exportSender{send: stream.Send}
	req.Begin, req.Progress = out.begin, out.progress
	res, err := offline.Export(ctx, req, func(rec arrow.RecordBatch) error { return out.rows.Write(rec) })
	if err != nil {
		return err
	}
	if err := out.rows.Close(); err != nil {
		return err
	}
	sum := &weirv1.ExportSummary{Service: svc.Meta.Name, ServiceVersion: int32(svc.Version), At: req.At, Rows: res.Rows}
	for i, c := range svc.Columns {
		sum.Columns = append(sum.Columns, &weirv1.ExportColumn{Name: c.Name, View: svc.Views[c.View].Meta.Name, Nulls: res.Nulls[i]})
	}
	return out.one(&weirv1.ExportResponse{Part: &weirv1.ExportResponse_Summary{Summary: sum}})
}

// exportSender sends rows while they are found. Progress comes from other
// goroutines than rows, and a stream takes one message at a time.
type exportSender struct {
	mu   sync.Mutex
	send func(*weirv1.ExportResponse) error
	rows *ipc.Writer
	pace pace
}

func (s *exportSender) one(m *weirv1.ExportResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(m)
}

func (s *exportSender) begin(schema *arrow.Schema) error {
	s.rows = arrowstream.NewWriter(schema, func(b []byte) error {
		return s.one(&weirv1.ExportResponse{Part: &weirv1.ExportResponse_Data{Data: b}})
	})
	return nil
}

func (s *exportSender) progress(done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pace.due("") || done == total {
		_ = s.send(&weirv1.ExportResponse{Part: &weirv1.ExportResponse_Progress{Progress: &weirv1.ExportProgress{RowsDone: done, RowsTotal: total}}})
	}
}

// atVersions opens a service's tables at the versions that are asked for.
func (t *Training) atVersions(ctx context.Context, proj, name string, versions []string) (*feature.Service, []offline.TableAt, func(), error) {
	cat, err := t.Registry.Current(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	svc, err := cat.Service(project(proj), name)
	if err != nil {
		return nil, nil, nil, err
	}
	tables, closeAll, err := t.open(ctx, svc)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := atVersions(svc, versions, tables); err != nil {
		closeAll()
		return nil, nil, nil, err
	}
	return svc, tables, closeAll, nil
}
