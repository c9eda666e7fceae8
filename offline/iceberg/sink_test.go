package iceberg_test

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/ingest"
	"github.com/weir-ml/weir/ingest/sinktest"
	"github.com/weir-ml/weir/internal/sqldb/sqldbtest"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestSink runs the suite of ingest.Sink on offline.Writer over Iceberg tables.
func TestSink(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, newURL func(testing.TB) string) {
		sinktest.Run(t, 2, func(t *testing.T) *sinktest.Store {
			store := openerOn(t, newURL(t), t.TempDir())()
			table := func(t testing.TB, v *feature.View) offline.Table {
				tb, err := store.Table(ctx, v)
				require.NoError(t, err)
				return tb
			}
			fail := func() sinktest.Fault { return sinktest.None }
			return &sinktest.Store{
				Open: func(t testing.TB, v *feature.View, _ *sinktest.Table) (ingest.Sink, ingest.Committer) {
					w := offlinetest.NewWriter(t, &offlinetest.Faulty{Table: table(t, v), Fail: func() (bool, bool) {
						f := fail()
						return f == sinktest.Before, f == sinktest.After
					}})
					return w, w
				},
				Visible: func(t testing.TB, v *feature.View) []string { return rows(t, table(t, v), offline.Version{}) },
				Want: func(v *feature.View, rows []sinktest.Row) (out []string) {
					for _, r := range rows {
						b := sinktest.BatchOf(v, memory.DefaultAllocator, []sinktest.Row{r}, r.Offset, r.Offset+1)
						out = append(out, offlinetest.Lines(b)...)
						b.Rows.Release()
					}
					return out
				},
				Rollback: func(t testing.TB, v *feature.View, commits int) {
					offlinetest.RollBack(t, table(t, v), commits)
				},
				Shows:   sinktest.Committed,
				Buffers: true,
				Break:   func(f func() sinktest.Fault) { fail = f },
			}
		})
	})
}
