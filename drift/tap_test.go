package drift_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// Three workers, one of them killed with work cut and staged, and the rebalance
// that follows, count what one worker counts.
func TestThreeWorkersEqualOne(t *testing.T) {
	const partitions, perPartition, seed = 6, 4000, 99
	r := rand.New(rand.NewPCG(seed, 1))
	v := drifttest.View()
	m := drifttest.Monitor(v, "1h")
	logs := make([][]drifttest.Event, partitions)
	for p := range logs {
		for i := range perPartition {
			logs[p] = append(logs[p], drifttest.Event{Time: int64(i) * hour / 1000, Num: r.NormFloat64(), Null: i%50 == 0, Cat: fmt.Sprint(r.IntN(6)), Deleted: i%97 == 0})
		}
	}
	type worker struct {
		tap *drift.Tap
		at  map[int32]feature.Position
	}
	commits := 0
	table := map[int32]feature.Position{}
	start := func(s drift.Store, parts ...int32) *worker {
		w := &worker{drift.NewTap(v, []*feature.Monitor{m}, s, drift.TapOptions{}), map[int32]feature.Position{}}
		for _, p := range parts {
			pos, ok := table[p]
			if !ok {
				pos = feature.Position{TopicID: stream, Partition: p}
			}
			w.at[p] = pos
			require.NoError(t, w.tap.Assign(bg, []feature.Position{pos}))
		}
		return w
	}
	// write takes each partition up to the offset; how far the commit comes is up to the caller.
	write := func(w *worker, to int64) *feature.Commit {
		commits++
		c := &feature.Commit{ID: fmt.Sprint("c", commits), View: v, Partitions: partitions}
		var wg sync.WaitGroup
		for p, from := range w.at {
			wg.Add(1)
			go func() { // partitions are written in parallel
				defer wg.Done()
				for at := from.Next; at < to; at += 500 {
					b := drifttest.Batch(v, stream, p, at, logs[p][at:min(at+500, to)])
					if err := w.tap.Write(bg, b); err != nil {
						t.Error(err)
					}
				}
			}()
			next := from
			next.Next, next.Commit = to, c.ID
			c.Advances = append(c.Advances, feature.Advance{From: from, To: next, Drained: to == perPartition})
		}
		wg.Wait()
		require.Positive(t, w.tap.Buffered())
		w.tap.Cut(c)
		return c
	}
	land := func(w *worker, c *feature.Commit, settle bool) {
		require.NoError(t, w.tap.Stage(bg, c))
		for _, a := range c.Advances {
			table[a.To.Partition] = a.To
			w.at[a.To.Partition] = a.To
		}
		if settle {
			require.NoError(t, w.tap.Settle(bg, c))
			require.Zero(t, w.tap.Buffered())
		}
	}

	three := memory.New()
	a, b, c := start(three, 0, 1), start(three, 2, 3), start(three, 4, 5)
	for _, w := range []*worker{a, b, c} {
		land(w, write(w, 1000), true)
	}
	land(a, write(a, 2000), true)
	land(b, write(b, 2000), false) // killed after the table took it, before it settled
	dead := write(c, 2000)         // killed after it staged, before the table took it
	require.NoError(t, c.tap.Stage(bg, dead))
	a.tap.Revoke([]feature.Position{a.at[1]})
	delete(a.at, 1)
	d := start(three, 1, 3, 5)
	e := start(three, 2, 4)
	for _, w := range []*worker{d, a, e} {
		land(w, write(w, 3000), true)
		land(w, write(w, perPartition), true)
	}

	clear(table)
	single := memory.New()
	one := start(single, 0, 1, 2, 3, 4, 5)
	land(one, write(one, perPartition), true)

	got, err := three.Windows(bg, drift.WindowQuery{Profiles: true})
	require.NoError(t, err)
	want, err := single.Windows(bg, drift.WindowQuery{Profiles: true})
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].Rows, got[i].Rows)
		require.Zero(t, got[i].Late)
		for _, f := range want[i].Profile.Features {
			g := got[i].Profile.Sketch(f.Name)
			require.Equal(t, [3]int64{f.Count, f.Nulls, f.Odd}, [3]int64{g.Count, g.Nulls, g.Odd}, f.Name)
			switch f.Shape {
			case drift.Categories:
				wc, _ := f.Categories()
				gc, _ := g.Categories()
				require.Equal(t, wc, gc)
			case drift.Numbers:
				wm, _ := f.Moments()
				gm, _ := g.Moments()
				require.Equal(t, [2]float64{wm.Min, wm.Max}, [2]float64{gm.Min, gm.Max})
				require.InDelta(t, wm.Mean, gm.Mean, 1e-9)
				require.InDelta(t, wm.Variance, gm.Variance, 1e-9)
				for _, q := range []float64{.1, .5, .9} {
					x, _ := f.Quantile(q)
					y, _ := g.Quantile(q)
					require.InDelta(t, x, y, 0.3, "%s at %v", f.Name, q)
				}
			}
		}
	}
}

