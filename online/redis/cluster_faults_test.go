package redis_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// TestClusterFaults has one cluster lose a server, move slots and fail over while it is asked.
func TestClusterFaults(t *testing.T) {
	ctx := context.Background()
	servers := clusterServers(t)
	s := impatient(t, nil, nil, servers[0].Addr, servers[1].Addr) // the third is found
	tr := load(t, s, testserver.Name(t), 600)
	require.NoError(t, tr.ask(t, s, 0, 600, time.Minute).err)
	ids := make([]string, 3)
	for i, x := range servers {
		ids[i] = client(t, x.Addr).Do(ctx, "cluster", "myid").Val().(string)
	}

	t.Run("a user with the rights of the manual", func(t *testing.T) {
		for _, x := range servers {
			require.NoError(t, client(t, x.Addr).Do(ctx, append([]any{"acl", "setuser", "weir", "on", ">secret", "~w:*"}, rights...)...).Err())
		}
		s := impatient(t, nil, withUser("weir", "secret"), servers[0].Addr, servers[1].Addr)
		require.NoError(t, tr.ask(t, s, 0, 600, time.Minute).err)
		_, err := s.Put(ctx, []online.Row{{Key: tr.keys[1], Value: tr.want[1]}}, advance)
		require.NoError(t, err)
		n := 0
		require.NoError(t, s.Scan(ctx, spanOf(tr), func(keys []string, _ [][]byte) error { n += len(keys); return nil }))
		require.GreaterOrEqual(t, n, 400)
		_, err = s.Marks(ctx, "p/v")
		require.NoError(t, err)
	})

	t.Run("a hung server takes only its own keys along", func(t *testing.T) {
		servers[1].Pause(t)
		defer servers[1].Resume(t)
		until(t, func() bool {
			a := tr.ask(t, s, 0, 600, 100*time.Millisecond)
			require.Less(t, a.took, longest+50*time.Millisecond)
			require.Greater(t, a.failed, 100)
			require.Equal(t, feature.Unavailable, feature.KindOf(a.err))
			return metric(t, s, "weir_redis_shut", servers[1].Addr) == 1
		}, "the server to be given up")
		until(t, func() bool { return metric(t, s, "weir_redis_shut") == 1 }, "the others, which may have been too slow too")
		for range 20 { // nobody waits for it any more, and the others answer everything
			a := tr.ask(t, s, 0, 600, time.Minute)
			require.Greater(t, a.failed, 100)
			require.Less(t, a.failed, 300, "a third of the keys")
			require.ErrorContains(t, a.err, servers[1].Addr)
			require.ErrorContains(t, a.err, "not asked")
		}
		require.NoError(t, s.Ping(ctx), "what is left can be looked up")
		servers[1].Resume(t)
		until(t, func() bool { return tr.ask(t, s, 0, 600, time.Minute).err == nil }, "the server to be found again")
	})

	// under has lookups go on while f runs.
	under := func(t *testing.T, f func()) (asked, failed int64) {
		var stop atomic.Bool
		var a, b atomic.Int64
		var wg sync.WaitGroup
		for c := range 3 {
			wg.Go(func() {
				for i := 0; !stop.Load() && !t.Failed(); i++ {
					x := tr.ask(t, s, c*200+i, []int{1, 10, 200}[i%3], 5*time.Second)
					a.Add(int64(x.good + x.failed))
					b.Add(int64(x.failed))
				}
			})
		}
		defer wg.Wait()
		defer stop.Store(true)
		f()
		stop.Store(true)
		wg.Wait()
		return a.Load(), b.Load()
	}

	t.Run("slots move while they are read", func(t *testing.T) {
		from, to := client(t, servers[0].Addr), client(t, servers[2].Addr)
		host, port, _ := net.SplitHostPort(servers[2].Addr)
		moved := 0
		asked, failed := under(t, func() {
			for slot := 0; slot < 5461 && moved < 60; slot++ {
				keys := from.Do(ctx, "cluster", "getkeysinslot", slot, 100).Val().([]any)
				if len(keys) == 0 {
					continue
				}
				require.NoError(t, to.Do(ctx, "cluster", "setslot", slot, "importing", ids[0]).Err())
				require.NoError(t, from.Do(ctx, "cluster", "setslot", slot, "migrating", ids[2]).Err())
				for _, k := range keys {
					require.NoError(t, from.Do(ctx, "migrate", host, port, k, 0, 5000).Err())
					moved++
				}
				for _, c := range []*goredis.Client{to, from, client(t, servers[1].Addr)} {
					require.NoError(t, c.Do(ctx, "cluster", "setslot", slot, "node", ids[2]).Err())
				}
			}
		})
		require.GreaterOrEqual(t, moved, 60)
		t.Logf("%d keys moved; of %d values asked for meanwhile %d failed", moved, asked, failed)
		require.Less(t, failed, asked/20, "a redirect is followed")
		until(t, func() bool { return tr.ask(t, s, 0, 600, time.Minute).err == nil }, "the others")
	})

	t.Run("a replica takes over", func(t *testing.T) {
		replica := clusterServer(t)
		r := client(t, replica.Addr)
		meet(t, r, servers[2].Addr)
		require.Eventually(t, func() bool { return r.Do(ctx, "cluster", "replicate", ids[2]).Err() == nil }, 30*time.Second, 10*time.Millisecond)
		require.Eventually(t, func() bool {
			return strings.Contains(r.Info(ctx, "replication").Val(), "master_link_status:up")
		}, 30*time.Second, 10*time.Millisecond)
		_, err := s.Put(ctx, []online.Row{{Key: tr.keys[1], Value: tr.want[1]}}, nil)
		require.NoError(t, err)
		master := client(t, servers[2].Addr)
		require.Eventually(t, func() bool { return master.Wait(ctx, 1, time.Second).Val() == 1 }, 30*time.Second, 10*time.Millisecond)
		_, failed := under(t, func() {
			servers[2].Kill(t)
			until(t, func() bool { return tr.ask(t, s, 0, 600, 5*time.Second).err != nil }, "the others")
			require.NoError(t, r.Do(ctx, "cluster", "failover", "takeover").Err())
			clock(t, tr, s, 600, "a replica that takes over")
		})
		require.Positive(t, failed)
	})
}
