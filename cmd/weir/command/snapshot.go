package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/internal/tabular"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

func (e *env) snapshot() *cobra.Command {
	c := &cobra.Command{Use: "snapshot", Short: "Training sets: point-in-time joins that can be made again"}
	c.AddCommand(e.snapshotCreate(), e.snapshotList(), e.snapshotShow(), e.snapshotVerify())
	return c
}

// snapshotArgs is what makes a snapshot.
type snapshotArgs struct {
	service, spine, out, clock, timeColumn string
	versions                               []string
}

func (e *env) snapshotCreate() *cobra.Command {
	var a snapshotArgs
	c := &cobra.Command{
		Use:   "create --service S --spine FILE --out FILE",
		Short: "Join a spine with the features known at each row's time",
		Long: `Reads the spine (CSV, JSON lines, Parquet or Arrow: the join keys, a time, any other
columns), and writes one row for each of its rows, in its order, with the values of the
service's features that were known at the row's time.

--time event asks for what had happened by the row's time instead, for history that was
loaded later. --version reads the tables as they were.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.service == "" || a.spine == "" || a.out == "" {
				return fmt.Errorf("give --service, --spine and --out")
			}
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				s, err := e.createSnapshot(ctx, c, a)
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, snapshotJSON(s))
				}
				fmt.Fprintf(e.out, "snapshot %s: %s rows in %s\n\n", s.Id, count(s.Rows), a.out)
				e.showSnapshot(s)
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&a.service, "service", "", "feature service")
	f.StringVar(&a.spine, "spine", "", "file with the rows to train on")
	f.StringVar(&a.out, "out", "", "file to write: .parquet, .csv or .jsonl")
	f.StringVar(&a.clock, "time", "known", "which time counts: known or event")
	f.StringArrayVar(&a.versions, "version", nil, "read this version of the tables (SNAPSHOT, TAG or TIME), or VIEW=VERSION for one; may be repeated")
	f.StringVar(&a.timeColumn, "time-column", "event_timestamp", "the spine's column with the row's time")
	return c
}

// createSnapshot sends the spine, writes the training set and returns the snapshot.
func (e *env) createSnapshot(ctx context.Context, c *client, a snapshotArgs) (*weirv1.Snapshot, error) {
	clock := weirv1.Clock_CLOCK_KNOWN
	switch a.clock {
	case "known", "":
	case "event":
		clock = weirv1.Clock_CLOCK_EVENT
	default:
		return nil, fmt.Errorf("--time %s: use known or event", a.clock)
	}
	if _, err := tabular.FormatOf(a.out); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.snapshots.Create(ctx)
	if err != nil {
		return nil, err
	}
	h := &weirv1.SnapshotHeader{Project: c.project, Service: a.service, Clock: clock, TimeColumn: a.timeColumn, Versions: a.versions}
	if err := stream.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Header{Header: h}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		err := sendSpine(ctx, stream, func(b []byte) error {
			return stream.Send(&weirv1.CreateSnapshotRequest{Part: &weirv1.CreateSnapshotRequest_Spine{Spine: b}})
		}, a.spine)
		if err != nil {
			cancel() // else the server waits for the rest of the spine, and we for the server
		}
		sent <- err
	}()
	s, err := e.receiveSnapshot(ctx, stream, a.out)
	if err != nil {
		cancel()
		if serr := <-sent; serr != nil && !errors.Is(serr, context.Canceled) {
			return nil, serr // the spine could not be read: that is the cause
		}
		return nil, err
	}
	return s, <-sent
}

// sendSpine sends the file as an Arrow IPC stream and closes the sending side.
func sendSpine(ctx context.Context, stream interface{ CloseSend() error }, send func([]byte) error, path string) error {
	r, err := tabular.Open(ctx, path, tabular.ReadOptions{})
	if err != nil {
		_ = stream.CloseSend()
		return err
	}
	defer r.Close()
	w := ipc.NewWriter(chunkWriter(send), ipc.WithSchema(r.Schema()))
	for {
		rec, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		err = w.Write(rec)
		rec.Release()
		if errors.Is(err, io.EOF) {
			return nil // the server has ended the call; Recv tells why
		}
		if err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return stream.CloseSend()
}

// chunkWriter sends what is written in messages of at most 1 MiB.
type chunkWriter func([]byte) error

func (f chunkWriter) Write(b []byte) (int, error) {
	const most = 1 << 20
	n := 0
	for len(b) > 0 {
		c := b[:min(len(b), most)]
		if err := f(append([]byte(nil), c...)); err != nil {
			return n, err
		}
		n, b = n+len(c), b[len(c):]
	}
	return n, nil
}

func (e *env) receiveSnapshot(ctx context.Context, stream weirv1.SnapshotService_CreateClient, out string) (*weirv1.Snapshot, error) {
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeArrow(pr, out)
		_ = pr.CloseWithError(err)
		written <- err
	}()
	bar := e.bar(-1, "joining")
	defer func() { _ = bar.Finish() }()
	for {
		m, err := stream.Recv()
		if err != nil {
			if err == io.EOF {
				err = fmt.Errorf("the server ended without a snapshot")
			}
			_ = pw.CloseWithError(err)
			<-written
			return nil, err
		}
		switch p := m.Part.(type) {
		case *weirv1.CreateSnapshotResponse_Progress:
			if p.Progress.RowsTotal > 0 {
				bar.ChangeMax64(p.Progress.RowsTotal)
			}
			_ = bar.Set64(p.Progress.RowsDone)
		case *weirv1.CreateSnapshotResponse_Data:
			if _, err := pw.Write(p.Data); err != nil {
				return nil, fmt.Errorf("%s: %w", out, err)
			}
		case *weirv1.CreateSnapshotResponse_Snapshot:
			_ = pw.Close()
			if err := <-written; err != nil {
				return nil, fmt.Errorf("%s: %w", out, err)
			}
			return p.Snapshot, nil
		}
	}
}

// writeArrow turns an Arrow IPC stream into a file.
func writeArrow(r io.Reader, out string) error {
	ar, err := ipc.NewReader(r)
	if err != nil {
		return err
	}
	defer ar.Release()
	w, err := tabular.Create(out, ar.Schema(), tabular.WriteOptions{})
	if err != nil {
		return err
	}
	for ar.Next() {
		if err := w.Write(ar.RecordBatch()); err != nil {
			w.Abort()
			return err
		}
	}
	if err := ar.Err(); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

func clockName(c weirv1.Clock) string {
	if c == weirv1.Clock_CLOCK_EVENT {
		return "event"
	}
	return "known"
}

func snapshotJSON(s *weirv1.Snapshot) map[string]any {
	tables, cols := []any{}, []any{}
	for _, t := range s.Tables {
		tables = append(tables, map[string]any{"view": t.View, "view_version": t.ViewVersion, "version": t.Version, "tag": t.Tag})
	}
	for _, c := range s.Columns {
		cols = append(cols, map[string]any{"name": c.Name, "view": c.View, "type": typeName(c.Type), "nulls": c.Nulls})
	}
	return map[string]any{"id": s.Id, "project": s.Project, "service": s.Service, "service_version": s.ServiceVersion, "time": clockName(s.Clock),
		"rows": s.Rows, "tables": tables, "columns": cols, "spine_hash": s.SpineHash, "content_hash": s.ContentHash, "created_at": when(s.CreatedAt)}
}

func (e *env) showSnapshot(s *weirv1.Snapshot) {
	t := newTable(e.out, "column", "type", "view", "nulls")
	for _, c := range s.Columns {
		t.AppendRow([]any{c.Name, typeName(c.Type), c.View, count(c.Nulls)})
	}
	t.Render()
	fmt.Fprintf(e.out, "\nservice %s version %d, %s time, made %s\ncontent %s\n", s.Service, s.ServiceVersion, clockName(s.Clock), when(s.CreatedAt), s.ContentHash)
	for _, t := range s.Tables {
		fmt.Fprintf(e.out, "table %s: version %d\n", t.View, t.Version)
	}
}

func (e *env) snapshotList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List snapshots, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.snapshots.List(ctx, &weirv1.ListSnapshotsRequest{Project: c.project})
				if err != nil {
					return err
				}
				if e.output == "json" {
					out := []any{}
					for _, s := range r.Snapshots {
						out = append(out, snapshotJSON(s))
					}
					return printJSON(e.out, out)
				}
				t := newTable(e.out, "id", "service", "rows", "time", "made")
				for _, s := range r.Snapshots {
					t.AppendRow([]any{s.Id, fmt.Sprintf("%s@%d", s.Service, s.ServiceVersion), count(s.Rows), clockName(s.Clock), when(s.CreatedAt)})
				}
				t.Render()
				return nil
			})
		},
	}
}

func (e *env) snapshotShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a snapshot", Args: exactly(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.call(cmd.Context(), func(ctx context.Context, c *client) error {
				r, err := c.snapshots.Get(ctx, &weirv1.GetSnapshotRequest{Id: args[0]})
				if err != nil {
					return err
				}
				if e.output == "json" {
					return printJSON(e.out, snapshotJSON(r.Snapshot))
				}
				e.showSnapshot(r.Snapshot)
				return nil
			})
		},
	}
}

func typeName(t weirv1.Type) string {
	return map[weirv1.Type]string{weirv1.Type_TYPE_BOOL: "bool", weirv1.Type_TYPE_INT32: "int32", weirv1.Type_TYPE_INT64: "int64",
		weirv1.Type_TYPE_FLOAT32: "float32", weirv1.Type_TYPE_FLOAT64: "float64", weirv1.Type_TYPE_STRING: "string",
		weirv1.Type_TYPE_BYTES: "bytes", weirv1.Type_TYPE_TIMESTAMP: "timestamp"}[t]
}
