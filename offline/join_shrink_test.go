package offline_test

import (
	"context"
	"go/parser"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestShrink breaks the join in ways that a mistake in it might, and asks of the
// worlds that find it out that they become as small as the mistake is.
func TestShrink(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name  string
		o     jointest.Options
		facts int // of the smallest world
		ok    func(w *jointest.World) bool
	}{
		{"a tie the wrong way round", jointest.Options{Sabotage: func(f *jointest.Fact) { f.Offset = 1_000_000 - f.Offset }}, 2, func(w *jointest.World) bool {
			a, b := w.Views[0].Facts[0], w.Views[0].Facts[1]
			return a.Known == b.Known && a.Partition == b.Partition && a.Offset != b.Offset
		}},
		{"partitions the wrong way round", jointest.Options{Sabotage: func(f *jointest.Fact) { f.Partition = 5 - f.Partition }}, 2, func(w *jointest.World) bool {
			a, b := w.Views[0].Facts[0], w.Views[0].Facts[1]
			return a.Partition != b.Partition
		}},
		{"seen a microsecond late", jointest.Options{Sabotage: func(f *jointest.Fact) { f.Known++; f.Event++ }}, 1, func(w *jointest.World) bool {
			// or alive for too long
			v := w.Views[0]
			return w.Spine[0].Time == v.Facts[0].Known || v.TTL <= 2 && w.Spine[0].Time == v.Facts[0].Known+v.TTL+1
		}},
		{"expired a microsecond early", jointest.Options{Request: func(r *offline.JoinRequest) {
			s := *r.Service
			s.Views = nil
			for _, v := range r.Service.Views {
				shorter := *v
				shorter.TTL = min(v.TTL, max(v.TTL-1000, 1000)) // 0 would be for ever
				s.Views = append(s.Views, &shorter)
			}
			r.Service = &s
		}}, 1, func(w *jointest.World) bool { return w.Views[0].TTL == 2 }},
		{"a tombstone that hides nothing", jointest.Options{Sabotage: func(f *jointest.Fact) {
			if f.Dead {
				f.Known, f.Event = feature.MaxTime, feature.MaxTime
			}
		}}, 2, func(w *jointest.World) bool { return w.Views[0].Facts[0].Dead != w.Views[0].Facts[1].Dead }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fails := func(w *jointest.World) bool { return w.Check(ctx, c.o) != nil }
			found := 0
			for seed := uint64(1); found < offline.Fewer(3); seed++ {
				require.Less(t, seed, uint64(500), "nobody notices")
				w := jointest.Random(rand.New(rand.NewPCG(seed, 2)), jointest.Usual())
				if w.Way.Writer = false; !fails(w) { // sabotaged coordinates are none that a Writer takes
					continue
				}
				found++
				require.NoError(t, w.Check(ctx, jointest.Options{}), "seed %d", seed)
				small := jointest.Shrink(w, fails)
				require.True(t, fails(small))
				require.NoError(t, small.Check(ctx, jointest.Options{}))
				text := small.String()
				require.Len(t, small.Views, 1, text)
				require.Len(t, small.Spine, 1, text)
				require.Len(t, small.Views[0].Facts, c.facts, text)
				require.Len(t, small.Views[0].Features, 1, text)
				require.Len(t, small.Views[0].Keys, 1, text)
				require.Empty(t, small.Views[0].Files, text)
				require.Equal(t, jointest.Way{Workers: 1}, small.Way, text)
				require.True(t, c.ok(small), text)
				_, err := parser.ParseExpr(text)
				require.NoError(t, err, text)
			}
		})
	}
}
