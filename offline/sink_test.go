package offline_test

import (
	"testing"

	arrowmemory "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestSink runs the suite of ingest.Sink on the Writer; offline/iceberg does so
// on its own tables.
func TestSink(t *testing.T) {
	sinktest.Run(t, 60, func(t *testing.T) *sinktest.Store {
		store := memory.Open()
		fail := func() sinktest.Fault { return sinktest.None }
		return &sinktest.Store{
			Open: func(t testing.TB, v *feature.View, _ *sinktest.Table) (ingest.Sink, ingest.Committer) {
				tb, err := store.Table(ctx, v)
				require.NoError(t, err)
				w := offlinetest.NewWriter(t, &offlinetest.Faulty{Table: tb, Fail: func() (bool, bool) {
					f := fail()
					return f == sinktest.Before, f == sinktest.After
				}})
				return w, w
			},
			Visible: func(t testing.TB, v *feature.View) []string {
				tb, err := store.Table(ctx, v)
				require.NoError(t, err)
				st, err := tb.Load(ctx, offline.Version{})
				require.NoError(t, err)
				return offlinetest.Read(t, tb, st)
			},
			Want: lines,
			Rollback: func(t testing.TB, v *feature.View, commits int) {
				tb, err := store.Table(ctx, v)
				require.NoError(t, err)
				offlinetest.RollBack(t, tb, commits)
			},
			Shows:   sinktest.Committed,
			Buffers: true,
			Break:   func(f func() sinktest.Fault) { fail = f },
		}
	})
}

// lines prints rows as offlinetest.Read does.
func lines(v *feature.View, rows []sinktest.Row) (out []string) {
	for _, r := range rows {
		b := sinktest.BatchOf(v, arrowmemory.DefaultAllocator, []sinktest.Row{r}, r.Offset, r.Offset+1)
		out = append(out, offlinetest.Lines(b)...)
		b.Rows.Release()
	}
	return out
}
