package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/faultproxy"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// TestLookupsWithoutRedis: while Redis hangs, callers get their answer before their deadline, with STORE_ERROR and never with
// NOT_FOUND; too many at once are told RESOURCE_EXHAUSTED; and all is well again when Redis is.
func TestLookupsWithoutRedis(t *testing.T) {
	p := faultproxy.New(t, testserver.OwnRedis(t).Addr)
	c := testConfig(t)
	c.Redis.Addrs = []string{p.Addr}
	c.Redis.PoolSize, c.Redis.MaxInFlight, c.Redis.BreakerFailures = 2, 8, 100
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	w.importFile(fileOf(t, "people.csv", "id,at,age,score\na,"+time.Now().UTC().Format(time.RFC3339)+",7,0.5\n"))
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	features := weirv1.NewFeatureServiceClient(conn)
	// ask looks a person up who is there and one who is not.
	ask := func(deadline time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		r, err := features.Lookup(ctx, &weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "people"}, IncludeStatuses: true,
			Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: []string{"a", "nobody"}}}}}}})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(r.Views[0].Statuses, r.Partial), nil
	}
	const well, ill = "[STATUS_PRESENT STATUS_NOT_FOUND] false", "[STATUS_STORE_ERROR STATUS_STORE_ERROR] true"
	got, err := ask(time.Minute)
	require.NoError(t, err)
	require.Equal(t, well, got)

	p.Set(t, faultproxy.Hang)
	var mu sync.Mutex
	seen := map[string]int{}
	rounds := 0
	// Answers come a few milliseconds before their deadline: a machine that stands still for as long may miss those of a round.
	for ; seen[ill+codes.OK.String()] == 0 && rounds < 20; rounds++ {
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				got, err := ask(2 * time.Second)
				mu.Lock()
				seen[got+status.Code(err).String()]++
				mu.Unlock()
			})
		}
		wg.Wait()
	}
	t.Logf("in %d rounds: %v", rounds, seen)
	require.Positive(t, seen[ill+codes.OK.String()], "%v", seen)
	require.Positive(t, seen[codes.ResourceExhausted.String()], "%v", seen)
	require.Equal(t, 40*rounds, seen[ill+codes.OK.String()]+seen[codes.ResourceExhausted.String()]+seen[codes.DeadlineExceeded.String()], "%v", seen)
	ready := func() int {
		r, err := http.Get("http://" + w.app.HTTPAddr() + "/readyz")
		require.NoError(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.NotContains(t, string(text), p.Addr, "whoever asks whether it is ready learns nothing of the network")
		return r.StatusCode
	}
	w.eventually(func() bool { return ready() == http.StatusServiceUnavailable }, "not to be ready")

	p.Set(t, faultproxy.Pass)
	w.eventually(func() bool {
		got, err := ask(time.Minute)
		return err == nil && got == well && ready() == http.StatusOK
	}, "lookups to be right again")
}
