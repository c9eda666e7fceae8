package offline_test

import (
	"math/rand/v2"
	"testing"

	"github.com/weir-ml/weir/offline/jointest"
)

// FuzzJoin makes a small world of the bytes: each draw of the generator takes one
// of them. `go test -fuzz FuzzJoin ./offline` looks for more.
func FuzzJoin(f *testing.F) {
	f.Add([]byte{})
	r := rand.New(rand.NewPCG(3, 3))
	for range 40 {
		b := make([]byte, 20+r.IntN(300))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		try(t, jointest.Random(rand.New(&drawn{bytes: b}), jointest.Limits{Views: 2, Facts: 12, Spine: 12, Arrays: true}), jointest.Options{})
	})
}

// drawn is random numbers out of bytes: a byte decides both what an IntN and an
// Int64N give. When they are used up it goes on by itself, since a generator that
// is given zeros for ever may look for another number for ever.
type drawn struct {
	bytes []byte
	more  *rand.PCG
}

func (d *drawn) Uint64() uint64 {
	if len(d.bytes) > 0 {
		b := uint64(d.bytes[0])
		d.bytes = d.bytes[1:]
		return b<<56 | b<<24 | b
	}
	if d.more == nil {
		d.more = rand.NewPCG(1, 1)
	}
	return d.more.Uint64()
}
