package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weir-ml/weir/internal/testserver/native"
)

// measureServing asks a weir that serves the filled table, first with the
// embedded Redis, then with a real one where that is installed.
func measureServing(ctx context.Context, r *run) error {
	t, err := r.filled(ctx)
	if err != nil {
		return err
	}
	p, err := r.up(ctx, t.data, "")
	if err != nil {
		return err
	}
	err = r.serve(ctx, t, p, "embedded Redis", "CPU is the whole process, its Redis included")
	if serr := p.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(r.dir, "redis")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	redis, err := native.StartRedis(ctx, dir)
	if errors.Is(err, native.ErrAbsent) {
		fmt.Fprintln(os.Stderr, "  serving with a real Redis is not measured:", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer redis.Stop()
	if p, err = r.up(ctx, t.data, "", "redis.addrs="+redis.Addr); err != nil {
		return err
	}
	// A real Redis is filled by the consumer when it is assigned its partitions.
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if err = t.check(ctx, p, 100); err == nil || time.Since(began) > 30*time.Second || ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		err = r.serve(ctx, t, p, "real Redis", "CPU is Weir's process alone")
	}
	if serr := p.stop(); err == nil {
		err = serr
	}
	return err
}

func (r *run) serve(ctx context.Context, t *filledTable, p *process, store, note string) error {
	for _, s := range []struct{ rows, requests int }{{1, 4000}, {10, 3000}, {100, 1500}} {
		took := make([]float64, 0, s.requests)
		var from float64
		for i := range s.requests + s.requests/10 {
			if i == s.requests/10 { // connections and caches are warm
				from = p.usedCPU()
			}
			req := t.request(i*31, s.rows, numbers)
			req.IncludeEventTimes = false
			began := time.Now()
			a, err := p.features.Lookup(ctx, req)
			if err != nil {
				return err
			}
			if a.Partial || int(a.Rows) != s.rows {
				return fmt.Errorf("lookup: %d of %d rows, partial %v", a.Rows, s.rows, a.Partial)
			}
			if i >= s.requests/10 {
				took = append(took, 1000*time.Since(began).Seconds())
			}
		}
		cpu := p.usedCPU() - from
		slices.Sort(took)
		r.add(Line{What: fmt.Sprintf("lookup of %d x %d features, %s: p50", s.rows, numbers, store), Value: took[len(took)/2], Unit: "ms",
			CPU: cpu / float64(s.requests), CPUUnit: "request", Note: fmt.Sprintf("p99 %s ms; one client over gRPC, one request after another; %s", number(took[len(took)*99/100]), note)})
	}
	return nil
}
