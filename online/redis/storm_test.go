package redis_test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/internal/testserver/faultproxy"
	"github.com/weir-ml/weir/online/redis"
	"github.com/weir-ml/weir/registry/feature"
)

// TestMovedStorm has every answer of a cluster's server send the lookup elsewhere, with MOVED and ASK in turns: to nobody, to a server that
// hangs, to itself, or each time to another. Every request ends, nothing is taken for absent, and neither questions nor connections pile up.
func TestMovedStorm(t *testing.T) {
	hung := faultproxy.New(t, testserver.Redis(t).Addr)
	hung.Set(t, faultproxy.Hang)
	for name, to := range map[string]func(self string, n int64) string{
		"nobody":         func(string, int64) string { return "127.0.0.1:1" },
		"one that hangs": func(string, int64) string { return hung.Addr },
		"itself":         func(self string, _ int64) string { return self },
		"many":           func(_ string, n int64) string { return fmt.Sprintf("127.0.0.1:%d", 1+n%1000) },
		"nowhere":        func(string, int64) string { return ":0" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var self atomic.Pointer[string]
			var asked, n atomic.Int64
			server := pretend(t, func(args []string) string {
				switch args[0] {
				case "CLUSTER":
					host, port, _ := net.SplitHostPort(*self.Load())
					return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%s\r\n:%s\r\n", len(host), host, port)
				case "MGET":
					asked.Add(1)
					i := n.Add(1)
					return fmt.Sprintf("-%s 1 %s\r\n", []string{"MOVED", "ASK"}[i%2], to(*self.Load(), i))
				}
				return "+OK\r\n"
			})
			p := faultproxy.New(t, server)
			self.Store(&p.Addr)
			s := usual(t, func(c *redis.Config) { c.Cluster = true }, p.Addr)
			tr := &truth{}
			for i := range 30 {
				tr.keys, tr.want = append(tr.keys, fmt.Sprintf("w:{p/e/%d}:v", i)), append(tr.want, []byte("there"))
			}
			const clients, requests, groups = 8, 25, 10
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					for i := range requests {
						a := tr.ask(t, s, c+i, groups, 50*time.Millisecond)
						if a.took > longest {
							t.Errorf("a request took %s", a.took)
						}
						if a.good != 0 || feature.KindOf(a.err) != feature.Unavailable {
							t.Errorf("%d are answered, with %v", a.good, a.err)
						}
					}
				})
			}
			wg.Wait()
			// Each group is asked for, followed twice, and no further; a connection that was dead costs a question more.
			require.LessOrEqual(t, asked.Load(), int64(clients*requests*groups*4))
			require.LessOrEqual(t, metric(t, s, "weir_redis_redirects_total"), float64(clients*requests*groups*2))
			require.Less(t, p.Dials(), clients*requests, "connections are used again")
			require.LessOrEqual(t, metric(t, s, "weir_redis_in_flight"), 0.0)
			until(t, func() bool { return metric(t, s, "weir_redis_shut") <= 2 }, "servers that are no more to be forgotten")
		})
	}
}
