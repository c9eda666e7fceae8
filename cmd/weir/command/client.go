package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/schollz/progressbar/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// maxMessage is the largest gRPC message a command takes.
const maxMessage = 64 << 20

// client speaks to a running Weir.
type client struct {
	conn       *grpc.ClientConn
	project    string
	addr       string
	features   weirv1.FeatureServiceClient
	registry   weirv1.RegistryServiceClient
	snapshots  weirv1.SnapshotServiceClient
	ingest     weirv1.IngestServiceClient
	quarantine weirv1.QuarantineServiceClient
	monitors   weirv1.MonitorServiceClient
	events     weirv1.EventServiceClient
	upkeep     weirv1.UpkeepServiceClient
	tables     weirv1.TableServiceClient
	exports    weirv1.ExportServiceClient
	quality    weirv1.QualityServiceClient
	models     weirv1.ModelServiceClient
	lineages   weirv1.LineageServiceClient
}

func (e *env) dial() (*client, error) {
	c, err := e.load(nil)
	if err != nil {
		return nil, err
	}
	return connect(c.Server, c.Project)
}

func connect(addr, project string) (*client, error) {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", addr, err)
	}
	return &client{
		conn: conn, project: project, addr: addr,
		features: weirv1.NewFeatureServiceClient(conn), registry: weirv1.NewRegistryServiceClient(conn),
		snapshots: weirv1.NewSnapshotServiceClient(conn), ingest: weirv1.NewIngestServiceClient(conn),
		quarantine: weirv1.NewQuarantineServiceClient(conn), monitors: weirv1.NewMonitorServiceClient(conn),
		events: weirv1.NewEventServiceClient(conn), upkeep: weirv1.NewUpkeepServiceClient(conn),
		tables: weirv1.NewTableServiceClient(conn), exports: weirv1.NewExportServiceClient(conn),
		quality: weirv1.NewQualityServiceClient(conn),
		models:  weirv1.NewModelServiceClient(conn), lineages: weirv1.NewLineageServiceClient(conn),
	}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// call dials, runs f and closes.
func (e *env) call(ctx context.Context, f func(context.Context, *client) error) error {
	c, err := e.dial()
	if err != nil {
		return err
	}
	defer c.close()
	return c.explain(f(ctx, c))
}

// explain adds what to do when there is no server, or none any more.
func (c *client) explain(err error) error {
	if status.Code(err) != codes.Unavailable {
		return err
	}
	switch m := status.Convert(err).Message(); {
	case strings.Contains(m, "error reading from server"):
		return fmt.Errorf("the Weir at %s went away in the middle: %s (start it again, and run this again)", c.addr, m)
	case strings.Contains(m, "connection error"):
		return fmt.Errorf("no Weir answers at %s: %s (start one with: weir up; or name another with --server)", c.addr, m)
	}
	return err
}

// messages is the receiving side of a call.
type messages[M any] interface{ Recv() (M, error) }

// each hands every message of a call to f until the call ends or f fails.
func each[M any](s messages[M], f func(M) error) error {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(m); err != nil {
			return err
		}
	}
}

// last is the result that a call ends with; told gets the messages before it.
func last[M any, R any](s messages[M], result func(M) *R, told func(M)) (*R, error) {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the server ended without a result")
		}
		if err != nil {
			return nil, err
		}
		if r := result(m); r != nil {
			return r, nil
		}
		told(m)
	}
}

// at moves a bar; a total of 0 is not known.
func at(bar *progressbar.ProgressBar, done, total int64) {
	if total > 0 {
		bar.ChangeMax64(max(total, done))
	}
	_ = bar.Set64(done)
}

// fromStatus shows a gRPC error as its message.
func fromStatus(err error) (string, bool) {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return "interrupted", true
	}
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		// What wraps the status (a file's name) is kept, its own wrapping is not.
		if inner, ok := s.(error); ok {
			return strings.Replace(err.Error(), inner.Error(), s.GRPCStatus().Message(), 1), true
		}
	}
	return "", false
}
