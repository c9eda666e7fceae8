package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// A stop is told first: not ready by HTTP and gRPC while every call is still answered;
// only after serving.stop_delay the server is gone.
func TestStopIsToldFirst(t *testing.T) {
	c := DefaultConfig()
	c.DataDir = t.TempDir()
	c.HTTP.Addr, c.Serving.Addr, c.Kafka.EmbeddedAddr, c.Redis.EmbeddedAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.Serving.StopDelay = 7 * time.Second
	a, err := New(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	asked, over := make(chan time.Duration, 1), make(chan time.Time)
	a.after = func(d time.Duration) <-chan time.Time {
		asked <- d
		return over
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	select {
	case <-a.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+a.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	ready := func() (int, string) {
		t.Helper()
		r, err := http.Get("http://" + a.HTTPAddr() + "/readyz")
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(b)
	}
	health := func(service string) healthv1.HealthCheckResponse_ServingStatus {
		t.Helper()
		r, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
		require.NoError(t, err)
		return r.Status
	}
	answers := func() {
		t.Helper()
		_, err := weirv1.NewRegistryServiceClient(conn).List(t.Context(), &weirv1.ListRequest{})
		require.NoError(t, err)
		_, err = weirv1.NewFeatureServiceClient(conn).Lookup(t.Context(), &weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "none"}})
		require.Equal(t, codes.NotFound, status.Code(err), "%v", err)
	}
	code, _ := ready()
	require.Equal(t, http.StatusOK, code)
	for _, service := range []string{"", "weir.v1.FeatureService", "weir.v1.RegistryService"} {
		require.Equal(t, healthv1.HealthCheckResponse_SERVING, health(service), service)
	}
	answers()

	cancel()
	require.Equal(t, 7*time.Second, <-asked)
	code, why := ready()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, why, "stopping")
	for _, service := range []string{"", "weir.v1.FeatureService", "weir.v1.RegistryService"} {
		require.Equal(t, healthv1.HealthCheckResponse_NOT_SERVING, health(service), service)
	}
	answers()
	select {
	case err := <-done:
		t.Fatalf("stopped before it was time: %v", err)
	default:
	}
	close(over)
	require.NoError(t, <-done)
	_, err = weirv1.NewRegistryServiceClient(conn).List(t.Context(), &weirv1.ListRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err))
}
