package offlinetest

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
)

// RollBack sets a table back by so many snapshots.
func RollBack(t testing.TB, tb offline.Table, snapshots int) {
	t.Helper()
	all, err := tb.History(t.Context())
	require.NoError(t, err)
	var line []int64
	for id, i := int64(0), 0; i < len(all); i++ {
		if s := all[i]; s.Current || s.ID == id {
			line, id = append(line, s.ID), s.Parent
		}
	}
	require.Greater(t, len(line), snapshots)
	require.NoError(t, tb.Rollback(t.Context(), &offline.Rollback{ID: "rollback-" + rand.Text(), To: line[snapshots]}))
}
