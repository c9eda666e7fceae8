package offline_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// TestRollbackToOldTag: a tag can be gone back to when all snapshots between it and the
// newest have expired, unless it is not known then which imports there were.
func TestRollbackToOldTag(t *testing.T) {
	for _, c := range []struct {
		name    string
		started func(tagged int64) int64 // of an import; nil: none
		refused bool
	}{
		{"without imports", nil, false},
		{"an import that began later", func(tagged int64) int64 { return tagged + offline.SweepMargin + 1 }, false},
		// Its clock may go ahead of the committer's, and its rows be in the tagged state.
		{"an import that seems to have begun a little later", func(tagged int64) int64 { return tagged + offline.SweepMargin }, true},
		{"an import that began before", func(tagged int64) int64 { return tagged - 1 }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeping(t, 3, "one")
			tb := k.table(t, k.views[0])
			was, err := tb.Load(t.Context(), offline.Version{})
			require.NoError(t, err)
			require.NoError(t, tb.Tag(t.Context(), "kept", was.Snapshot))
			commit := func(from, to feature.Position) {
				c := &feature.Commit{ID: to.Commit, View: k.views[0], Advances: []feature.Advance{{From: from, To: to}}}
				// A file of its own, so that a snapshot is made.
				g := &offlinetest.Gen{R: rand.New(rand.NewPCG(1, 2)), View: k.views[0], Days: 1}
				b := g.Batch(to.Partition, from.Next, int(to.Next-from.Next), false)
				b.Origin.Topic, b.Origin.TopicID = to.Topic, to.TopicID
				require.NoError(t, offlinetest.Flush(t.Context(), offlinetest.NewWriter(t, tb), c, b))
			}
			at := was.Positions[0]
			if c.started != nil {
				im := feature.Position{Topic: "file:a.csv", TopicID: [16]byte{9}, Partition: feature.ImportPartition, Next: 10, Commit: "import", Started: c.started(was.CommittedAt)}
				commit(feature.Position{}, im)
			}
			for i := range 3 {
				to := at
				to.Next, to.Commit = at.Next+10, fmt.Sprint("later", i)
				commit(at, to)
				at = to
			}
			_, err = tb.Expire(t.Context(), offline.ExpireOptions{Before: math.MaxInt64})
			require.NoError(t, err)
			h, err := tb.History(t.Context())
			require.NoError(t, err)
			require.Len(t, h, 2)
			err = tb.Rollback(t.Context(), &offline.Rollback{ID: "back", To: was.Snapshot})
			if c.refused {
				require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			is, err := tb.Load(t.Context(), offline.Version{})
			require.NoError(t, err)
			require.Len(t, is.Positions, 1)
			require.Equal(t, was.Positions[0].Next, is.Positions[0].Next)
			require.Equal(t, "back", is.Positions[0].Commit)
			offlinetest.SameRows(t, k.rows["one"], offlinetest.Read(t, tb, is))
			// Forward again it is not known: the table has gone back since.
			require.Equal(t, feature.Invalid, feature.KindOf(tb.Rollback(t.Context(), &offline.Rollback{ID: "on", To: h[0].ID})))
		})
	}
}

// TestRollbackToOldTagByClocks: a rollback that may have come after the tag, for
// clocks that are apart, is one after which nobody can tell what lies between.
func TestRollbackToOldTagByClocks(t *testing.T) {
	const tagged, newest = 7, 9
	at := offline.Day * int64(20000)
	for _, c := range []struct {
		rolledBack int64
		refused    bool
	}{{at - offline.SweepMargin - 1, false}, {at - offline.SweepMargin, true}, {at + 1, true}} {
		head := []feature.Position{{Topic: "t", TopicID: [16]byte{1}, Next: 50, Commit: "now"}}
		p := offline.Past{Current: newest, Snapshots: map[int64]offline.Ancestor{tagged: {ID: tagged, Parent: 6, At: at}, newest: {ID: newest, Parent: 8, At: at + 10}},
			Rollbacks: []offline.RolledBack{{ID: "was", At: c.rolledBack}},
			Moves:     func(int64) (*offline.Moves, error) { return offline.MovesOf(head, nil), nil }}
		_, err := p.Back(offlinetest.View("v"), head, newest, &offline.Rollback{ID: "back", To: tagged})
		if c.refused {
			require.Equal(t, feature.Invalid, feature.KindOf(err), "%v", err)
		} else {
			require.NoError(t, err)
		}
	}
}
