package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// wide is the view of the project's benchmarks: ten float64 and a string.
func wide(project string) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: project, Name: "stats"}, Entities: []string{"customer"},
		Keys: []feature.Field{{Name: "id", Type: feature.String}}}
	for i := range 10 {
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%d", i), Type: feature.Float64})
	}
	v.Features = append(v.Features, feature.Field{Name: "s", Type: feature.String})
	return v
}

func wideRows(v *feature.View, from, to int, at int64) *feature.Batch {
	var rows []onlinetest.Row
	for i := from; i < to; i++ {
		r := onlinetest.Row{Values: []any{fmt.Sprintf("%09d", i)}, Event: at, Known: at + 1_500_000, Offset: int64(i)}
		for k := range 10 {
			r.Values = append(r.Values, float64(i*k))
		}
		rows = append(rows, onlinetest.Row{Values: append(r.Values, "monthly"), Event: r.Event, Known: r.Known, Offset: r.Offset})
	}
	return onlinetest.Batch(v, [16]byte{1}, 0, rows...)
}

// chunks is a table of ready batches whose keys are all distinct.
type chunks []*feature.Batch

func (c chunks) Positions(context.Context, *feature.View) ([]feature.Position, error) {
	return []feature.Position{{TopicID: [16]byte{1}, Next: c[len(c)-1].Origin.Next}}, nil
}

func (c chunks) Newest(_ context.Context, _ *feature.View, fn func(*feature.Batch) error) error {
	for _, b := range c {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

func (c chunks) Since(ctx context.Context, v *feature.View, _ []feature.Position, fn func(*feature.Batch) error) error {
	return c.Newest(ctx, v, fn)
}

// BenchmarkRefill writes 100,000 entities from a table into an empty store.
func BenchmarkRefill(b *testing.B) {
	for _, ttl := range []time.Duration{0, 24 * time.Hour} {
		for _, server := range []string{"miniredis", "redis"} {
			for _, sole := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/ttl=%v/blind=%t", server, ttl > 0, sole), func(b *testing.B) {
					v := wide("p")
					v.TTL = feature.Duration(ttl)
					now := time.Now().UnixMicro()
					var table chunks
					for i := 0; i < 100_000; i += 10_000 {
						table = append(table, wideRows(v, i, i+10_000, now))
					}
					at, _ := table.Positions(context.Background(), v)
					for range b.N {
						b.StopTimer()
						var addr string
						if server == "miniredis" {
							m := miniredis.RunT(b)
							addr = m.Addr()
						} else {
							addr = testserver.OwnRedis(b).Addr
						}
						s := open(b, addr)
						b.StartTimer()
						w := online.NewWriter(v, s, table, online.Options{SoleWriter: sole})
						require.NoError(b, w.Assign(context.Background(), at))
						b.StopTimer()
						b.ReportMetric(memory(b, addr)/100_000, "B/entity")
						b.StartTimer()
					}
					b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/100_000*1e6, "µs/row")
				})
			}
		}
	}
}

// memory is what a Redis holds beyond what an empty one does; 0 where it does not say.
func memory(b *testing.B, addr string) float64 {
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	var used, empty float64
	for line := range strings.Lines(c.Info(context.Background(), "memory").Val()) {
		_, _ = fmt.Sscanf(line, "used_memory:%f", &used)
		_, _ = fmt.Sscanf(line, "used_memory_startup:%f", &empty)
	}
	return used - empty
}

// BenchmarkRebuild compares a store with a table of 100,000 entities, and writes all of them again.
func BenchmarkRebuild(b *testing.B) {
	ctx := context.Background()
	v := wide("p")
	now := time.Now().UnixMicro()
	var table chunks
	for i := 0; i < 100_000; i += 10_000 {
		table = append(table, wideRows(v, i, i+10_000, now))
	}
	at, _ := table.Positions(ctx, v)
	s := open(b, testserver.OwnRedis(b).Addr)
	require.NoError(b, online.NewWriter(v, s, table, online.Options{}).Assign(ctx, at))
	report := func(b *testing.B) {
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/100_000*1e6, "µs/row")
	}
	for _, strangers := range []bool{false, true} {
		b.Run(fmt.Sprintf("check/strangers=%t", strangers), func(b *testing.B) {
			for range b.N {
				r, err := online.Check(ctx, online.CheckConfig{View: v, Store: s, At: at, Strangers: strangers,
					Newest: func(fn func(*feature.Batch) error) error { return table.Newest(ctx, v, fn) }}, func(f online.CheckFault) { b.Errorf("%+v", f) })
				require.NoError(b, err)
				require.EqualValues(b, 100_000, r.Equal)
			}
			report(b)
		})
	}
	for _, keep := range []bool{true, false} {
		b.Run(fmt.Sprintf("materialize/prune=%t", !keep), func(b *testing.B) {
			for range b.N {
				r, err := online.Materialize(ctx, online.MaterializeConfig{View: v, Store: s, NoPrune: keep,
					Pin: func(context.Context, int64) (*online.Pinned, error) {
						return &online.Pinned{Snapshot: 1, At: at, Newest: func(ctx context.Context, _ online.NewestPart, fn func(*feature.Batch) error) error {
							return table.Newest(ctx, v, fn)
						}}, nil
					}})
				require.NoError(b, err)
				require.EqualValues(b, 100_000, r.Stored)
			}
			report(b)
		})
	}
}
