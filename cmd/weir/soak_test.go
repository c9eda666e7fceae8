package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-ml/weir/internal/testserver"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
)

// TestLookupSoak looks values up at half of what client and server can do together, for as long as WEIR_TEST_SOAK says:
//
//	WEIR_TEST_SOAK=10m go test ./cmd/weir -run TestLookupSoak -v -timeout 20m
//
// No lookup fails or is wrong, and memory stays what it was.
func TestLookupSoak(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv("WEIR_TEST_SOAK"))
	if err != nil {
		t.Skip("set WEIR_TEST_SOAK to how long it may take, 10m for one")
	}
	const people, rows = 5000, 10
	c := testConfig(t)
	c.Redis.Addrs = []string{testserver.OwnRedis(t).Addr}
	w := start(t, c)
	w.apply(fmt.Sprintf(peopleManifest, "default", "people"))
	var csv bytes.Buffer
	csv.WriteString("id,at,age,score\n")
	for i := range people {
		fmt.Fprintf(&csv, "p%d,%s,%d,0.5\n", i, time.Now().UTC().Format(time.RFC3339), i)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	require.NoError(t, os.WriteFile(file, csv.Bytes(), 0o600))
	require.EqualValues(t, people, w.importFile(file).Rows)
	conn, err := grpc.NewClient(w.app.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	features := weirv1.NewFeatureServiceClient(conn)

	ask := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ids, want := make([]string, rows), make([]int64, rows)
		for i := range ids {
			n := rand.IntN(people + people/10) // some are not there
			ids[i], want[i] = fmt.Sprint("p", n), int64(n)
		}
		r, err := features.Lookup(ctx, &weirv1.LookupRequest{What: &weirv1.LookupRequest_Service{Service: "people"}, IncludeStatuses: true,
			Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Strings{Strings: &weirv1.Strings{Values: ids}}}}}})
		if err != nil {
			return err
		}
		for i, s := range r.Views[0].Statuses {
			there := want[i] < people
			if there != (s == weirv1.Status_STATUS_PRESENT) || !there && s != weirv1.Status_STATUS_NOT_FOUND || there && r.Columns[0].Values.GetInt64S().Values[i] != want[i] {
				return fmt.Errorf("%s is %s", ids[i], s)
			}
		}
		return nil
	}
	load := func(d time.Duration, pause time.Duration, clients int) (took []time.Duration, errs int64) {
		var mu sync.Mutex
		var bad atomic.Int64
		var wg sync.WaitGroup
		end := time.Now().Add(d)
		for k := range clients {
			wg.Go(func() {
				at := time.Now().Add(pause * time.Duration(k) / time.Duration(clients))
				var mine []time.Duration
				for n := 0; at.Before(end) && time.Now().Before(end); n++ {
					time.Sleep(time.Until(at))
					begin := at // when it should have gone out
					if pause == 0 {
						begin = time.Now()
					}
					if err := ask(); err != nil && bad.Add(1) < 5 {
						t.Error(err)
					}
					if n%8 == 0 && len(mine) < 100_000 {
						mine = append(mine, time.Since(begin))
					}
					if at = at.Add(pause); pause == 0 {
						at = time.Now()
					}
				}
				mu.Lock()
				took = append(took, mine...)
				mu.Unlock()
			})
		}
		wg.Wait()
		slices.Sort(took)
		return took, bad.Load()
	}

	const clients = 16
	most, bad := load(5*time.Second, 0, clients)
	require.Zero(t, bad)
	rate := float64(len(most)*8) / 5
	pause := time.Duration(float64(clients) / (rate / 2) * float64(time.Second))
	t.Logf("at most %.0f lookups of %d rows a second; %s at half of that", rate, rows, d)

	type sample struct {
		heap, stacks, goroutines int
	}
	var samples []sample
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(d / 30):
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			samples = append(samples, sample{int(m.HeapAlloc), int(m.StackInuse), runtime.NumGoroutine()})
		}
	}()
	took, bad := load(d, pause, clients)
	close(stop)
	<-watched
	require.Zero(t, bad)
	require.NotEmpty(t, took)
	at := func(q float64) time.Duration { return took[int(float64(len(took)-1)*q)] }
	t.Logf("latency from the intended start: p50 %s, p99 %s, p99.9 %s, longest %s", at(.5), at(.99), at(.999), at(1))
	// The first third warms up; what comes last must not be more than what was in the middle, but for noise.
	third := len(samples) / 3
	peak := func(s []sample) (p sample) {
		for _, x := range s {
			p = sample{max(p.heap, x.heap), max(p.stacks, x.stacks), max(p.goroutines, x.goroutines)}
		}
		return p
	}
	middle, last := peak(samples[third:2*third]), peak(samples[2*third:])
	t.Logf("heap after a collection, stacks, goroutines: %+v in the middle third, %+v in the last", middle, last)
	require.LessOrEqual(t, last.heap, middle.heap+middle.heap/10+4<<20)
	require.LessOrEqual(t, last.stacks, middle.stacks+middle.stacks/4+4<<20)
	require.LessOrEqual(t, last.goroutines, middle.goroutines+clients)
}
