package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkGet looks 1, 10 and 100 keys up, through the store and through the common client; cpu is this
// process' own, with the client's side of the kernel.
func BenchmarkGet(b *testing.B) {
	ctx := context.Background()
	addr := testserver.OwnRedis(b).Addr
	s := open(b, addr)
	c := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, ContextTimeoutEnabled: true})
	b.Cleanup(func() { _ = c.Close() })
	keys := make([]string, 100)
	var rows []online.Row
	for i := range keys {
		v, err := online.Value(&online.Schema{Fields: []feature.Field{{Name: "note", Type: feature.String}}}, feature.Stamp{Event: 5, Known: 5}, string(make([]byte, 85)))
		require.NoError(b, err)
		keys[i] = fmt.Sprintf("w:{project/customer/%09d}:stats", i)
		rows = append(rows, online.Row{Key: keys[i], Value: v})
	}
	_, err := s.Put(ctx, rows, nil)
	require.NoError(b, err)
	for _, n := range []int{1, 10, 100} {
		for name, get := range map[string]func(context.Context, *testing.B, [][]byte, []bool){
			"store": func(ctx context.Context, b *testing.B, vals [][]byte, failed []bool) {
				if err := s.Get(ctx, keys[:n], vals, failed); err != nil || vals[n-1] == nil {
					b.Error(err)
				}
			},
			"client": func(ctx context.Context, b *testing.B, _ [][]byte, _ []bool) {
				if _, err := c.MGet(ctx, keys[:n]...).Result(); err != nil {
					b.Error(err)
				}
			},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(8)
				before := cpuTime()
				b.RunParallel(func(pb *testing.PB) {
					vals, failed := make([][]byte, n), make([]bool, n)
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					for pb.Next() {
						get(ctx, b, vals, failed)
					}
				})
				b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
			})
		}
	}
}

// BenchmarkFront is what the options of online.InFront cost and give: requests for 10 of 10,000 keys, drawn evenly
// or nearly always among 10 of them.
func BenchmarkFront(b *testing.B) {
	ctx := context.Background()
	s := open(b, testserver.OwnRedis(b).Addr)
	tr := load(b, s, "bench", 10_000)
	for name, change := range map[string]func(*online.Config){
		"off":      func(*online.Config) {},
		"coalesce": func(c *online.Config) { c.Coalesce = true },
		"stale":    func(c *online.Config) { c.StaleFor = time.Hour },
		"cache":    func(c *online.Config) { c.CacheTTL = time.Second },
	} {
		for _, hot := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/hot=%t", name, hot), func(b *testing.B) {
				cfg := online.DefaultConfig()
				change(&cfg)
				f := online.InFront(s, cfg, nil, prometheus.NewRegistry())
				b.ReportAllocs()
				b.SetParallelism(16)
				before := cpuTime()
				b.RunParallel(func(pb *testing.PB) {
					keys, vals, failed := make([]string, 10), make([][]byte, 10), make([]bool, 10)
					for pb.Next() {
						for i := range keys {
							if hot {
								keys[i] = tr.keys[i]
							} else {
								keys[i] = tr.keys[rand.IntN(len(tr.keys))]
							}
						}
						clear(vals)
						if err := f.Get(ctx, keys, vals, failed); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
			})
		}
	}
}

// cpuTime is what this process has used, with the client's side of the kernel.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
