package feast

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	feastserving "github.com/weir-ml/weir/proto/feast/serving"
	feasttypes "github.com/weir-ml/weir/proto/feast/types"
	"github.com/weir-ml/weir/registry/feature"
)

// BenchmarkWire reads a request and writes its answer, without store and network.
func BenchmarkWire(b *testing.B) {
	for _, rows := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%dx10", rows), func(b *testing.B) {
			w := newWorld(b, DefaultConfig(), nil)
			rng := rand.New(rand.NewPCG(1, 2))
			w.read = func(_ []feature.Vector, rows int, blk *feature.Block) {
				for r := range rows {
					blk.Views[0].Status[r], blk.Views[0].EventTime[r] = feature.Present, 1_700_000_000_123_000
				}
				for i := range blk.Columns {
					c := &blk.Columns[i]
					for r := range rows {
						c.Valid[r] = true
						if c.Type == feature.Float64 {
							c.Float64[r] = rng.Float64()
						}
					}
				}
			}
			var refs []string
			for i := range 10 {
				refs = append(refs, fmt.Sprintf("wide:x%d", i))
			}
			col := &feasttypes.RepeatedValue{}
			for i := range rows {
				col.Val = append(col.Val, &feasttypes.Value{Val: &feasttypes.Value_Int64Val{Int64Val: int64(1_000_000 + i)}})
			}
			msg, err := proto.Marshal(&feastserving.GetOnlineFeaturesRequest{Kind: &feastserving.GetOnlineFeaturesRequest_Features{Features: &feastserving.FeatureList{Val: refs}},
				Entities: map[string]*feasttypes.RepeatedValue{"n": col}})
			require.NoError(b, err)
			in, buf := &wireRequest{}, []byte(nil)
			var keys, sink int
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, in.Decode(msg))
				a, err := w.find(b.Context(), &in.wanted, fillWire)
				if err != nil {
					b.Fatal(err)
				}
				enc := &in.out
				enc.answer, enc.free = a, func() {}
				sink += enc.Size()
				buf = enc.AppendTo(buf[:0])
				keys += len(a.echo)
				enc.Free()
			}
			require.Positive(b, keys+sink)
		})
	}
}
