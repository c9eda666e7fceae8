package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/faultproxy"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// truth is what a server holds: every key but each third, with a value that names it.
type truth struct {
	keys []string
	want [][]byte
}

// load writes n keys; the server holds two of three.
func load(t testing.TB, s online.Store, project string, n int) *truth {
	tr := &truth{}
	var rows []online.Row
	for i := range n {
		k := fmt.Sprintf("w:{%s/e/%d}:v", project, i)
		var v []byte
		if i%3 != 0 {
			var err error
			v, err = online.Value(&online.Schema{ID: 7, Fields: []feature.Field{{Name: "note", Type: feature.String}}}, feature.Stamp{Event: int64(i), Known: int64(i)}, k)
			require.NoError(t, err)
			rows = append(rows, online.Row{Key: k, Value: v})
		}
		tr.keys, tr.want = append(tr.keys, k), append(tr.want, v)
	}
	_, err := s.Put(context.Background(), rows, nil)
	require.NoError(t, err)
	return tr
}

// answer is what became of one request.
type answer struct {
	took         time.Duration
	good, failed int
	err          error
}

// ask makes a request for n keys from the given one on. Whatever is answered must be true.
func (tr *truth) ask(t testing.TB, s online.Store, from, n int, deadline time.Duration) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	vals, failed := make([][]byte, n), make([]bool, n)
	keys, want := make([]string, n), make([][]byte, n)
	for i := range n {
		keys[i], want[i] = tr.keys[(from+i)%len(tr.keys)], tr.want[(from+i)%len(tr.keys)]
	}
	if c, ok := s.(online.Careful); ok {
		s = c.Lookups()
	}
	start := time.Now()
	a.err = s.Get(ctx, keys, vals, failed)
	a.took = time.Since(start)
	for i := range n {
		switch {
		case feature.KindOf(a.err) == feature.Exhausted: // not asked at all
			a.failed++
		case failed[i]:
			a.failed++
		default:
			a.good++
			if !bytes.Equal(want[i], vals[i]) || (want[i] == nil) != (vals[i] == nil) {
				t.Errorf("key %s: answered %q where %q is there", keys[i], vals[i], want[i])
			}
		}
	}
	if (a.failed > 0) != (a.err != nil) {
		t.Errorf("%d keys failed with error %v", a.failed, a.err)
	}
	return a
}

