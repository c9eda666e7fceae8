package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// A server that comes back empty, or a copy that took over too early, says of every key that it is not there. Lookups
// know better until the rows have been written again, also the lookups of a process that has only just begun.
func TestLostRowsAreNotAbsent(t *testing.T) {
	ctx := context.Background()
	srv := testserver.OwnRedis(t)
	var said lines
	s := impatient(t, said.log(), nil, srv.Addr)
	v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
	topic := [16]byte{1}
	w := online.NewWriter(v, s, table, online.Options{})
	require.NoError(t, w.Assign(ctx, []feature.Position{{TopicID: topic}}))
	settle := func(next int64) {
		require.NoError(t, w.Settle(ctx, &feature.Commit{View: v, Advances: []feature.Advance{{To: feature.Position{TopicID: topic, Next: next}}}}))
	}
	table.Append(texts(v, 0, 500, now))
	require.NoError(t, w.Write(ctx, texts(v, 0, 500, now)))
	settle(500)

	key := func(i int) string { return fmt.Sprintf("w:{p/customer/k%d}:v", i) }
	// look tells what becomes of a key that was written and of one that never was.
	look := func(s online.Store) (written, never string) {
		vals, failed := make([][]byte, 2), make([]bool, 2)
		err := s.(online.Careful).Lookups().Get(ctx, []string{key(7), key(1_000_000)}, vals, failed)
		for i, out := range []*string{&written, &never} {
			switch {
			case failed[i]:
				require.Equal(t, feature.Unavailable, feature.KindOf(err), "%v", err)
				*out = "failed"
			case vals[i] == nil:
				*out = "absent"
			default:
				*out = "there"
			}
		}
		return written, never
	}
	is := func(s online.Store, written, never string) {
		t.Helper()
		a, b := look(s)
		require.Equal(t, written, a)
		require.Equal(t, never, b)
	}
	is(s, "there", "absent")

	srv.Kill(t)
	srv.Start(t)
	until(t, func() bool { return s.Ping(ctx) == nil }, "the rows to be written again")
	is(s, "failed", "failed")
	require.True(t, said.has("has lost rows"))
	kinds, _ := check(t, checkConfig(t, v, s, table))
	require.Equal(t, map[online.CheckKind]int{online.Missing: 500}, kinds, "a comparison sees what is there")

	// New rows come before the worker has mended the old ones.
	table.Append(texts(v, 500, 510, now))
	require.NoError(t, w.Write(ctx, texts(v, 500, 510, now)))
	is(s, "failed", "failed")
	young := impatient(t, nil, nil, srv.Addr)
	is(young, "failed", "failed")

	settle(510)
	until(t, func() bool { a, _ := look(s); b, _ := look(young); return a == "there" && b == "there" }, "the rows to be written again")
	until(t, func() bool { _, a := look(s); _, b := look(young); return a == "absent" && b == "absent" }, "the rows to be written again")
	is(s, "there", "absent")

	// Another worker takes the partition over and goes back to where the table stands: nothing is lost by that.
	require.NoError(t, w.Write(ctx, texts(v, 510, 520, now)))
	require.NoError(t, online.NewWriter(v, s, table, online.Options{}).Assign(ctx, []feature.Position{{TopicID: topic, Next: 510}}))
	third := impatient(t, nil, nil, srv.Addr)
	is(third, "there", "absent")
	is(s, "there", "absent")
}

// A server of a cluster that comes back empty makes failures of its own keys only.
func TestLostShardIsNotAbsent(t *testing.T) {
	ctx := context.Background()
	servers := clusterServers(t)
	var addrs []string
	for _, x := range servers {
		addrs = append(addrs, x.Addr)
	}
	s := impatient(t, nil, nil, addrs...)
	v, table, now := onlinetest.View("p", "v", 0), &onlinetest.Table{}, time.Now().UnixMicro()
	topic := [16]byte{1}
	w := online.NewWriter(v, s, table, online.Options{})
	require.NoError(t, w.Assign(ctx, []feature.Position{{TopicID: topic}}))
	table.Append(texts(v, 0, 300, now))
	require.NoError(t, w.Write(ctx, texts(v, 0, 300, now)))
	settle := func() error {
		return w.Settle(ctx, &feature.Commit{View: v, Advances: []feature.Advance{{To: feature.Position{TopicID: topic, Next: 300}}}})
	}
	require.NoError(t, settle())
	keys := make([]string, 600) // the second half was never written
	for i := range keys {
		keys[i] = fmt.Sprintf("w:{p/customer/k%d}:v", i)
	}
	look := func() (there, absent, failures int) {
		vals, failed := make([][]byte, len(keys)), make([]bool, len(keys))
		_ = s.Lookups().Get(ctx, keys, vals, failed)
		for i := range keys {
			switch {
			case failed[i]:
				failures++
			case vals[i] != nil:
				there++
			default:
				absent++
				require.GreaterOrEqual(t, i, 300, "%s was written and is answered as absent", keys[i])
			}
		}
		return there, absent, failures
	}
	there, absent, _ := look()
	require.Equal(t, 300, there)
	require.Equal(t, 300, absent)
	servers[1].Kill(t)
	servers[1].Start(t)
	until(t, func() bool {
		there, _, _ := look()
		return there > 100 && s.Ping(ctx) == nil && metric(t, s, "weir_redis_shut") == 0
	}, "the cluster")
	until(t, func() bool {
		_, absent, failures := look()
		require.Positive(t, failures)
		return absent > 100
	}, "the others")
	until(t, func() bool { return settle() == nil }, "the worker")
	until(t, func() bool { there, absent, _ := look(); return there == 300 && absent == 300 }, "the rows to be written again")
}
