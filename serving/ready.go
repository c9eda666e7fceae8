package serving

import (
	"context"
	"time"

	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weir-ml/weir/registry/feature"
)

// What grpc.health.v1 says. Of the server as a whole, and of a service that needs no
// online store: SERVING until a stop begins, so that nobody restarts a server for the
// fault of another. Of a service that answers from the store: SERVING while the store
// answers. Such calls are answered all the same, with STORE_ERROR for what failed.

// readiness watches what some services need.
type readiness struct {
	check    func(context.Context) error
	services []string
	every    time.Duration
	patience time.Duration // of one check
}

const (
	checkEvery = time.Second
	// mostMisses is how many checks in a row must fail before it counts: a moment's silence moves no traffic.
	mostMisses = 3
)

// Needs says what must answer for the listed services to be ready. Call it before Serve.
func (s *Server) Needs(check func(context.Context) error, services ...string) {
	s.ready = readiness{check, services, checkEvery, checkEvery}
}

// Retire says that a stop is coming: not ready any more, everything is answered as before.
func (s *Server) Retire() { s.health.Shutdown() }

// announce says of every registered service that it serves. The first check of what
// some need is made here: a client's first look must not see what a moment later is not true.
func (s *Server) announce(ctx context.Context) {
	up := healthv1.HealthCheckResponse_SERVING
	ready := s.ready.check == nil || s.ready.ask(ctx) == nil
	for name := range s.grpc.GetServiceInfo() {
		s.health.SetServingStatus(name, up)
	}
	s.judge(ready)
	s.health.SetServingStatus("", up)
	if s.ready.check != nil {
		go s.watch(ctx, ready)
	}
}

// watchable is the health service whose streams end with the server: by themselves they
// last as long as their clients, and would hold up every stop.
type watchable struct {
	*health.Server
	stopped <-chan struct{}
}

func (w watchable) Watch(req *healthv1.HealthCheckRequest, to healthv1.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(to.Context())
	defer cancel()
	go func() {
		select {
		case <-w.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := w.Server.Watch(req, &watching{to, ctx})
	if ctx.Err() != nil && to.Context().Err() == nil {
		return feature.Errorf(feature.Unavailable, "serving.health", "", "the server is stopping")
	}
	return err
}

// watching is a stream with a context of its own.
type watching struct {
	healthv1.Health_WatchServer
	ctx context.Context
}

func (w *watching) Context() context.Context { return w.ctx }

// judge sets the status of the services that need what is checked.
func (s *Server) judge(ready bool) {
	registered := s.grpc.GetServiceInfo()
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if ready {
		status = healthv1.HealthCheckResponse_SERVING
	}
	for _, name := range s.ready.services {
		if _, ok := registered[name]; ok {
			s.health.SetServingStatus(name, status)
		}
	}
}

func (r *readiness) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	return r.check(ctx)
}

// watch goes on checking until ctx ends.
func (s *Server) watch(ctx context.Context, ready bool) {
	t := time.NewTicker(s.ready.every)
	defer t.Stop()
	missed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := s.ready.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			missed = 0
			if !ready {
				ready = true
				s.judge(true)
				s.log.Info("the online store answers again: lookups are ready")
			}
		default:
			missed++
			if ready && missed >= mostMisses {
				ready = false
				s.judge(false)
				s.log.Warn("the online store does not answer: lookups are not ready", "err", err)
			}
		}
	}
}
