package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weir-ml/weir/internal/testserver"
)

// TestHealthFollowsTheStore: without Redis lookups are not ready, the process and what
// needs no Redis are well; and all are when it is back.
func TestHealthFollowsTheStore(t *testing.T) {
	redis := testserver.OwnRedis(t)
	c := testConfig(t)
	c.Redis.Addrs = []string{redis.Addr}
	w := start(t, c)
	conn, err := grpc.NewClient("passthrough:///"+w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	require.NoError(t, err)
	defer conn.Close()
	is := func(service string) healthv1.HealthCheckResponse_ServingStatus {
		t.Helper()
		r, err := healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		return r.Status
	}
	const up, down = healthv1.HealthCheckResponse_SERVING, healthv1.HealthCheckResponse_NOT_SERVING
	require.Equal(t, up, is("weir.v1.FeatureService"))
	redis.Stop(t)
	w.eventually(func() bool { return is("weir.v1.FeatureService") == down }, "lookups not to be ready")
	require.Equal(t, up, is(""))
	require.Equal(t, up, is("weir.v1.RegistryService"))
	redis.Start(t)
	w.eventually(func() bool { return is("weir.v1.FeatureService") == up }, "lookups to be ready again")
}
