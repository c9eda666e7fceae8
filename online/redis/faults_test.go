package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// texts are rows of about 1 KB with keys k<from> to k<to-1>, by offset.
func texts(v *feature.View, from, to int, now int64) *feature.Batch {
	var rows []onlinetest.Row
	for i := from; i < to; i++ {
		r := onlinetest.Row{Values: make([]any, 9), Event: now + int64(i), Known: now + int64(i), Offset: int64(i)}
		r.Values[0], r.Values[3] = fmt.Sprintf("k%d", i), strings.Repeat(fmt.Sprint(i%10), 1000)
		rows = append(rows, r)
	}
	return onlinetest.Batch(v, [16]byte{1}, 0, rows...)
}

func checkConfig(t *testing.T, v *feature.View, s online.Store, table *onlinetest.Table) online.CheckConfig {
	ctx := context.Background()
	pin, err := table.Pin(v, 1, 0)(ctx, 0)
	require.NoError(t, err)
	return online.CheckConfig{View: v, Store: s, At: pin.At, Strangers: true, Pause: time.Millisecond, Patience: 5 * time.Millisecond,
		Newest: func(fn func(*feature.Batch) error) error {
			return pin.Newest(ctx, online.NewestPart{Parts: 1}, fn)
		}}
}

func check(t *testing.T, cfg online.CheckConfig) (kinds map[online.CheckKind]int, r *online.CheckResult) {
	kinds = map[online.CheckKind]int{}
	r, err := online.Check(context.Background(), cfg, func(f online.CheckFault) { kinds[f.Kind]++ })
	require.NoError(t, err)
	return kinds, r
}

// A server without room refuses rows until it has some: that is waited for.
func TestOutOfMemory(t *testing.T) {
	ctx := context.Background()
	srv := testserver.OwnRedis(t, "--maxmemory", "8mb")
	s := open(t, srv.Addr)
	v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
	w := online.NewWriter(v, s, table, online.Options{})
	at := 0
	var full error
	for ; full == nil; at += 500 {
		require.Less(t, at, 50_000)
		full = w.Write(ctx, texts(v, at, at+500, now))
		table.Append(texts(v, at, at+500, now))
	}
	require.Equal(t, feature.Unavailable, feature.KindOf(full), "%v", full)
	require.ErrorContains(t, full, "maxmemory")
	require.ErrorContains(t, full, "nothing is lost")
	settle := &feature.Commit{View: v, Advances: []feature.Advance{{To: feature.Position{TopicID: [16]byte{1}, Next: int64(at)}}}}
	require.Equal(t, feature.Unavailable, feature.KindOf(w.Settle(ctx, settle)))
	vals, failed := make([][]byte, 1), make([]bool, 1)
	require.NoError(t, s.Get(ctx, []string{"w:{p/customer/k0}:v"}, vals, failed), "lookups go on")
	require.NotNil(t, vals[0])
	kinds, _ := check(t, checkConfig(t, v, s, table))
	require.Positive(t, kinds[online.Missing])

	c := goredis.NewClient(&goredis.Options{Addr: srv.Addr})
	defer func() { _ = c.Close() }()
	require.NoError(t, c.ConfigSet(ctx, "maxmemory", "0").Err())
	require.NoError(t, w.Write(ctx, texts(v, at-500, at, now)))
	require.NoError(t, w.Settle(ctx, settle))
	kinds, r := check(t, checkConfig(t, v, s, table))
	require.Empty(t, kinds)
	require.EqualValues(t, at, r.Equal)
}

// A server that evicts loses rows and says nothing. The log is warned at the
// start, and a check finds them.
func TestEviction(t *testing.T) {
	ctx := context.Background()
	srv := testserver.OwnRedis(t, "--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru")
	var mu sync.Mutex
	var said bytes.Buffer
	warned := func(addr string) func() bool {
		said.Reset()
		cfg := redis.DefaultConfig()
		cfg.Addrs = []string{addr}
		s, err := redis.Open(cfg, slog.New(slog.NewTextHandler(locked{&mu, &said}, nil)))
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(said.String(), "allkeys-lru") && strings.Contains(said.String(), "noeviction")
		}
	}
	require.Eventually(t, warned(srv.Addr), 20*time.Second, 10*time.Millisecond)

	s := open(t, srv.Addr)
	v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
	w := online.NewWriter(v, s, table, online.Options{})
	for at := 0; at < 12_000; at += 500 {
		b := texts(v, at, at+500, now)
		table.Append(b)
		require.NoError(t, w.Write(ctx, b))
	}
	kinds, r := check(t, checkConfig(t, v, s, table))
	require.Greater(t, kinds[online.Missing], 1000)
	require.Len(t, kinds, 1)
	require.EqualValues(t, 12_000, int(r.Equal)+kinds[online.Missing])
}

