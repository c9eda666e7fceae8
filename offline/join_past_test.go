package offline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline/jointest"
	memstore "github.com/weir-ml/weir/offline/memory"
)

// TestJoinOfPastVersion: under today's view, whose features have been renamed, widened
// and added since, a table as it was before is read as what it had then.
func TestJoinOfPastVersion(t *testing.T) {
	seed := testseed.For(t)
	tried := 0
	for n := range 60 {
		w := jointest.Random(rand.New(rand.NewPCG(seed, uint64(n))), jointest.Usual())
		w.Views, w.Way.Compact, w.Way.Commits = w.Views[:1], n%2 == 0, 1
		v := &w.Views[0]
		old := slices.DeleteFunc(slices.Clone(v.Facts), func(f jointest.Fact) bool { return !f.Old })
		if len(old) == 0 || len(old) == len(v.Facts) {
			continue
		}
		b, err := w.Build(ctx, memstore.Open(), nil)
		require.NoError(t, err)
		past, err := b.Tables[0].Table.History(ctx)
		require.NoError(t, err)
		v.Facts = old
		b.Tables[0].Version.Snapshot = past[len(past)-1].ID
		require.NoError(t, b.Check(context.Background(), jointest.Options{}), "case %d: %v", n, fmt.Sprint(w))
		b.Close()
		tried++
	}
	require.Greater(t, tried, 2)
}
