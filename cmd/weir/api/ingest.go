package api

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/internal/tabular"
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
	Spool      string                           // folder for files on their way in
}

var errNoIngest = feature.Errorf(feature.Unsupported, "ingest", "", "this process does not ingest").WithHint("ask one that runs the role ingest")

// Import spools the file, then takes it in.
func (s *Ingest) Import(stream weirv1.IngestService_ImportServer) error {
	if s.Importer == nil {
		return errNoIngest
	}
	first, err := stream.Recv()
	h := first.GetHeader()
	if err := headed("ingest.import", h != nil, err); err != nil {
		return err
	}
	req := ingest.ImportRequest{Project: project(h.Project), View: h.View, Name: h.FileName}
	if h.Format != "" {
		if req.Format, err = tabular.ParseFormat(h.Format); err != nil {
			return feature.Errorf(feature.Invalid, "ingest.import", h.FileName, "%w", err)
		}
	}
	for k, v := range h.Options {
		if k != "null_values" {
			return feature.Errorf(feature.Unsupported, "ingest.import", h.FileName, "unknown option %q", k).WithHint("the option there is: null_values")
		}
		req.NullValues = strings.Split(v, ",")
	}
	// What can be refused is refused before the file travels.
	if req.Format == "" {
		if req.Format, err = tabular.FormatOf(req.Name); err != nil {
			return feature.Errorf(feature.Invalid, "ingest.import", req.Name, "%w", err)
		}
	}
	cat, err := s.Registry.Current(stream.Context())
	if err != nil {
		return err
	}
	if _, err := cat.View(req.Project, req.View); err != nil {
		return err
	}
	path, err := s.spool(stream, h.Size)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	req.Path = path
	res, err := s.Importer.Import(stream.Context(), req, func(p ingest.ImportProgress) {
		_ = stream.Send(&weirv1.ImportResponse{Part: &weirv1.ImportResponse_Progress{Progress: &weirv1.ImportProgress{
			Bytes: p.Bytes, BytesTotal: p.TotalBytes, Rows: p.Rows, Quarantined: p.Quarantined}}})
	})
	if err != nil {
		return err
	}
	return stream.Send(&weirv1.ImportResponse{Part: &weirv1.ImportResponse_Result{Result: &weirv1.ImportResult{
		Rows: res.Rows - res.Skipped - res.Quarantined, Quarantined: res.Quarantined, FileHash: res.ID, AlreadyImported: res.Skipped > 0 && res.Skipped == res.Rows,
		StartedAt: res.Started, Rules: ruleCounts(res.Rules)}}})
}

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

// SweepSpool removes files that a process which was killed has left behind. Another
// process may use the folder; a file that nobody has written for a day is nobody's.
func SweepSpool(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return // it is made with the first import
	}
	for _, f := range files {
		if st, err := f.Info(); err == nil && strings.HasPrefix(f.Name(), spooled) && time.Since(st.ModTime()) > 24*time.Hour {
			_ = os.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

const spooled = "import-"

// spool writes the file's content to disk. size is what the client said; 0 when it did not.
func (s *Ingest) spool(stream weirv1.IngestService_ImportServer, size int64) (path string, err error) {
	if err := os.MkdirAll(s.Spool, 0o755); err != nil {
		return "", feature.Errorf(feature.Internal, "ingest.import", s.Spool, "%w", err)
	}
	f, err := os.CreateTemp(s.Spool, spooled+"*")
	if err != nil {
		return "", feature.Errorf(feature.Internal, "ingest.import", s.Spool, "%w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	var got int64
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if size > 0 && got != size {
				return "", feature.Errorf(feature.Invalid, "ingest.import", "", "%d bytes arrived of a file of %d: it was written to meanwhile, or the call broke off", got, size).WithHint("import it again")
			}
			return f.Name(), nil
		}
		if err != nil {
			return "", err
		}
		got += int64(len(m.GetData()))
		if _, err := f.Write(m.GetData()); err != nil {
			return "", feature.Errorf(feature.Exhausted, "ingest.import", s.Spool, "%w", err)
		}
	}
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
				Position: p.Table, EndOffset: p.End, Lag: p.Lag(), Stopped: p.Stopped})
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
