package redis_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/secret"
	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// TestSentinel: the sentinels say which server is the master, and lookups and writes follow them when
// it is killed, also with one of the sentinels gone.
func TestSentinel(t *testing.T) {
	ctx := context.Background()
	master, replica := testserver.OwnRedis(t), testserver.OwnRedis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.Addr)
	require.NoError(t, client(t, replica.Addr).Do(ctx, "replicaof", host, port).Err())
	replicaIs := func(what string) {
		c := client(t, replica.Addr)
		require.Eventually(t, func() bool { return strings.Contains(c.Info(ctx, "replication").Val(), what) }, 60*time.Second, 10*time.Millisecond)
	}
	replicaIs("master_link_status:up")
	var addrs []string
	var sentinels []*testserver.RedisServer
	for range 3 {
		x := testserver.OwnSentinel(t, "main", master.Addr, 2)
		sentinels, addrs = append(sentinels, x), append(addrs, x.Addr)
	}
	for _, a := range addrs {
		c := client(t, a)
		require.Eventually(t, func() bool {
			info := c.Info(ctx, "sentinel").Val()
			return strings.Contains(info, "slaves=1,sentinels=3")
		}, 60*time.Second, 20*time.Millisecond)
	}

	named := func(name string) func(*redis.Config) {
		return func(c *redis.Config) { c.Master, c.ReadTimeout = name, time.Second }
	}
	s := impatient(t, nil, named("main"), addrs...)
	tr := load(t, s, testserver.Name(t), 90)
	require.NoError(t, tr.ask(t, s, 0, 90, time.Minute).err)
	require.EqualValues(t, 1, client(t, master.Addr).Wait(ctx, 1, 20*time.Second).Val())
	unknown := impatient(t, nil, named("other"), addrs...)
	x := tr.ask(t, unknown, 0, 30, 200*time.Millisecond)
	require.Equal(t, feature.Unavailable, feature.KindOf(x.err))
	require.Eventually(t, func() bool {
		x := tr.ask(t, unknown, 0, 30, 200*time.Millisecond)
		return x.err != nil && strings.Contains(x.err.Error(), "redis.master")
	}, 20*time.Second, time.Millisecond)

	sentinels[0].Pause(t)
	master.Kill(t)
	until(t, func() bool {
		a := tr.ask(t, s, 0, 90, 100*time.Millisecond)
		require.Less(t, a.took, longest+100*time.Millisecond)
		return a.err != nil
	}, "lookups to fail")
	replicaIs("role:master")
	clock(t, tr, s, 90, "a new master of the sentinels")
	require.Eventually(t, func() bool {
		_, err := s.Put(ctx, []online.Row{{Key: tr.keys[1], Value: tr.want[1]}}, nil)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)

	// The old master comes back, and is made a replica: nobody asks it.
	master.Start(t)
	require.NoError(t, tr.ask(t, s, 0, 90, time.Minute).err)
}

// pretendSentinel is a sentinel that names a server, with a password of its own.
func pretendSentinel(t *testing.T, pass string, names func() string) string {
	return pretend(t, func(args []string) string {
		switch {
		case args[0] == "AUTH" && args[len(args)-1] != pass:
			return "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
		case strings.EqualFold(args[0], "SENTINEL") && strings.EqualFold(args[1], "GET-MASTER-ADDR-BY-NAME"):
			host, port, _ := net.SplitHostPort(names())
			return list(host, port)
		}
		return "+OK\r\n"
	})
}

// A sentinel with a view of yesterday names a server that is a replica by now, or none: it does not decide, whether it is asked first or last.
func TestSentinelOfYesterday(t *testing.T) {
	master, replica := testserver.OwnRedis(t), testserver.OwnRedis(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.Addr)
	require.NoError(t, client(t, replica.Addr).Do(t.Context(), "replicaof", host, port).Err())
	tr := load(t, open(t, master.Addr), testserver.Name(t), 30)
	now := pretendSentinel(t, "", func() string { return master.Addr })
	for name, addr := range map[string]string{"a replica": replica.Addr, "nobody": "127.0.0.1:1"} {
		stale := pretendSentinel(t, "", func() string { return addr })
		for _, addrs := range [][]string{{stale, now}, {now, stale}} {
			s := impatient(t, nil, func(c *redis.Config) { c.Master = "main" }, addrs...)
			for range 5 {
				require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err, "%s: %s", name, addrs)
			}
		}
	}
	// Both are masters, as where the network is parted: most sentinels decide.
	require.NoError(t, client(t, replica.Addr).Do(t.Context(), "replicaof", "no", "one").Err())
	apart := pretendSentinel(t, "", func() string { return replica.Addr })
	again := pretendSentinel(t, "", func() string { return master.Addr })
	require.NoError(t, client(t, replica.Addr).FlushAll(t.Context()).Err())
	s := impatient(t, nil, func(c *redis.Config) { c.Master = "main" }, apart, now, again)
	for range 5 {
		require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
	}
	require.Zero(t, metric(t, s, "weir_redis_shut", master.Addr))
}

// Sentinels have a password, or users, of their own, which lookups and writes give them.
func TestSentinelPassword(t *testing.T) {
	ctx := context.Background()
	master := testserver.OwnRedis(t)
	var addrs []string
	for range 2 {
		x := testserver.OwnSentinel(t, "main", master.Addr, 1)
		addrs = append(addrs, x.Addr)
		c := client(t, x.Addr)
		require.NoError(t, c.Do(ctx, "acl", "setuser", "weir", "on", ">of the sentinels", "+sentinel|get-master-addr-by-name", "+sentinel|sentinels",
			"+subscribe", "&*", "+ping", "+client|setname", "+hello").Err())
		require.NoError(t, c.Do(ctx, "acl", "setuser", "default", "off").Err())
	}
	with := func(user, pass string) *redis.Store {
		return impatient(t, nil, func(c *redis.Config) {
			c.Master, c.SentinelUsername, c.SentinelPassword = "main", user, secret.Text(pass)
		}, addrs...)
	}
	s := with("weir", "of the sentinels")
	tr := load(t, s, testserver.Name(t), 30)
	require.NoError(t, tr.ask(t, s, 0, 30, time.Minute).err)
	s = with("weir", "wrong")
	until(t, func() bool {
		x := tr.ask(t, s, 0, 30, 200*time.Millisecond)
		require.Error(t, x.err)
		return feature.KindOf(x.err) == feature.Unauthorized && strings.Contains(x.err.Error(), "redis.sentinel_password")
	}, "the sentinels' answer")
}
