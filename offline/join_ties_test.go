package offline_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/jointest"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/registry/feature"
)

// everyWay checks a world by all ways to join; the disk ways with little memory.
func everyWay(t *testing.T, w *jointest.World, memory int64) {
	t.Helper()
	joins, _, _ := makeJoins(t, nil)
	b, err := w.Build(ctx, memstore.Open(), nil)
	require.NoError(t, err)
	defer b.Close()
	for _, way := range ways {
		require.NoError(t, b.Check(ctx, jointest.Options{Request: func(r *offline.JoinRequest) {
			r.Joins, r.Memory = joins, memory
			if way == "memory" {
				r.Memory = 1 << 30
			}
			offline.By(r, way)
		}}), way)
	}
}

// TestJoinManyTies: more rows of one key and time than are kept undecided, in many
// files, so that ties are decided while other files are still being matched.
func TestJoinManyTies(t *testing.T) {
	seed := testseed.For(t)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, clock := range []feature.Clock{feature.KnownClock, feature.EventClock} {
		w := &jointest.World{Clock: clock, Way: jointest.Way{Workers: 4}}
		v := jointest.View{Name: "v", Keys: []feature.Field{{Name: "id", Type: feature.Int64}}, Features: []jointest.Feature{{Name: "f", Type: feature.Int64}}}
		const files = 25
		for i := range int64(300) {
			f := jointest.Fact{Keys: []any{i % 2}, Event: 5, Known: 5 + r.Int64N(40), Partition: int32(r.IntN(3)), Offset: i, Values: []any{i}, File: r.IntN(files), Dead: i%17 == 0}
			if f.Dead {
				f.Values = []any{nil}
			}
			v.Facts = append(v.Facts, f)
		}
		for range files {
			v.Files = append(v.Files, jointest.File{Sorted: r.IntN(4) > 0, Bounds: r.IntN(3) > 0, GroupRows: 1 + r.IntN(9)})
		}
		w.Views = []jointest.View{v}
		for range 5000 {
			w.Spine = append(w.Spine, jointest.Row{Keys: map[string]any{"id": r.Int64N(2)}, Time: r.Int64N(50)})
		}
		everyWay(t, w, 60_000)
	}
}
