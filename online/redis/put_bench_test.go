package redis_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/registry/feature"
)

// benchRows are rows of 110 bytes whose times are a second apart.
func benchRows(b *testing.B, n int, at int64, expire time.Duration) []online.Row {
	s := &online.Schema{ID: 1}
	vals := make([]any, 0, 11)
	for i := range 10 {
		s.Fields = append(s.Fields, feature.Field{Name: fmt.Sprintf("f%d", i), Type: feature.Float64})
		vals = append(vals, float64(i))
	}
	rows := make([]online.Row, n)
	for i := range rows {
		v, err := online.Value(s, feature.Stamp{Event: at + int64(i)*1000, Known: at + int64(i)*1000 + 1_500_000, Offset: int64(i)}, vals...)
		require.NoError(b, err)
		rows[i] = online.Row{Key: fmt.Sprintf("w:{p/customer/%09d}:stats", i), Value: v, Expire: expire}
	}
	return rows
}

// BenchmarkPut writes batches of 10,000 rows, each newer than the last, or (late) all older than what is there.
// miniredis is in this process, so its client's share is in its figure.
func BenchmarkPut(b *testing.B) {
	for _, server := range []string{"redis", "cluster", "miniredis"} {
		for _, expire := range []time.Duration{0, 24 * time.Hour} {
			for _, kind := range []string{"newer", "late"} {
				b.Run(fmt.Sprintf("%s/ttl=%t/%s", server, expire > 0, kind), func(b *testing.B) {
					ctx := context.Background()
					const n, at = 10_000, int64(1_700_000_000_000_000)
					var addrs []string
					switch server {
					case "miniredis":
						addrs = []string{miniredis.RunT(b).Addr()}
					case "redis":
						addrs = []string{testserver.OwnRedis(b).Addr}
					default:
						addrs = cluster(b)
					}
					s := open(b, addrs...)
					var batches [][]online.Row
					for i := range 8 {
						batches = append(batches, benchRows(b, n, at+int64(i)*1_000_000, expire))
					}
					if kind == "late" {
						_, err := s.Put(ctx, benchRows(b, n, at+100_000_000, expire), nil)
						require.NoError(b, err)
					}
					cpu, ours := serverCPU(b, addrs), ownCPU(b)
					b.ResetTimer()
					for i := range b.N {
						if i%len(batches) == 0 && i > 0 && kind == "newer" {
							b.StopTimer()
							_, err := s.Remove(ctx, batches[len(batches)-1])
							require.NoError(b, err)
							b.StartTimer()
						}
						r, err := s.Put(ctx, batches[i%len(batches)], &online.Advance{View: "p/stats", Next: int64(i + 1)})
						require.NoError(b, err)
						require.Equal(b, map[string]int{"newer": n, "late": 0}[kind], r.Stored)
					}
					b.StopTimer()
					rows := float64(b.N) * n
					b.ReportMetric((serverCPU(b, addrs)-cpu)/rows*1e6, "server-µs/row")
					b.ReportMetric((ownCPU(b)-ours)/rows*1e6, "client-µs/row")
					b.ReportMetric(b.Elapsed().Seconds()/rows*1e6, "µs/row")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

// serverCPU is the CPU seconds servers have used; 0 where they do not say.
func serverCPU(b *testing.B, addrs []string) (sum float64) {
	for _, a := range addrs {
		c := goredis.NewClient(&goredis.Options{Addr: a})
		for line := range strings.Lines(c.Info(context.Background(), "cpu").Val()) {
			var x float64
			for _, f := range []string{"used_cpu_user", "used_cpu_sys"} {
				if n, _ := fmt.Sscanf(line, f+":%f", &x); n == 1 {
					sum += x
				}
			}
		}
		_ = c.Close()
	}
	return sum
}

func ownCPU(b *testing.B) float64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}
