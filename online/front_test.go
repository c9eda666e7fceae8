package online_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// scripted is a store whose answers a test makes.
type scripted struct {
	online.Store
	get   func(ctx context.Context, keys []string, vals [][]byte, failed []bool) error
	asked atomic.Int64 // keys
}

func (s *scripted) Get(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
	s.asked.Add(int64(len(keys)))
	return s.get(ctx, keys, vals, failed)
}

func frontConfig(change func(*online.Config)) online.Config {
	c := online.DefaultConfig()
	change(&c)
	return c
}

// The conformance suite holds behind a front that may not answer anything old.
func TestFrontConformance(t *testing.T) {
	onlinetest.Run(t, func(t *testing.T) online.Store {
		return online.InFront(memory.New(nil), frontConfig(func(c *online.Config) { c.Coalesce, c.StaleFor = true, time.Hour }), nil, prometheus.NewRegistry())
	})
	s := memory.New(nil)
	require.Equal(t, online.Store(s), online.InFront(s, online.DefaultConfig(), nil, nil), "off by default, and then not there at all")
}

// TestStalenessIsBounded runs random requests, writes, failures and a clock against a front, and holds each
// answer against the history of its key: it was true within the time that is promised, and where the store answered and no cache is
// asked for, it is true now.
func TestStalenessIsBounded(t *testing.T) {
	for _, c := range []struct{ ttl, stale time.Duration }{{0, 10 * time.Second}, {3 * time.Second, 0}, {3 * time.Second, 10 * time.Second}} {
		for _, size := range []int64{1 << 20, 64 << 20} {
			t.Run(fmt.Sprintf("cache=%v,stale=%v,bytes=%d", c.ttl, c.stale, size), func(t *testing.T) {
				r := onlinetest.Seed(t)
				now := time.Unix(1_700_000_000, 0)
				type version struct {
					at  time.Time
					val string // "" absent
				}
				history := map[string][]version{}
				current := func(k string) string {
					h := history[k]
					if len(h) == 0 {
						return ""
					}
					return h[len(h)-1].val
				}
				broken := false
				s := &scripted{get: func(_ context.Context, keys []string, vals [][]byte, failed []bool) (err error) {
					for i, k := range keys {
						switch v := current(k); {
						case broken && r.IntN(3) > 0:
							failed[i] = true
							err = feature.Errorf(feature.Unavailable, "scripted", "", "down")
						case v != "":
							vals[i] = []byte(v)
						}
					}
					return err
				}}
				reg := prometheus.NewRegistry()
				f := online.InFront(s, frontConfig(func(o *online.Config) { o.CacheTTL, o.StaleFor, o.CacheBytes = c.ttl, c.stale, size }), func() time.Time { return now }, reg)
				var oldest time.Duration
				counts := map[string]int{}
				for step := range 6_000 {
					now = now.Add(time.Duration(r.Int64N(int64(100 * time.Millisecond))))
					if r.IntN(50) == 0 {
						broken = !broken
					}
					k := fmt.Sprint("k", r.IntN(30))
					if r.IntN(3) == 0 {
						v := fmt.Sprint(step, strings.Repeat("x", r.IntN(2000)))
						if r.IntN(5) == 0 {
							v = ""
						}
						history[k] = append(history[k], version{now, v})
						continue
					}
					keys := []string{k, fmt.Sprint("k", r.IntN(30)), fmt.Sprint("k", r.IntN(30))}[:1+r.IntN(3)]
					vals, failed := make([][]byte, len(keys)), make([]bool, len(keys))
					err := f.Get(context.Background(), keys, vals, failed)
					any := false
					for i, k := range keys {
						any = any || failed[i]
						if failed[i] {
							counts["failed"]++
							continue
						}
						got := string(vals[i])
						if got == current(k) {
							counts["true"]++
							continue
						}
						counts["old"]++
						bound := max(c.ttl, c.stale)
						if !broken || got == "" {
							bound = c.ttl
						}
						// It must have been true at some moment of the last bound.
						was, h := false, history[k]
						for j := len(h) - 1; j >= -1 && !was; j-- {
							val, until := "", now
							if j >= 0 {
								val = h[j].val
							}
							if j+1 < len(h) {
								until = h[j+1].at
							}
							if now.Sub(until) > bound {
								break
							}
							if was = val == got; was {
								oldest = max(oldest, now.Sub(until))
							}
						}
						require.True(t, was, "step %d: %s is answered %.10q, which it was not within %s", step, k, got, bound)
					}
					require.Equal(t, any, err != nil)
				}
				t.Logf("the oldest answer had not been true for %s; %v", oldest, counts)
				require.Positive(t, counts["true"])
				require.Positive(t, counts["old"])
				require.Positive(t, counts["failed"])
			})
		}
	}
}