// A server that does not say, or that evicts nothing, is not warned of.
func TestNoWarningOfEviction(t *testing.T) {
	for name, addr := range map[string]string{"noeviction": testserver.Redis(t).Addr, "miniredis": miniredis.RunT(t).Addr()} {
		var mu sync.Mutex
		var said bytes.Buffer
		cfg := redis.DefaultConfig()
		cfg.Addrs = []string{addr}
		s, err := redis.Open(cfg, slog.New(slog.NewTextHandler(locked{&mu, &said}, &slog.HandlerOptions{Level: slog.LevelWarn})))
		require.NoError(t, err)
		require.Eventually(t, s.Asked, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, s.Close())
		require.Empty(t, said.String(), name)
	}
}

type locked struct {
	mu *sync.Mutex
	w  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// TestKilledServer kills a Redis again and again while rows are written, mended
// and the store is rebuilt. It comes back empty, or without the last bytes of its log, or as
// it was. In the end nothing differs.
func TestKilledServer(t *testing.T) {
	for name, args := range map[string][]string{"appendonly=no": nil, "everysec": {"--appendonly", "yes", "--appendfsync", "everysec"}} {
		t.Run(name, func(t *testing.T) {
			ctx, r := context.Background(), onlinetest.Seed(t)
			chance := rand.New(rand.NewPCG(r.Uint64(), 1))
			srv := testserver.OwnRedis(t, args...)
			s := open(t, srv.Addr)
			v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
			retry := func(f func() error) {
				for {
					err := f()
					if err == nil {
						return
					}
					require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
					time.Sleep(time.Millisecond) // leaves the server a core to start on
				}
			}
			const kills, most = 5, 1000
			progress := make(chan int)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { // the worker
				defer close(progress)
				w := online.NewWriter(v, s, table, online.Options{})
				next := map[int32]int64{}
				for i := 0; i < most; i++ {
					part := int32(i % 3)
					var rows []onlinetest.Row
					for range 20 {
						rows = append(rows, onlinetest.RandomRow(r, v, now-60_000_000, next[part]))
						rows[len(rows)-1].Values[0] = fmt.Sprintf("k%d", r.IntN(2000))
						next[part]++
					}
					b := onlinetest.Batch(v, [16]byte{1}, part, rows...)
					retry(func() error { return w.Write(ctx, b) })
					table.Append(b)
					if i%4 == 3 {
						c := &feature.Commit{View: v}
						for p, n := range next {
							c.Advances = append(c.Advances, feature.Advance{To: feature.Position{TopicID: [16]byte{1}, Partition: p, Next: n}})
						}
						retry(func() error { return w.Settle(ctx, c) })
					}
					select {
					case progress <- i:
					case <-stop:
						retry(func() error { _, err := w.Mend(ctx); return err })
						return
					}
				}
			})
			wg.Go(func() { // a rebuild that is begun again whenever it breaks off
				for {
					retry(func() error {
						_, err := online.Materialize(ctx, online.MaterializeConfig{View: v, Store: s, Pin: table.Pin(v, 3, 0), Pause: time.Millisecond, Patience: 5 * time.Millisecond})
						return err
					})
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			for range kills {
				for range 5 + chance.IntN(25) {
					<-progress
				}
				srv.Kill(t)
				if args != nil && chance.IntN(3) > 0 {
					srv.Forget(t, chance.Int64N(100_000), chance.IntN(4) == 0)
				}
				srv.Start(t)
			}
			close(stop)
			wg.Wait()
			kinds, res := check(t, checkConfig(t, v, s, table))
			require.Empty(t, kinds)
			require.Equal(t, res.Keys, res.Equal)
			require.Positive(t, res.Keys)
		})
	}
}