// A view without monitors asks nothing of the store, but what it learns of its
// partitions is there when the first monitor comes.
func TestTapWithoutMonitors(t *testing.T) {
	v := drifttest.View()
	s := memory.New()
	calls := &counting{Store: s}
	tap := drift.NewTap(v, nil, calls, drift.TapOptions{})
	pos := func(p int32, next int64, commit string) feature.Position {
		return feature.Position{TopicID: stream, Partition: p, Next: next, Commit: commit}
	}
	commit := func(id string, advances ...feature.Advance) {
		c := &feature.Commit{ID: id, View: v, Partitions: 3, Advances: advances}
		tap.Cut(c)
		require.NoError(t, tap.Stage(bg, c))
		require.NoError(t, tap.Settle(bg, c))
	}
	require.NoError(t, tap.Assign(bg, []feature.Position{pos(0, 0, ""), pos(1, 0, ""), pos(2, 9, "x")}))
	require.NoError(t, tap.Write(bg, drifttest.Batch(v, stream, 0, 0, []drifttest.Event{{Time: 5}, {Time: 77}, {Time: 99, Deleted: true}})))
	commit("a", feature.Advance{From: pos(0, 0, ""), To: pos(0, 3, "a")}, feature.Advance{From: pos(1, 0, ""), To: pos(1, 0, "a"), Drained: true})
	require.Zero(t, calls.n)
	require.Zero(t, tap.Buffered())

	tap.SetMonitors([]*feature.Monitor{drifttest.Monitor(v, "1h"), {ViewOf: &feature.View{Meta: feature.Meta{Project: "p", Name: "another"}}}})
	require.NoError(t, tap.Write(bg, drifttest.Batch(v, stream, 0, 3, []drifttest.Event{{Time: 44, Num: 1, Cat: "x"}})))
	require.Positive(t, tap.Buffered())
	commit("b", feature.Advance{From: pos(0, 3, "a"), To: pos(0, 4, "b")})
	require.Equal(t, 2, calls.n)
	all, err := s.Progress(bg, "p/v")
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, []any{int64(77), true, false, int64(4)}, []any{all[0].MaxEvent, all[0].Any, all[0].Drained, all[0].Next})
	require.Equal(t, []any{false, true, int64(0)}, []any{all[1].Any, all[1].Drained, all[1].Next})
	require.Equal(t, []any{false, true, int64(9)}, []any{all[2].Any, all[2].Drained, all[2].Next})
	w, err := s.Windows(bg, drift.WindowQuery{})
	require.NoError(t, err)
	require.Len(t, w, 1)
	require.Equal(t, int64(1), w[0].Rows)
}

type counting struct {
	drift.Store
	n int
}

func (c *counting) Stage(ctx context.Context, s *drift.Staged) error {
	c.n++
	return c.Store.Stage(ctx, s)
}

