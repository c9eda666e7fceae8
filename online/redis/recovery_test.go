package redis_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/faultproxy"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/redis"
)

// clock measures how long lookups go on failing once the server they need serves. It is a figure in the log; on a machine that has nothing else to
// do, and with WEIR_TEST_DEADLINES=1, more than a second is a fault.
func clock(t *testing.T, tr *truth, s online.Store, n int, what string) {
	t.Helper()
	start, failed := time.Now(), 0
	until(t, func() bool {
		ok := tr.ask(t, s, 0, n, 100*time.Millisecond).err == nil
		if !ok {
			failed++
		}
		return ok
	}, what)
	took := time.Since(start)
	t.Logf("recovery: %s: answered %s after it served again, after %d failed lookups", what, took.Round(time.Millisecond), failed)
	if os.Getenv("WEIR_TEST_DEADLINES") != "" {
		require.Less(t, took, time.Second, what)
	}
}

// usual is a store with the settings that hold by default.
func usual(t *testing.T, change func(*redis.Config), addrs ...string) *redis.Store {
	d := redis.DefaultConfig()
	return impatient(t, nil, func(c *redis.Config) {
		c.ReadTimeout, c.ProbeInterval = d.ReadTimeout, d.ProbeInterval
		if change != nil {
			change(c)
		}
	}, addrs...)
}

// TestRecovery measures how soon one server is found again.
func TestRecovery(t *testing.T) {
	addr := testserver.Redis(t).Addr
	tr := load(t, open(t, addr), testserver.Name(t), 300)
	for _, f := range []faultproxy.Fault{faultproxy.Hang, faultproxy.Mute, faultproxy.Reset, faultproxy.HalfClose, faultproxy.Refuse} {
		t.Run(f.String(), func(t *testing.T) {
			p := faultproxy.New(t, addr)
			s := usual(t, nil, p.Addr)
			until(t, func() bool { return tr.ask(t, s, 0, 100, time.Minute).err == nil }, "the server")
			p.Set(t, f)
			until(t, func() bool {
				tr.ask(t, s, 0, 100, 20*time.Millisecond)
				return metric(t, s, "weir_redis_shut") == 1
			}, "the server to be given up")
			p.Set(t, faultproxy.Pass)
			clock(t, tr, s, 100, f.String())
		})
	}
}
