package offline_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline/jointest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestJoinAwkwardKeys: keys of texts and bytes that begin alike, far beyond what is compared
// at once, with the bytes that the order of keys escapes.
func TestJoinAwkwardKeys(t *testing.T) {
	seed := testseed.For(t)
	for n := range 20 {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		alphabet := [][]byte{{0}, {0, 1}, {0, 0xff}, {0xff}, {1}, []byte("a"), bytes.Repeat([]byte{0}, 8), bytes.Repeat([]byte("x"), 9), []byte("customer_0000")}
		var pool [][]byte
		for range 30 {
			var b []byte
			if len(pool) > 0 && r.IntN(2) == 0 {
				b = slices.Clone(pool[r.IntN(len(pool))])
			}
			for range r.IntN(5) {
				b = append(b, alphabet[r.IntN(len(alphabet))]...)
			}
			pool = append(pool, b)
		}
		fields := []feature.Field{{Name: "raw", Type: feature.Bytes}, {Name: "flag", Type: feature.Bool}, {Name: "more", Type: feature.Bytes}}[:1+r.IntN(3)]
		key := func() (out []any) {
			for _, f := range fields {
				if f.Type == feature.Bool {
					out = append(out, r.IntN(2) == 0)
				} else {
					out = append(out, pool[r.IntN(len(pool))])
				}
			}
			return out
		}
		w := &jointest.World{Clock: feature.KnownClock, Way: jointest.Way{Workers: 2, Cuts: []int{50}}}
		v := jointest.View{Name: "v", Keys: fields, Features: []jointest.Feature{{Name: "f", Type: feature.Int64}}, Files: []jointest.File{{Sorted: true, Bounds: true}, {Sorted: true, GroupRows: 40, PageBytes: 50}}}
		for i := range int64(r.IntN(400)) {
			at := r.Int64N(50)
			v.Facts = append(v.Facts, jointest.Fact{Keys: key(), Event: at, Known: at, Offset: i, Values: []any{i}, File: r.IntN(2)})
		}
		w.Views = []jointest.View{v}
		for range r.IntN(300) {
			row := jointest.Row{Keys: map[string]any{}, Time: r.Int64N(60)}
			for i, x := range key() {
				row.Keys[fields[i].Name] = x
			}
			w.Spine = append(w.Spine, row)
		}
		everyWay(t, w, 4000)
	}
}
