package api

import (
	"context"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/weir-ml/weir/internal/arrowstream"
	"github.com/weir-ml/weir/offline"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
)

// Tables is weir.v1.TableService.
type Tables struct {
	weirv1.UnimplementedTableServiceServer
	Registry *registry.Registry
	Tables   offline.Store
	// Topic tells what the log of a topic still has; NotFound where there is no such topic.
	Topic func(ctx context.Context, name string) (*TopicLog, error)
}

// open opens the table of a view.
func (s *Tables) open(ctx context.Context, proj, view string) (*registry.Catalog, offline.Table, error) {
	cat, err := s.Registry.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	v, err := cat.View(project(proj), view)
	if err != nil {
		return nil, nil, err
	}
	t, err := s.Tables.Table(ctx, v)
	return cat, t, err
}

// loadVersion finds the state that a text names.
func loadVersion(ctx context.Context, t offline.Table, text string) (*offline.State, error) {
	v, err := offline.ParseVersion(text)
	if err != nil {
		return nil, err
	}
	return t.Load(ctx, v)
}

// Log lists a table's snapshots, newest first.
func (s *Tables) Log(ctx context.Context, req *weirv1.TableLogRequest) (*weirv1.TableLogResponse, error) {
	_, t, err := s.open(ctx, req.Project, req.View)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	all, err := t.History(ctx)
	if err != nil {
		return nil, err
	}
	resp := &weirv1.TableLogResponse{}
	for _, x := range all[:min(len(all), limit(req.Limit, len(all)))] {
		resp.Snapshots = append(resp.Snapshots, &weirv1.TableSnapshot{Id: x.ID, Parent: x.Parent, CommittedAt: x.CommittedAt, Operation: x.Operation,
			Commit: x.Commit, Tags: x.Tags, Current: x.Current, Reached: x.Reached, Files: x.Files, Rows: x.Rows, Bytes: x.Bytes,
			AddedRows: x.AddedRows, RemovedRows: x.RemovedRows, AddedFiles: x.AddedFiles, RemovedFiles: x.RemovedFiles})
	}
	return resp, nil
}

// Tag names a version.
func (s *Tables) Tag(ctx context.Context, req *weirv1.TagTableRequest) (*weirv1.TagTableResponse, error) {
	_, t, err := s.open(ctx, req.Project, req.View)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	st, err := loadVersion(ctx, t, req.Version)
	if err != nil {
		return nil, err
	}
	if st.Snapshot == 0 {
		return nil, feature.Errorf(feature.Invalid, "table.tag", "view "+t.View().ID(), "the table has no snapshot yet that a tag could name")
	}
	if err := t.Tag(ctx, req.Name, st.Snapshot); err != nil {
		return nil, err
	}
	return &weirv1.TagTableResponse{Snapshot: st.Snapshot}, nil
}

// Untag takes a name away.
func (s *Tables) Untag(ctx context.Context, req *weirv1.UntagTableRequest) (*weirv1.UntagTableResponse, error) {
	_, t, err := s.open(ctx, req.Project, req.View)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if err := s.keptBy(ctx, t.View(), req.Name); err != nil {
		return nil, err
	}
	return &weirv1.UntagTableResponse{}, t.Untag(ctx, req.Name)
}

// keptBy refuses to take off the tag of a training set that somebody uses: it could not be made again.
func (s *Tables) keptBy(ctx context.Context, v *feature.View, tag string) error {
	id, ok := offline.SnapshotOfTag(tag)
	if !ok {
		return nil
	}
	x, err := s.Registry.Snapshots().Snapshot(ctx, v.Meta.Project, id)
	if err != nil {
		if feature.KindOf(err) == feature.NotFound {
			return nil
		}
		return err
	}
	users, err := s.Registry.SnapshotUsers(ctx, x)
	if err != nil || len(users) == 0 {
		return err
	}
	return feature.Errorf(feature.Conflict, "table.untag", "view "+v.ID(), "tag %s keeps the version that snapshot %s was made from, which is in use by %s", tag, id, strings.Join(users, ", ")).
		WithHint("let those go first; weir snapshot delete then takes the tag off as well")
}

