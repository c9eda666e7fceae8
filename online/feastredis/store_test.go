package feastredis

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/native"
	"github.com/weir-ml/weir/registry/feature"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// fill writes n drivers, and what else may be in somebody's Redis.
func fill(t *testing.T, c goredis.UniversalClient, n int64) {
	ctx := t.Context()
	pipe := c.Pipeline()
	for i := range n {
		pipe.HSet(ctx, string(driver(i, "p")), "_ts:stats", stamp(i, 0), FeatureField("stats", "trips"), varint(4, uint64(i)))
		pipe.HSet(ctx, string(driver(i, "q")), "_ts:stats", stamp(i, 0))
	}
	pipe.Set(ctx, "session:p", "x", 0)
	pipe.Set(ctx, string(driver(n, "p")), "a text where a hash should be", 0)
	_, err := pipe.Exec(ctx)
	require.NoError(t, err)
}

// scan reads all of it, and requires that nothing is lost.
func scan(t *testing.T, c Config, n int64) {
	s, err := Open(c)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	size, err := s.Size(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2*n+2, size)
	r := NewReader("p", []View{stats})
	rows, keys := map[int64]int64{}, 0
	require.NoError(t, s.Scan(t.Context(), r.Wants, func(key []byte, hash map[string]string) error {
		return r.Read(key, hash, func(_ int, row Row) error {
			rows[row.Keys[0].(int64)] = row.Values[0].(int64)
			return nil
		})
	}, func(k int) { keys += k }))
	require.Len(t, rows, int(n))
	for i := range n {
		require.Equal(t, i, rows[i])
	}
	require.GreaterOrEqual(t, keys, int(size))
	require.EqualValues(t, n, r.Report().OtherProjects["q"])
}

func TestOneServer(t *testing.T) {
	s := testserver.OwnRedis(t, "--requirepass", "hush")
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr, Password: "hush", DB: 2})
	defer func() { require.NoError(t, c.Close()) }()
	fill(t, c, 1700)
	at, err := Parse("redis://" + s.Addr + "/2")
	require.NoError(t, err)
	at.Password = "hush"
	scan(t, at, 1700)

	for _, password := range []secret.Text{"", "loud"} {
		at.Password = password
		open, err := Open(at)
		require.NoError(t, err)
		_, err = open.Size(t.Context())
		require.Equal(t, feature.Unauthorized, feature.KindOf(err), "%v", err)
		require.NotContains(t, err.Error(), "loud")
		require.NoError(t, open.Close())
	}
	at.Password, at.Cluster, at.DB = "hush", true, 0
	open, err := Open(at)
	require.NoError(t, err)
	_, err = open.Size(t.Context())
	require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "--cluster")
	require.NoError(t, open.Close())

	at.Cluster = false
	s.Stop(t)
	open, err = Open(at)
	require.NoError(t, err)
	require.Equal(t, feature.Unavailable, feature.KindOf(open.Scan(t.Context(), func([]byte) bool { return true }, nil, func(int) {})))
	require.NoError(t, open.Close())
}

func TestCluster(t *testing.T) {
	ctx := context.Background()
	var addrs []string
	for i := range 2 {
		s := testserver.OwnRedis(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t))
		addrs = append(addrs, s.Addr)
		c := goredis.NewClient(&goredis.Options{Addr: s.Addr})
		defer func() { _ = c.Close() }()
		require.NoError(t, c.Do(ctx, "cluster", "addslotsrange", i*8192, i*8192+8191).Err())
		require.NoError(t, c.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if i == 1 {
			host, port, _ := net.SplitHostPort(addrs[0])
			first := goredis.NewClient(&goredis.Options{Addr: addrs[0]})
			defer func() { _ = first.Close() }()
			require.NoError(t, c.Do(ctx, "cluster", "meet", host, port, first.ConfigGet(ctx, "cluster-port").Val()["cluster-port"]).Err())
			for _, x := range []*goredis.Client{c, first} {
				require.Eventually(t, func() bool {
					info := x.ClusterInfo(ctx).Val()
					return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
				}, 30*time.Second, 20*time.Millisecond)
			}
		}
	}
	c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs})
	defer func() { require.NoError(t, c.Close()) }()
	fill(t, c, 600)
	scan(t, Config{Addrs: addrs[:1], Cluster: true}, 600)
	scan(t, Config{Addrs: addrs}, 600)
	_, err := Open(Config{Addrs: addrs, DB: 1})
	require.Error(t, err)
}

func freePort(t testing.TB) string {
	ports, err := native.FreePorts(1)
	require.NoError(t, err)
	return strconv.Itoa(ports[0])
}

func TestParse(t *testing.T) {
	for address, want := range map[string]Config{
		"redis://h:1/2":                  {Addrs: []string{"h:1"}, DB: 2},
		"redis://h":                      {Addrs: []string{"h:6379"}},
		"rediss://me:hush@h:1":           {Addrs: []string{"h:1"}, Username: "me", Password: "hush", TLS: true},
		"redis://[::1]:7/0":              {Addrs: []string{"[::1]:7"}},
		"h:1":                            {Addrs: []string{"h:1"}},
		"h:1,db=3,ssl=true,password=a=b": {Addrs: []string{"h:1"}, DB: 3, TLS: true, Password: "a=b"},
		`a:1,b:2,skip_full_coverage_check=true,username="me"`: {Addrs: []string{"a:1", "b:2"}, Username: "me"},
	} {
		got, err := Parse(address)
		require.NoError(t, err, address)
		require.Equal(t, want, got, address)
	}
	for _, bad := range []string{"", "h", "h:", ":1", "hush:1,db=x", "h:1,ssl=perhaps,password=hush", "h:1,hush=1,secret=hush", "http://u:hush@h", "redis://u:hush@:1", "redis://u:hush@h/x", "redis://u:hush@h/0?x=1", "redis://%zz:hush@h"} {
		_, err := Parse(bad)
		require.Equal(t, feature.Invalid, feature.KindOf(err), bad)
		require.NotContains(t, strings.ReplaceAll(err.Error(), `the setting "hush" is`, ""), "hush")
	}
}
