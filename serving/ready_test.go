package serving

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Lookups are ready while the store answers; the server as a whole is so all the same.
// A silence of a moment changes nothing, an answer everything.
func TestReadiness(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	NewFeatures(&Lookups{}).Register(s.Registrar())
	asked, answers := make(chan struct{}), make(chan error)
	s.Needs(func(ctx context.Context) error {
		select {
		case asked <- struct{}{}:
			return <-answers
		case <-ctx.Done():
			return ctx.Err()
		}
	}, "weir.v1.FeatureService", "not.registered")
	s.ready.every, s.ready.patience = time.Millisecond, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	conn, err := grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	require.NoError(t, err)
	defer conn.Close()
	health := healthv1.NewHealthClient(conn)
	is := func(lookups healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for service, want := range map[string]healthv1.HealthCheckResponse_ServingStatus{
			"": healthv1.HealthCheckResponse_SERVING, "grpc.health.v1.Health": healthv1.HealthCheckResponse_SERVING, "weir.v1.FeatureService": lookups} {
			r, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			require.NoError(t, err)
			require.Equal(t, want, r.Status, "%q", service)
		}
	}
	// answer ends the check that is being made, and waits for the next.
	answer := func(list ...error) {
		for _, err := range list {
			answers <- err
			<-asked
		}
	}
	away := errors.New("away")
	<-asked
	answer(nil)
	is(healthv1.HealthCheckResponse_SERVING)
	answer(away, away)
	is(healthv1.HealthCheckResponse_SERVING)
	answer(nil, away, away)
	is(healthv1.HealthCheckResponse_SERVING)
	answer(away)
	is(healthv1.HealthCheckResponse_NOT_SERVING)
	answer(away, away)
	is(healthv1.HealthCheckResponse_NOT_SERVING)
	answer(nil)
	is(healthv1.HealthCheckResponse_SERVING)
	_, err = health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "not.registered"})
	require.Equal(t, codes.NotFound, status.Code(err))
	cancel()
	answers <- nil
	require.NoError(t, <-done)
}

// A server whose store is away at the start serves, but no lookups.
func TestReadinessAtTheStart(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	s, err := NewServer(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	NewFeatures(&Lookups{}).Register(s.Registrar())
	s.Needs(func(context.Context) error { return errors.New("away") }, "weir.v1.FeatureService")
	s.announce(t.Context())
	for service, want := range map[string]healthv1.HealthCheckResponse_ServingStatus{
		"": healthv1.HealthCheckResponse_SERVING, "weir.v1.FeatureService": healthv1.HealthCheckResponse_NOT_SERVING} {
		r, err := s.health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		require.Equal(t, want, r.Status, "%q", service)
	}
	require.NoError(t, s.ln.Close())
}