// impatient opens a store that gives up soon.
func impatient(t testing.TB, log *slog.Logger, change func(*redis.Config), addrs ...string) *redis.Store {
	cfg := redis.DefaultConfig()
	cfg.Addrs = addrs
	cfg.ReadTimeout = patience // of probes too: requests have deadlines
	cfg.ProbeInterval = 20 * time.Millisecond
	if change != nil {
		change(&cfg)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s, err := redis.Open(cfg, log)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// longest is how long a request with a deadline of 50 ms may take on a machine that is busy with other
// things. What hangs here hangs for good, so a request that waits for it would take patience.
const longest, patience = 10 * time.Second, 30 * time.Second

// until waits in the test's own goroutine, so that what ok requires ends the test.
func until(t testing.TB, ok func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// metric adds up a metric of a store, or of one of its servers.
func metric(t testing.TB, s *redis.Store, name string, server ...string) (sum float64) {
	reg := prometheus.NewRegistry()
	require.NoError(t, reg.Register(s))
	all, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(server) == 0 || m.GetLabel()[0].GetValue() == server[0]) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// TestOutages has lookups go on while the server is out of reach in all kinds of ways. Every request ends, what is
// answered is true, the server is given up (nobody dials but probes) and found again with the first probe that gets through.
func TestOutages(t *testing.T) {
	addr := testserver.Redis(t).Addr
	tr := load(t, open(t, addr), testserver.Name(t), 300)
	for _, f := range []faultproxy.Fault{faultproxy.Hang, faultproxy.Mute, faultproxy.Reset, faultproxy.HalfClose, faultproxy.Refuse, faultproxy.Trickle, faultproxy.Cut} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			p := faultproxy.New(t, addr)
			var said lines
			s := impatient(t, said.log(), nil, p.Addr)
			until(t, func() bool { return tr.ask(t, s, 0, 100, time.Minute).err == nil }, "the server")

			p.Set(t, f)
			var wg sync.WaitGroup
			var failed atomic.Int64
			for c := range 6 {
				wg.Go(func() {
					for i := range 40 {
						a := tr.ask(t, s, c*31+i, []int{1, 10, 150}[i%3], 50*time.Millisecond)
						if a.took > longest {
							t.Errorf("a request took %s", a.took)
						}
						if a.err != nil {
							if feature.KindOf(a.err) != feature.Unavailable {
								t.Error(a.err)
							}
							failed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			require.Positive(t, failed.Load())
			until(t, func() bool { tr.ask(t, s, 0, 100, 50*time.Millisecond); return said.has("does not answer") }, "the server to be given up")
			require.EqualValues(t, 1, metric(t, s, "weir_redis_shut"))

			p.Set(t, faultproxy.Pass)
			before := metric(t, s, "weir_redis_probes_total")
			until(t, func() bool { return tr.ask(t, s, 0, 100, time.Minute).err == nil }, "the server to be found again")
			// One that was under way fails with the fault, and the next gets through.
			require.LessOrEqual(t, metric(t, s, "weir_redis_probes_total")-before, 2.0)
			require.Zero(t, metric(t, s, "weir_redis_shut"))
			until(t, func() bool { return said.has("answers again") }, "the log")
			require.Equal(t, 1, said.count("does not answer"), "one line a change")
			for i := range 50 {
				require.NoError(t, tr.ask(t, s, i, 10, time.Minute).err)
			}
		})
	}
}

// A connection that the server has closed is not worth an error: the request goes out once more, on a new one.
func TestDeadConnectionsAreReplaced(t *testing.T) {
	addr := testserver.Redis(t).Addr
	tr := load(t, open(t, addr), testserver.Name(t), 30)
	p := faultproxy.New(t, addr)
	s := impatient(t, nil, nil, p.Addr)
	for range 20 {
		var wg sync.WaitGroup
		for range 5 { // several connections
			wg.Go(func() {
				if err := tr.ask(t, s, 0, 30, time.Minute).err; err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		p.Set(t, faultproxy.Reset)
		p.Set(t, faultproxy.Pass)
	}
}

// A server whose connections are all taken makes requests wait, no longer than they may; beyond the limit they are turned away at once.
func TestTooManyLookups(t *testing.T) {
	addr := testserver.Redis(t).Addr
	tr := load(t, open(t, addr), testserver.Name(t), 30)
	p := faultproxy.New(t, addr)
	s := impatient(t, nil, func(c *redis.Config) { c.PoolSize, c.MaxInFlight, c.BreakerFailures = 2, 6, 1_000_000 }, p.Addr)
	require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
	p.Set(t, faultproxy.Hang)
	answers := make(chan answer)
	const asked = 30
	for range asked {
		go func() { answers <- tr.ask(t, s, 0, 5, 200*time.Millisecond) }()
	}
	kinds := map[feature.ErrorKind]int{}
	for range asked {
		a := <-answers
		require.Less(t, a.took, longest+200*time.Millisecond)
		kinds[feature.KindOf(a.err)]++
		if feature.KindOf(a.err) == feature.Exhausted {
			require.ErrorContains(t, a.err, "redis.max_in_flight")
		}
	}
	require.Positive(t, kinds[feature.Exhausted])
	require.GreaterOrEqual(t, kinds[feature.Unavailable], 6)
	require.Equal(t, asked, kinds[feature.Exhausted]+kinds[feature.Unavailable])
	p.Set(t, faultproxy.Pass)
	until(t, func() bool { return tr.ask(t, s, 0, 30, time.Minute).err == nil }, "the server")
}

// TestDeadlines measures by how much requests miss their deadline while the server hangs and trickles. It says something
// only on a machine that has nothing else to do: WEIR_TEST_DEADLINES=1 go test ./online/redis -run TestDeadlines -v
func TestDeadlines(t *testing.T) {
	if os.Getenv("WEIR_TEST_DEADLINES") == "" {
		t.Skip("set WEIR_TEST_DEADLINES=1 on a quiet machine")
	}
	addr := testserver.Redis(t).Addr
	tr := load(t, open(t, addr), testserver.Name(t), 300)
	for _, f := range []faultproxy.Fault{faultproxy.Hang, faultproxy.Trickle, faultproxy.Refuse} {
		p := faultproxy.New(t, addr)
		// Never given up, so that every request really waits.
		s := impatient(t, nil, func(c *redis.Config) { c.BreakerFailures = 1 << 30 }, p.Addr)
		require.NoError(t, tr.ask(t, s, 0, 100, time.Minute).err)
		p.Set(t, f)
		var mu sync.Mutex
		var worst time.Duration
		over := 0
		var wg sync.WaitGroup
		for c := range 8 {
			wg.Go(func() {
				for i := range 100 {
					const deadline = 20 * time.Millisecond
					a := tr.ask(t, s, c+i, 100, deadline)
					mu.Lock()
					worst = max(worst, a.took-deadline)
					if a.took > deadline+5*time.Millisecond {
						over++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		t.Logf("%s: of 800 requests with 20 ms, %d ended later than 5 ms after their deadline, the latest %s after it", f, over, worst)
		require.Zero(t, over)
	}
}

// lines keeps what is logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) log() *slog.Logger { return slog.New(slog.NewTextHandler(locked{&l.mu, &l.buf}, nil)) }
func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.buf.Bytes(), []byte(what))
}
func (l *lines) has(what string) bool { return l.count(what) > 0 }
