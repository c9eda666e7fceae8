package serving

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/registry/feature"
)

// Server is the gRPC server: whatever services are registered on it, health and
// reflection. Handlers return feature.Errors; the server maps and logs them.
type Server struct {
	cfg     Config
	log     *slog.Logger
	met     *metrics
	grpc    *grpc.Server
	http    *httpCalls
	health  *health.Server
	ready   readiness
	ln      net.Listener
	stopped chan struct{}
}

const (
	hello = 5 * time.Second  // a new connection has for its first words
	ping  = 20 * time.Second // a silent one has for its answer
	// workers are goroutines that stay, with the stacks that lookups have grown; growing them
	// anew is a tenth of a small lookup. Calls that find all of them busy get one of their own.
	workers = 64
)

// NewServer makes a server and takes its address; Serve begins to answer.
func NewServer(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	ln, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, feature.Errorf(feature.Invalid, "serving.listen", cfg.Addr, "%w", err).WithHint("another Weir may be running there; choose another address: --set serving.addr=127.0.0.1:0")
	}
	s := &Server{cfg: cfg, log: log, met: newMetrics(reg), http: newHTTPCalls(), health: health.NewServer(), ln: ln, stopped: make(chan struct{})}
	s.grpc = grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()), grpc.NumStreamWorkers(workers),
		grpc.MaxRecvMsgSize(cfg.MaxMessage), grpc.MaxSendMsgSize(cfg.MaxMessage),
		// A stop waits for connections that have not said hello; a client whose machine is gone holds its calls until a ping finds out.
		grpc.ConnectionTimeout(hello),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: cfg.MaxConnectionAge, MaxConnectionAgeGrace: cfg.ConnectionGrace, Time: time.Minute, Timeout: ping}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
	)
	healthv1.RegisterHealthServer(s.grpc, watchable{s.health, s.stopped})
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	return s, nil
}

// Registrar takes the services; register all of them before Serve.
func (s *Server) Registrar() grpc.ServiceRegistrar { return s.grpc }

// Addr is host:port, with the port that was really taken.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Serve answers until ctx ends; then it turns unhealthy, lets calls under way
// end (for Config.Drain) and stops.
func (s *Server) Serve(ctx context.Context) error {
	reflection.Register(s.grpc)
	s.announce(ctx)
	s.http.set(true)
	done := make(chan error, 1)
	go func() { done <- s.grpc.Serve(s.ln) }()
	select {
	case err := <-done:
		s.http.halt()
		s.http.drain()
		return err
	case <-ctx.Done():
	}
	s.Retire()
	close(s.stopped)
	t := time.AfterFunc(s.cfg.Drain, func() {
		s.http.halt()
		s.grpc.Stop()
	})
	defer t.Stop()
	var over sync.WaitGroup
	over.Go(s.http.drain)
	s.grpc.GracefulStop()
	over.Wait()
	<-done
	return nil
}

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	start := time.Now()
	defer func() {
		err = s.ended(ctx, info.FullMethod, start, err, recover())
		if err != nil {
			resp = nil
		}
	}()
	return next(ctx, req)
}

func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	start := time.Now()
	defer func() { err = s.ended(ss.Context(), info.FullMethod, start, err, recover()) }()
	return next(srv, &attended{ss, info.FullMethod, s.cfg.IdleTimeout})
}

// ended maps a call's outcome and counts it. A panic costs its call, not the process.
func (s *Server) ended(ctx context.Context, method string, start time.Time, err error, panicked any) error {
	if panicked != nil {
		s.log.Error("call panicked", "method", method, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		err = status.Error(codes.Internal, "an internal fault; the server's log has the details")
	}
	err = toStatus(ctx, s.log, method, err)
	s.met.called(method, status.Code(err)).Observe(time.Since(start).Seconds())
	return err
}