// A stale value is shown with its event time while its view's ttl lasts, which is judged now and not then.
func TestStaleValuesExpire(t *testing.T) {
	ctx := context.Background()
	now := time.Now()
	v := onlinetest.View("p", "v", feature.Duration(10*time.Minute))
	m := memory.New(nil)
	faulty := &onlinetest.Faulty{Store: m, Fail: func(string, int) onlinetest.Fault { return onlinetest.None }}
	reg := prometheus.NewRegistry()
	f := online.InFront(faulty, frontConfig(func(c *online.Config) { c.StaleFor = time.Hour }), func() time.Time { return now }, reg)
	row := onlinetest.Row{Values: make([]any, 9), Event: now.UnixMicro(), Known: now.UnixMicro()}
	row.Values[0] = "k"
	require.NoError(t, online.NewWriter(v, m, &onlinetest.Table{}, online.Options{}).Write(ctx, onlinetest.Batch(v, [16]byte{}, 0, row)))
	p, err := online.NewReader(f, func() time.Time { return now }, nil, nil).Compile(onlinetest.Service(v))
	require.NoError(t, err)
	status := func(key string) feature.Status {
		var keys feature.Vector
		keys.Reset(feature.String, 1)
		keys.Valid[0], keys.Bytes[0] = true, []byte(key)
		var b feature.Block
		require.NoError(t, p.Read(ctx, []feature.Vector{keys}, 1, &b))
		return b.Views[0].Status[0]
	}
	require.Equal(t, feature.Present, status("k"))
	require.Equal(t, feature.NotFoundStatus, status("other"))
	faulty.Fail = func(string, int) onlinetest.Fault { return onlinetest.Clean }
	require.Equal(t, feature.Present, status("k"))
	require.Equal(t, feature.StoreError, status("other"), "an absence is nothing to fall back on")
	require.Equal(t, feature.StoreError, status("never asked"))
	now = now.Add(11 * time.Minute)
	require.Equal(t, feature.OutsideMaxAge, status("k"))
	now = now.Add(time.Hour)
	require.Equal(t, feature.StoreError, status("k"))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader("# HELP weir_online_stale_values_total Values answered as they were last known, because the store did not answer (online.stale_for).\n# TYPE weir_online_stale_values_total counter\nweir_online_stale_values_total 2\n"), "weir_online_stale_values_total"))
}

// A request whose caller goes away, or has little time, spoils nobody else's.
func TestSharedQuestions(t *testing.T) {
	type call struct {
		ctx  context.Context
		keys []string
		end  chan error
	}
	calls := make(chan call)
	s := &scripted{get: func(ctx context.Context, keys []string, vals [][]byte, failed []bool) error {
		c := call{ctx, keys, make(chan error)}
		calls <- c
		err := <-c.end
		for i, k := range keys {
			if err != nil {
				failed[i] = true
			} else if k != "absent" {
				vals[i] = []byte(k)
			}
		}
		return err
	}}
	reg := prometheus.NewRegistry()
	f := online.InFront(s, frontConfig(func(c *online.Config) { c.Coalesce = true }), nil, reg)
	type result struct {
		vals   [][]byte
		failed []bool
		err    error
	}
	get := func(ctx context.Context, keys ...string) chan result {
		out := make(chan result, 1)
		go func() {
			r := result{make([][]byte, len(keys)), make([]bool, len(keys)), nil}
			r.err = f.Get(ctx, keys, r.vals, r.failed)
			out <- r
		}()
		return out
	}
	ctx := context.Background()
	gone, leave := context.WithCancel(ctx)
	first := get(gone, "a", "absent", "a")
	one := <-calls
	require.Equal(t, []string{"a", "absent", "a"}, one.keys)
	second := get(ctx, "b", "a", "absent")
	two := <-calls
	require.Equal(t, []string{"b"}, two.keys, "a is being asked for")
	two.end <- nil
	one.end <- nil
	for _, r := range []chan result{first, second} {
		x := <-r
		require.NoError(t, x.err)
	}

	// The first goes away and its question fails: the others ask for themselves.
	first = get(gone, "a")
	one = <-calls
	second = get(ctx, "a", "c")
	two = <-calls
	require.Equal(t, []string{"c"}, two.keys)
	two.end <- nil
	leave()
	one.end <- errors.New("gone")
	require.Error(t, (<-first).err)
	three := <-calls
	require.Equal(t, []string{"a"}, three.keys)
	require.NoError(t, three.ctx.Err())
	three.end <- nil
	x := <-second
	require.NoError(t, x.err)
	require.Equal(t, [][]byte{[]byte("a"), []byte("c")}, x.vals)

	// Who has no time left does not wait for another's question.
	first = get(ctx, "a")
	one = <-calls
	over, cancel := context.WithCancel(ctx)
	cancel()
	x = <-get(over, "a")
	require.Equal(t, []bool{true}, x.failed)
	require.Equal(t, feature.Unavailable, feature.KindOf(x.err))
	one.end <- nil
	require.NoError(t, (<-first).err)
}

// Many requests for few keys: all answers are right, and questions are shared.
func TestSharedQuestionsManyAtOnce(t *testing.T) {
	var down atomic.Bool
	s := &scripted{get: func(_ context.Context, keys []string, vals [][]byte, failed []bool) (err error) {
		for i, k := range keys {
			if down.Load() && rand.IntN(3) == 0 {
				failed[i], err = true, feature.Errorf(feature.Unavailable, "scripted", "", "down")
			} else if !strings.HasSuffix(k, "7") {
				vals[i] = []byte(k)
			}
		}
		return err
	}}
	f := online.InFront(s, frontConfig(func(c *online.Config) { c.Coalesce = true }), nil, prometheus.NewRegistry())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 3000 {
				if i == 1500 {
					down.Store(true)
				}
				keys := make([]string, 1+i%5)
				for j := range keys {
					keys[j] = fmt.Sprint("k", rand.IntN(10))
				}
				vals, failed := make([][]byte, len(keys)), make([]bool, len(keys))
				err := f.Get(context.Background(), keys, vals, failed)
				any := false
				for j, k := range keys {
					any = any || failed[j]
					want := k
					if strings.HasSuffix(k, "7") {
						want = ""
					}
					if !failed[j] && string(vals[j]) != want {
						t.Errorf("%s is answered %q", k, vals[j])
					}
				}
				if any != (err != nil) {
					t.Errorf("failed %v with error %v", failed, err)
				}
			}
		})
	}
	wg.Wait()
}