// Diff compares two versions.
func (s *Tables) Diff(req *weirv1.DiffTableRequest, stream weirv1.TableService_DiffServer) error {
	ctx := stream.Context()
	_, t, err := s.open(ctx, req.Project, req.View)
	if err != nil {
		return err
	}
	defer t.Close()
	o := offline.DiffOptions{Examples: max(0, limit(req.Limit, 20))}
	if req.Limit < 0 {
		o.Examples = 0
	}
	if o.From, err = offline.ParseVersion(req.From); err != nil {
		return err
	}
	if o.To, err = offline.ParseVersion(req.To); err != nil {
		return err
	}
	p := &pace{}
	o.Progress = func(done, total int64) {
		if p.due("") {
			_ = stream.Send(&weirv1.DiffTableResponse{Part: &weirv1.DiffTableResponse_Progress{Progress: &weirv1.DiffProgress{Done: done, Total: total}}})
		}
	}
	d, err := offline.Diff(ctx, t, o)
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.DiffTableResponse{Part: &weirv1.DiffTableResponse_Result{Result: tableDiff(t, d)}})
}

func tableDiff(t offline.Table, d *offline.Difference) *weirv1.TableDiff {
	out := &weirv1.TableDiff{FromSnapshot: d.From.Snapshot, ToSnapshot: d.To.Snapshot, FromRows: d.From.Rows, ToRows: d.To.Rows,
		Added: d.Added, Removed: d.Removed, Changed: d.Changed, FilesCompared: int64(d.Files)}
	for _, c := range t.Columns() {
		if n := d.Columns[c.Name]; n > 0 {
			out.Columns = append(out.Columns, &weirv1.DiffColumn{Name: c.Name, Changed: n})
		}
	}
	for _, r := range d.Rows {
		out.Rows = append(out.Rows, &weirv1.DiffRow{Kind: r.Kind, Topic: r.Topic, TopicId: r.TopicID[:], Partition: r.Partition, Offset: r.Offset,
			Columns: r.Columns, Before: r.Before, After: r.After})
	}
	for _, c := range d.Schema {
		x := &weirv1.SchemaChange{Kind: c.Kind}
		if c.Is != nil {
			x.Name, x.Type = c.Is.Name, c.Is.Type.String()
		}
		if c.Was != nil {
			x.WasName, x.WasType = c.Was.Name, c.Was.Type.String()
		}
		out.Schema = append(out.Schema, x)
	}
	for _, m := range d.Moved {
		out.Positions = append(out.Positions, &weirv1.DiffPosition{Topic: m.Topic, TopicId: m.TopicID[:], Partition: m.Partition, From: m.From, To: m.Next})
	}
	return out
}

// Rows sends rows of a version.
func (s *Tables) Rows(req *weirv1.TableRowsRequest, stream weirv1.TableService_RowsServer) error {
	ctx := stream.Context()
	_, t, err := s.open(ctx, req.Project, req.View)
	if err != nil {
		return err
	}
	defer t.Close()
	st, err := loadVersion(ctx, t, req.Version)
	if err != nil {
		return err
	}
	schema := offline.RowsSchema(t.View())
	out := arrowstream.NewWriter(schema, func(b []byte) error {
		return stream.Send(&weirv1.TableRowsResponse{Part: &weirv1.TableRowsResponse_Data{Data: b}})
	})
	want := req.Limit
	if want <= 0 {
		want = math.MaxInt64
	}
	sent, err := offline.Rows(ctx, t, st, want, func(rec arrow.RecordBatch) error { return out.Write(rec) })
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return stream.Send(&weirv1.TableRowsResponse{Part: &weirv1.TableRowsResponse_End{End: &weirv1.TableRowsEnd{Snapshot: st.Snapshot, Rows: sent, Total: st.Rows}}})
}