func (c *counting) Assign(ctx context.Context, v string, at []feature.Position, now time.Time) error {
	c.n++
	return c.Store.Assign(ctx, v, at, now)
}

func (c *counting) Settle(ctx context.Context, id string, now time.Time) (bool, error) {
	c.n++
	return c.Store.Settle(ctx, id, now)
}

// A commit whose outcome nobody knew has landed, and the store took it for
// dead: the Tap that is assigned the partition again still has it.
func TestTapKeepsWhatTheStoreLost(t *testing.T) {
	v := drifttest.View()
	s := memory.New()
	tap := drift.NewTap(v, []*feature.Monitor{drifttest.Monitor(v, "1h")}, s, drift.TapOptions{})
	from := feature.Position{TopicID: stream}
	require.NoError(t, tap.Assign(bg, []feature.Position{from}))
	require.NoError(t, tap.Write(bg, drifttest.Batch(v, stream, 0, 0, []drifttest.Event{{Time: 5, Num: 1}})))
	to := from
	to.Next, to.Commit = 1, "c"
	c := &feature.Commit{ID: "c", View: v, Partitions: 1, Advances: []feature.Advance{{From: from, To: to}}}
	tap.Cut(c)
	require.NoError(t, tap.Stage(bg, c))
	require.NoError(t, s.Drop(bg, []string{"c"}))
	require.NoError(t, tap.Assign(bg, []feature.Position{to}))
	require.Zero(t, tap.Buffered())
	require.NoError(t, tap.Settle(bg, c))
	w, err := s.Windows(bg, drift.WindowQuery{})
	require.NoError(t, err)
	require.Equal(t, int64(1), w[0].Rows)
}

func BenchmarkTap(b *testing.B) {
	const rows = 8192
	r := rand.New(rand.NewPCG(1, 1))
	for _, kind := range []string{"float64", "string", "none"} {
		for _, n := range []int{5, 20} {
			v := &feature.View{Meta: feature.Meta{Project: "p", Name: "v"}, Keys: []feature.Field{{Name: "id", Type: feature.String}}}
			for i := range n {
				t := feature.Float64
				if kind == "string" {
					t = feature.String
				}
				v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%02d", i), Type: t})
			}
			var monitors []*feature.Monitor
			if kind != "none" {
				monitors = append(monitors, drifttest.Monitor(v, "1h"))
			}
			batch := benchBatch(v, r, rows)
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				tap := drift.NewTap(v, monitors, memory.New(), drift.TapOptions{})
				next := int64(0)
				b.ReportAllocs()
				from := usedCPU()
				for b.Loop() {
					batch.Origin.First, batch.Origin.Next = next, next+rows
					for i := range batch.Offsets {
						batch.Offsets[i] = next + int64(i)
					}
					next += rows
					_ = tap.Write(bg, batch)
				}
				used := (usedCPU() - from) / float64(b.N) / rows * 1e9
				b.ReportMetric(used, "CPU-ns/row")
				if n := len(v.Features); kind != "none" {
					b.ReportMetric(used/float64(n), "CPU-ns/value")
				}
			})
		}
	}
}

// usedCPU is what this process has used, in seconds.
func usedCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func benchBatch(v *feature.View, r *rand.Rand, rows int) *feature.Batch {
	b := array.NewRecordBuilder(arrowmemory.DefaultAllocator, v.Schema())
	out := &feature.Batch{View: v, Origin: feature.Origin{TopicID: stream}, Offsets: make([]int64, rows)}
	for i := range rows {
		out.EventTime = append(out.EventTime, int64(i)*1000)
		b.Field(0).(*array.StringBuilder).Append("k")
		for f := range v.Features {
			switch x := b.Field(f + 1).(type) {
			case *array.Float64Builder:
				x.Append(r.NormFloat64())
			case *array.StringBuilder:
				x.Append(fmt.Sprintf("category %d", r.IntN(12)))
			}
		}
	}
	out.KnownTime = out.EventTime
	out.Rows = b.NewRecordBatch()
	return out
}
