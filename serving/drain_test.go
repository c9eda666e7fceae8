package serving

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry/feature"
)

// fleet is a usual client of several servers: no waiting for servers that are not
// ready, no retries but those gRPC makes by itself for calls that no server has seen.
type fleet struct {
	weirv1.FeatureServiceClient
	dials atomic.Int64
}

func newFleet(t *testing.T, policy string, servers ...*fixture) *fleet {
	t.Helper()
	f := &fleet{}
	r := manual.NewBuilderWithScheme("fleet")
	var state resolver.State
	for _, s := range servers {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: s.server.Addr()})
	}
	r.InitialState(state)
	conn, err := grpc.NewClient("fleet:///", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":[{%q:{}}]}`, policy)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			f.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	f.FeatureServiceClient = weirv1.NewFeatureServiceClient(conn)
	return f
}

// load calls from several goroutines until stop, and returns how many calls were answered; each must be.
func (f *fleet) load(t *testing.T) (answered *atomic.Int64, stop func()) {
	answered = &atomic.Int64{}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				r, err := f.Lookup(ctx, churn(ints("id", 1, 2, 3)))
				cancel()
				if err != nil || r.Rows != 3 {
					t.Errorf("a call failed: %v", err)
					return
				}
				answered.Add(1)
			}
		})
	}
	return answered, sync.OnceFunc(func() { close(ended); wg.Wait() })
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, func() bool { return t.Failed() || ok() }, time.Minute, time.Millisecond, what)
}

// Connections that have reached their age are left for new ones without a call that
// fails, also one that takes longer than the age.
func TestConnectionAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.MaxConnectionAge = 20 * time.Millisecond })
	c := newFleet(t, "round_robin", f)
	entered, leave := make(chan struct{}), make(chan struct{})
	f.read = func(ctx context.Context, s *feature.Service, keys []feature.Vector, rows int, b *feature.Block) error {
		if rows == 1 {
			close(entered)
			select {
			case <-leave:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return present(ctx, s, keys, rows, b)
	}
	long := make(chan error, 1)
	go func() {
		_, err := c.Lookup(context.Background(), churn(ints("id", 1)))
		long <- err
	}()
	<-entered
	_, stop := c.load(t)
	defer stop()
	until(t, "ten connections", func() bool { return c.dials.Load() >= 10 })
	close(leave)
	require.NoError(t, <-long, "a call lasts longer than its connection's age")
	stop()
}

// A server that stops under load loses no call: those it has taken are answered,
// the others go to the next server, whichever way a client balances.
func TestDrainUnderLoad(t *testing.T) {
	for _, policy := range []string{"round_robin", "pick_first"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			first, second := newFixture(t, nil), newFixture(t, nil)
			c := newFleet(t, policy, first, second)
			answered, stop := c.load(t)
			defer stop()
			until(t, "calls", func() bool { return answered.Load() > 100 })
			require.NoError(t, first.stop())
			n := answered.Load()
			until(t, "calls of the other server", func() bool { return answered.Load() > n+100 })
			stop()
			require.Positive(t, first.metric(`weir_lookup_seconds{project="default",service="churn"}`))
			require.Positive(t, second.metric(`weir_lookup_seconds{project="default",service="churn"}`))
		})
	}
}

// A call that does not end within the drain is cut off, and told so that its client asks again.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Drain = 10 * time.Millisecond })
	entered := make(chan struct{})
	f.read = func(ctx context.Context, _ *feature.Service, _ []feature.Vector, _ int, _ *feature.Block) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	answered := make(chan error, 1)
	go func() {
		_, err := f.lookup(churn(ints("id", 1)))
		answered <- err
	}()
	<-entered
	require.NoError(t, f.stop())
	require.Equal(t, codes.Unavailable, status.Code(<-answered))
}

// The end of a stop does not wait for those who watch the server's health; they are told.
func TestHealthWatchEndsWithTheServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Drain = time.Hour })
	w, err := healthv1.NewHealthClient(f.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	require.NoError(t, err)
	r, err := w.Recv()
	require.NoError(t, err)
	require.Equal(t, healthv1.HealthCheckResponse_SERVING, r.Status)
	require.NoError(t, f.stop())
	for err == nil {
		r, err = w.Recv()
		require.True(t, err != nil || r.Status == healthv1.HealthCheckResponse_NOT_SERVING)
	}
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
}

// Before a stop the server says that it is not ready, and answers as before.
func TestRetire(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	health := healthv1.NewHealthClient(f.conn)
	for _, service := range []string{"", "weir.v1.FeatureService"} {
		r, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
		require.NoError(t, err)
		require.Equal(t, healthv1.HealthCheckResponse_SERVING, r.Status, service)
	}
	f.server.Retire()
	for _, service := range []string{"", "weir.v1.FeatureService"} {
		r, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		require.Equal(t, healthv1.HealthCheckResponse_NOT_SERVING, r.Status, service)
	}
	_, err := f.lookup(churn(ints("id", 1)))
	require.NoError(t, err)
}
