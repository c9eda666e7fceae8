//go:build !race

// The race detector takes memory of its own.

package drift_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/drift"
	"github.com/weir-ml/weir/drift/drifttest"
	"github.com/weir-ml/weir/drift/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// wideView is a view with twenty features of every shape: twelve numbers, four texts of few
// values, three of very many, a bool.
func wideView(name string) *feature.View {
	v := &feature.View{Meta: feature.Meta{Project: "p", Name: name}, Keys: []feature.Field{{Name: "id", Type: feature.String}}}
	for i := range 20 {
		t := feature.Float64
		switch {
		case i >= 19:
			t = feature.Bool
		case i >= 12:
			t = feature.String
		}
		v.Features = append(v.Features, feature.Field{Name: fmt.Sprintf("f%02d", i), Type: t})
	}
	return v
}

func wideBatch(v *feature.View, rows int) *feature.Batch {
	r := rand.New(rand.NewPCG(1, 3))
	b := array.NewRecordBuilder(arrowmemory.DefaultAllocator, v.Schema())
	out := &feature.Batch{View: v, Origin: feature.Origin{TopicID: stream, Next: int64(rows)}}
	for i := range rows {
		out.EventTime, out.Offsets = append(out.EventTime, int64(i)*1000), append(out.Offsets, int64(i))
		b.Field(0).(*array.StringBuilder).Append("k")
		for f := range v.Features {
			switch x := b.Field(f + 1).(type) {
			case *array.Float64Builder:
				x.Append(r.NormFloat64())
			case *array.BooleanBuilder:
				x.Append(i%3 == 0)
			case *array.StringBuilder:
				switch {
				case f < 16:
					x.Append(fmt.Sprint("category ", r.IntN(12)))
				case f < 18:
					x.Append(fmt.Sprintf("%04d %s", r.IntN(1000), strings.Repeat("long", 12)))
				default:
					x.Append(fmt.Sprint("user-", i))
				}
			}
		}
	}
	out.KnownTime = out.EventTime
	out.Rows = b.NewRecordBatch()
	return out
}

// Ten thousand monitored features take less than 512 MiB; here a fifth of them, and of it. Counted are the deltas of a commit that has not landed yet, as
// they are and as the store has them, and those of the rows that came since.
func TestMonitoredFeaturesInMemory(t *testing.T) {
	const views, rows = 100, 4096
	v := wideView("v")
	batch := wideBatch(v, rows)
	before := heap()
	s := memory.New()
	taps := make([]*drift.Tap, views)
	for i := range taps {
		of := wideView(fmt.Sprintf("v%03d", i))
		m := drifttest.Monitor(of, "1h")
		m.View = of.Meta.Name
		m.Meta.Name = "m_" + of.Meta.Name
		taps[i] = drift.NewTap(of, []*feature.Monitor{m}, s, drift.TapOptions{})
		mine := *batch
		mine.View = of
		require.NoError(t, taps[i].Write(bg, &mine))
		c := &feature.Commit{ID: "c-" + of.Meta.Name, Partitions: 1, Advances: []feature.Advance{{
			From: feature.Position{TopicID: stream}, To: feature.Position{TopicID: stream, Next: rows, Commit: "c-" + of.Meta.Name}}}}
		taps[i].Cut(c)
		require.NoError(t, taps[i].Stage(bg, c))
		mine.Origin.First, mine.Origin.Next, mine.Offsets = rows, 2*rows, make([]int64, rows)
		for k := range mine.Offsets {
			mine.Offsets[k] = rows + int64(k)
		}
		require.NoError(t, taps[i].Write(bg, &mine))
		require.Positive(t, taps[i].Buffered())
	}
	used, told := heap()-before, int64(0)
	for _, tap := range taps {
		told += tap.Buffered()
	}
	t.Logf("%d features: %.0f MiB of heap, of which the sinks tell %.0f MiB", views*20, float64(used)/(1<<20), float64(told)/(1<<20))
	require.Less(t, used, int64(512<<20)/5)
	require.Greater(t, told, used/2, "flushes go by what the sinks tell of their memory; the rest is what the store keeps")
	runtime.KeepAlive(s)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}
