// Package lookup_test measures a lookup inside the server: from the bytes of the
// request to the bytes of the answer, without gRPC's transport.
package lookup_test

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/weir-ml/weir/internal/testserver"
	"github.com/weir-ml/weir/online"
	"github.com/weir-ml/weir/online/memory"
	"github.com/weir-ml/weir/online/onlinetest"
	"github.com/weir-ml/weir/online/redis"
	weirv1 "github.com/weir-ml/weir/proto/weir/v1"
	"github.com/weir-ml/weir/registry"
	"github.com/weir-ml/weir/registry/feature"
	registrymemory "github.com/weir-ml/weir/registry/memory"
	"github.com/weir-ml/weir/serving"
)

const entities = 10_000

// BenchmarkLookup asks for all ten features (or those of three views) of 1, 10
// and 100 entities. cpu-µs/op is this process's CPU time: the figure to compare.
func BenchmarkLookup(b *testing.B) {
	stores := map[string]func(testing.TB) online.Store{
		"memory": func(testing.TB) online.Store { return memory.New(nil) },
		"redis": func(t testing.TB) online.Store {
			cfg := redis.DefaultConfig()
			cfg.Addrs = []string{testserver.Redis(t).Addr}
			cfg.ReadTimeout = 5 * time.Second
			s, err := redis.Open(cfg, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	}
	for _, name := range []string{"memory", "redis"} {
		b.Run(name, func(b *testing.B) {
			f := setup(b, stores[name](b))
			for _, c := range []struct {
				rows    int
				service string
			}{{1, "one"}, {10, "one"}, {10, "three"}, {100, "one"}} {
				features := 10
				if c.service == "three" {
					features = 30
				}
				b.Run(fmt.Sprintf("%dx%d", c.rows, features), func(b *testing.B) { f.run(b, c.service, c.rows) })
			}
		})
	}
}

type fixture struct {
	lookups *serving.Features
	project string
}

func setup(b *testing.B, store online.Store) *fixture {
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(ctx, registrymemory.New(), registry.DefaultConfig(), registry.Checks{}, log, nil)
	require.NoError(b, err)
	b.Cleanup(func() { _ = reg.Close() })
	project := onlinetest.Project(b)
	meta := func(name string) feature.Meta { return feature.Meta{Project: project, Name: name} }
	defs := []feature.Definition{
		&feature.Entity{Meta: meta("customer"), JoinKeys: []feature.Field{{Name: "id", Type: feature.Int64}}},
		&feature.Source{Meta: meta("src"), Topic: "src", EventTime: feature.TimeField{Field: "at"}},
		&feature.Service{Meta: meta("one"), Features: []string{"v0:*"}},
		&feature.Service{Meta: meta("three"), Features: []string{"v0:*", "v1:*", "v2:*"}},
	}
	for n := range 3 {
		v := &feature.View{Meta: meta(fmt.Sprintf("v%d", n)), Source: "src", Entities: []string{"customer"}}
		for i := range 10 {
			v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%d_%d", n, i), Type: feature.Float64})
		}
		defs = append(defs, v)
	}
	p, err := reg.Apply(ctx, registry.Request{Definitions: defs})
	require.NoError(b, err)
	require.Empty(b, p.Faults)
	cat, err := reg.Current(ctx)
	require.NoError(b, err)
	for n := range 3 {
		v, err := cat.View(project, fmt.Sprintf("v%d", n))
		require.NoError(b, err)
		rows := make([]onlinetest.Row, entities)
		for i := range rows {
			rows[i] = onlinetest.Row{Values: []any{int64(i)}, Event: 1, Known: 2, Offset: int64(i)}
			for k := range 10 {
				rows[i].Values = append(rows[i].Values, float64(i*k))
			}
		}
		w := online.NewWriter(v, store, &onlinetest.Table{}, online.Options{})
		require.NoError(b, w.Write(ctx, onlinetest.Batch(v, [16]byte{1}, 0, rows...)))
	}
	cfg := serving.DefaultConfig()
	cfg.Addr = "127.0.0.1:0"
	s, err := serving.NewServer(cfg, log, prometheus.NewRegistry())
	require.NoError(b, err)
	reader := online.NewReader(store, nil, log, nil)
	return &fixture{project: project, lookups: serving.NewFeatures(serving.NewLookups(s, reg, func(svc *feature.Service) (serving.Plan, error) { return reader.Compile(svc) }))}
}

func (f *fixture) run(b *testing.B, service string, rows int) {
	ctx := context.Background()
	ids := make([]int64, rows)
	req := &weirv1.LookupRequest{Project: f.project, What: &weirv1.LookupRequest_Service{Service: service}, IncludeStatuses: true, IncludeEventTimes: true,
		Entities: []*weirv1.EntityColumn{{Name: "id", Values: &weirv1.Values{Kind: &weirv1.Values_Int64S{Int64S: &weirv1.Int64S{Values: ids}}}}}}
	wires := make([][]byte, 256)
	for n := range wires {
		for i := range ids {
			ids[i] = int64((n*31 + i*7) % entities)
		}
		var err error
		wires[n], err = proto.Marshal(req)
		require.NoError(b, err)
	}
	var out []byte
	b.ReportAllocs()
	start := cpu()
	n := 0
	for b.Loop() {
		a, err := f.lookups.Lookup(ctx, wires[n%len(wires)])
		if err != nil {
			b.Fatal(err)
		}
		n++
		out = a.AppendTo(out[:0])
		a.Free()
	}
	used := cpu() - start
	var r weirv1.LookupResponse
	if err := proto.Unmarshal(out, &r); err != nil || r.Partial || int(r.Rows) != rows {
		b.Fatal(err, r.Partial, r.Rows)
	}
	b.ReportMetric(float64(used)/float64(b.N)/1e3, "cpu-µs/op")
}

// cpu is the CPU time of this process, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
