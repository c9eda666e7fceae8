package offline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// moody is a store with a view that cannot be opened, one that was dropped after it
// was opened, and sweeps that fail.
type moody struct {
	offline.Store
	broken, dropped string
	sweeps          int
	sweep           error
}

func (m *moody) Table(ctx context.Context, v *feature.View) (offline.Table, error) {
	if v.Meta.Name == m.broken {
		return nil, errors.New("its metadata is damaged")
	}
	t, err := m.Store.Table(ctx, v)
	return &moodyTable{t, m}, err
}

type moodyTable struct {
	offline.Table
	m *moody
}

func (t *moodyTable) Load(ctx context.Context, v offline.Version) (*offline.State, error) {
	if t.View().Meta.Name == t.m.dropped {
		return nil, feature.Errorf(feature.NotFound, "test", "", "the table was dropped")
	}
	return t.Table.Load(ctx, v)
}

func (t *moodyTable) Sweep(ctx context.Context, o offline.SweepOptions) (offline.Swept, error) {
	t.m.sweeps++
	if t.m.sweep != nil {
		return offline.Swept{}, t.m.sweep
	}
	return t.Table.Sweep(ctx, o)
}

// TestKeeperGoesOn: a table that cannot be opened and one that is gone do not keep the
// others from being kept small.
func TestKeeperGoesOn(t *testing.T) {
	k := newKeeping(t, 12, "broken", "one", "gone", "two")
	k.cfg.Upkeep.Pause = 0
	m := &moody{Store: k.store, broken: "broken", dropped: "gone"}
	k.store = m
	k.keeper(t, nil).Round(t.Context())
	for _, v := range []*feature.View{k.views[1], k.views[3]} {
		require.NotZero(t, k.metric(t, "weir_upkeep_files_compacted_total", "view", v.Meta.Name))
		tb := k.table(t, v)
		st, err := tb.Load(t.Context(), offline.Version{})
		require.NoError(t, err)
		require.Less(t, len(st.Files), 12)
		offlinetest.SameRows(t, k.rows[v.Meta.Name], offlinetest.Read(t, tb, st))
	}
	require.NotZero(t, k.metric(t, "weir_upkeep_runs_total", "view", "broken"))
	require.NotZero(t, k.metric(t, "weir_upkeep_runs_total", "view", "gone"))
}

// TestKeeperSweepsAgain: a sweep that failed is tried in the next round, not a day later.
func TestKeeperSweepsAgain(t *testing.T) {
	k := newKeeping(t, 2, "one")
	k.cfg.Upkeep.Pause, k.cfg.Upkeep.SweepInterval = 0, 24*time.Hour
	m := &moody{Store: k.store, sweep: errors.New("the folder cannot be listed")}
	k.store = m
	kp := k.keeper(t, nil)
	kp.Round(t.Context())
	k.now = k.now.Add(24 * time.Hour)
	was := m.sweeps
	kp.Round(t.Context())
	require.Equal(t, was+1, m.sweeps)
	kp.Round(t.Context())
	require.Equal(t, was+2, m.sweeps, "it failed")
	m.sweep = nil
	kp.Round(t.Context())
	kp.Round(t.Context())
	require.Equal(t, was+3, m.sweeps, "it went well")
}
