package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
		tables: weirv1.NewTableServiceClient(conn),
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

// explain adds what to do when there is no server.
func (c *client) explain(err error) error {
	if m := status.Convert(err).Message(); status.Code(err) == codes.Unavailable && strings.Contains(m, "connection error") {
		return fmt.Errorf("no Weir answers at %s: %s (start one with: weir up; or name another with --server)", c.addr, m)
	}
	return err
}

// fromStatus shows a gRPC error as its message.
func fromStatus(err error) (string, bool) {
	if errors.Is(err, context.Canceled) {
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
