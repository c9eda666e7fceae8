package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
)

// TestUndone: a table that Weir has rolled back is no damage while its events come
// again, nor when they have: those that today's suite lets pass are in the table, and
// their entries in quarantine are void. A worker that has nothing to commit notices too.
func TestUndone(t *testing.T) {
	for _, how := range []string{"while nobody ingests", "under a quiet worker", "to no rows"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testseed.For(t), 2)
			judged := view()
			judged.Suite = "ages"
			w.apply(suite(50), judged)
			w.ingested(60)
			early, err := w.table().Load(t.Context(), offline.Version{})
			require.NoError(t, err)
			w.ingested(100)
			log, table, held := counts(w.clean(), false)
			w.apply(suite(80))
			roll := &offline.Rollback{ID: "rollback-1", To: early.Snapshot, Revision: w.revision()}
			if how == "to no rows" {
				roll.To = 0
			}
			stop := func() {}
			if how == "under a quiet worker" {
				stop = w.worker()
				w.drained()
				require.Eventually(t, func() bool { // it judges by the new suite, and has nothing else to do
					at, err := w.table().Positions(t.Context())
					require.NoError(t, err)
					for _, p := range at {
						if p.Revision != roll.Revision {
							return false
						}
					}
					return true
				}, time.Minute, 2*time.Millisecond)
			}
			require.NoError(t, w.table().Rollback(t.Context(), roll))
			w.clean()
			if how != "under a quiet worker" {
				stop = w.worker()
			}
			w.drained()
			stop()
			r := w.clean()
			again, nowTable, nowHeld := counts(r, false)
			require.Equal(t, log, again)
			require.Greater(t, nowTable, table)
			require.Equal(t, held-(nowTable-table), nowHeld)
			require.Contains(t, r.Notes[len(r.Notes)-1], "are void", "%v", r.Notes)
		})
	}
}

func (w *world) revision() int64 {
	w.t.Helper()
	cat, err := w.reg.Current(w.t.Context())
	require.NoError(w.t, err)
	return cat.Revision()
}
