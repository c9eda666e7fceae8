package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/native"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

func open(t testing.TB, addrs ...string) *redis.Store {
	cfg := redis.DefaultConfig()
	cfg.Addrs = addrs
	cfg.ReadTimeout = 5 * time.Second // the machine may be busy; timeouts have tests of their own
	s, err := redis.Open(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		addr := miniredis.RunT(t).Addr()
		onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, addr) })
	})
	t.Run("redis", func(t *testing.T) {
		addr := testserver.Redis(t).Addr
		onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, addr) })
	})
	t.Run("valkey", func(t *testing.T) {
		addr := testserver.OwnValkey(t).Addr
		onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, addr) })
	})
	t.Run("cluster", func(t *testing.T) {
		addrs := cluster(t)
		onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, addrs...) })
	})
}

// cluster makes a cluster of three redis-servers.
func cluster(t testing.TB) (addrs []string) {
	for _, s := range clusterServers(t) {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// clusterServer starts a server that may join a cluster.
func clusterServer(t testing.TB) *testserver.RedisServer {
	return testserver.OwnRedis(t, "--cluster-enabled", "yes", "--cluster-port", clusterPort(t), "--cluster-node-timeout", "20000")
}

func clusterServers(t testing.TB) (servers []*testserver.RedisServer) {
	ctx := context.Background()
	for i := range 3 {
		s := clusterServer(t)
		servers = append(servers, s)
		c := client(t, s.Addr)
		from := i * 16384 / 3
		require.NoError(t, c.Do(ctx, "cluster", "addslotsrange", from, (i+1)*16384/3-1).Err())
		require.NoError(t, c.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
	}
	for i, a := range servers {
		for j, b := range servers {
			if i != j {
				meet(t, client(t, a.Addr), b.Addr)
			}
		}
	}
	for _, s := range servers {
		c := client(t, s.Addr)
		require.Eventually(t, func() bool {
			info := c.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") && strings.Contains(info, "cluster_slots_ok:16384")
		}, 30*time.Second, 20*time.Millisecond)
	}
	return servers
}

func client(t testing.TB, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// meet introduces a server to another one.
func meet(t testing.TB, c *goredis.Client, other string) {
	ctx := context.Background()
	bus := client(t, other).ConfigGet(ctx, "cluster-port").Val()["cluster-port"]
	host, port, _ := net.SplitHostPort(other)
	require.NoError(t, c.Do(ctx, "cluster", "meet", host, port, bus).Err())
}

func clusterPort(t testing.TB) string {
	ports, err := native.FreePorts(1)
	require.NoError(t, err)
	return strconv.Itoa(ports[0])
}

func TestExpiryIsSet(t *testing.T) {
	for name, addr := range map[string]string{"miniredis": miniredis.RunT(t).Addr(), "redis": testserver.Redis(t).Addr} {
		t.Run(name, func(t *testing.T) {
			ctx, p := context.Background(), onlinetest.Project(t)
			s := open(t, addr)
			v := onlinetest.View(p, "v", feature.Duration(10*time.Minute))
			w := online.NewWriter(v, s, &onlinetest.Table{}, online.Options{})
			now := time.Now().UnixMicro()
			row := func(key string, at int64, del bool) onlinetest.Row {
				r := onlinetest.Row{Values: make([]any, 9), Event: at, Known: at, Deleted: del}
				r.Values[0] = key
				return r
			}
			rows := []onlinetest.Row{row("fresh", now, false), row("old", 0, false), row("gone", now, true)}
			for i := range rows {
				rows[i].Offset = int64(i)
			}
			require.NoError(t, w.Write(ctx, onlinetest.Batch(v, [16]byte{}, 0, rows...)))
			c := goredis.NewClient(&goredis.Options{Addr: addr})
			defer func() { _ = c.Close() }()
			for key, want := range map[string]time.Duration{"fresh": 70 * time.Minute, "old": time.Hour, "gone": 70 * time.Minute} {
				got := c.PTTL(ctx, "w:{"+p+"/customer/"+key+"}:v").Val()
				require.InDelta(t, want.Seconds(), got.Seconds(), 60, key)
			}
			// Without a ttl nothing expires, not even what had an expiry before.
			v.TTL = 0
			rows[0].Offset = 9
			require.NoError(t, w.Write(ctx, onlinetest.Batch(v, [16]byte{}, 0, rows[0])))
			require.EqualValues(t, -1, c.PTTL(ctx, "w:{"+p+"/customer/fresh}:v").Val())
		})
	}
}

// A server that forgot the scripts is taught them again, in the middle of a pipeline too.
func TestScriptsFlushed(t *testing.T) {
	addr := testserver.Redis(t).Addr
	s := open(t, addr)
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	ctx, p := context.Background(), onlinetest.Project(t)
	var rows []online.Row
	for i := range 1000 {
		v, err := online.Value(&online.Schema{}, feature.Stamp{Event: int64(i), Known: int64(i)})
		require.NoError(t, err)
		rows = append(rows, online.Row{Key: fmt.Sprintf("w:{%s/e/%d}:v", p, i), Value: v})
	}
	for range 3 {
		require.NoError(t, c.ScriptFlush(ctx).Err())
		r, err := s.Put(ctx, rows, &online.Advance{View: p + "/v", Next: 5})
		require.NoError(t, err)
		require.Equal(t, online.Result{Stored: 1000}, r)
	}
}

func TestHungServer(t *testing.T) {
	srv := testserver.OwnRedis(t)
	cfg := redis.DefaultConfig()
	cfg.Addrs = []string{srv.Addr}
	cfg.ReadTimeout, cfg.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	s, err := redis.Open(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	ctx := context.Background()
	require.Eventually(t, func() bool { return s.Ping(ctx) == nil }, time.Minute, time.Millisecond)
	srv.Pause(t)
	start := time.Now()
	vals, failed := make([][]byte, 2), make([]bool, 2)
	err = s.Get(ctx, []string{"a", "b"}, vals, failed)
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	require.Equal(t, []bool{true, true}, failed)
	_, err = s.Put(ctx, nil, &online.Advance{View: "p/v"})
	require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	require.Equal(t, feature.Unavailable, feature.KindOf(s.Get(short, []string{"a"}, vals[:1], failed[:1])))
	require.Less(t, time.Since(start), 14*time.Second) // the client's own defaults would need 15
	srv.Resume(t)
	require.Eventually(t, func() bool { return s.Ping(ctx) == nil }, time.Minute, 5*time.Millisecond)
}

func TestServerGoesAndComes(t *testing.T) {
	srv := testserver.OwnRedis(t)
	s := open(t, srv.Addr)
	ctx := context.Background()
	vals, failed := make([][]byte, 1), make([]bool, 1)
	require.NoError(t, s.Get(ctx, []string{"a"}, vals, failed))
	srv.Kill(t)
	require.Eventually(t, func() bool {
		return feature.KindOf(s.Get(ctx, []string{"a"}, vals, failed)) == feature.Unavailable && failed[0]
	}, time.Minute, time.Millisecond)
	srv.Start(t)
	failed[0] = false
	require.Eventually(t, func() bool { return s.Get(ctx, []string{"a"}, vals, failed) == nil }, time.Minute, time.Millisecond)
}

func TestErrorsAreClassified(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m.Addr())
	ctx := context.Background()
	for text, kind := range map[string]feature.ErrorKind{
		"LOADING Redis is loading the dataset in memory":                                       feature.Unavailable,
		"READONLY You can't write against a read only replica.":                                feature.Unavailable,
		"OOM command not allowed when used memory > 'maxmemory'.":                              feature.Unavailable,
		"NOAUTH Authentication required.":                                                      feature.Unauthorized,
		"ERR unknown command":                                                                  feature.Internal,
		"WRONGTYPE Operation against a key holding the wrong kind of value":                    feature.Internal,
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to":      feature.Unavailable,
		"CLUSTERDOWN The cluster is down":                                                      feature.Unavailable,
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAV": feature.Unavailable,
	} {
		m.SetError(text)
		_, err := s.Put(ctx, nil, &online.Advance{View: "p/v"})
		require.Equal(t, kind, feature.KindOf(err), "%v", err)
	}
}

func TestConfig(t *testing.T) {
	c := redis.DefaultConfig()
	require.NoError(t, c.Validate())
	c.Addrs, c.PoolSize, c.ReadTimeout, c.DB = []string{"nowhere"}, 0, 0, -1
	err := c.Validate()
	for _, want := range []string{"redis.addrs", "redis.pool_size", "redis.read_timeout", "redis.db"} {
		require.ErrorContains(t, err, want)
	}
	c.Password = "hunter2"
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", c, c, c, c.Password), "hunter2")
}
