package offline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/internal/testseed"
	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// keeping is a store of views whose tables have commits, and a keeper of them.
type keeping struct {
	store offline.Store
	views []*feature.View
	rows  map[string][]string
	reg   *prometheus.Registry
	cfg   offline.Config
	now   time.Time
	tick  time.Duration // how far the clock moves each time it is looked at
}

func newKeeping(t *testing.T, commits int, names ...string) *keeping {
	seed := testseed.For(t)
	k := &keeping{store: memory.Open(), rows: map[string][]string{}, reg: prometheus.NewRegistry(), cfg: offline.DefaultConfig(), now: time.Now()}
	for n, name := range names {
		v := offlinetest.View(name)
		k.views = append(k.views, v)
		tb := k.table(t, v)
		g := &offlinetest.Gen{R: rand.New(rand.NewPCG(seed, uint64(n))), View: v, Days: 1}
		w := offlinetest.NewWriter(t, tb)
		at := feature.Position{}
		for i := range commits {
			b := g.Batch(0, at.Next, 50, true)
			c := &feature.Commit{ID: fmt.Sprintf("%s-%d", name, i), View: v}
			c.Advances = []feature.Advance{{From: at, To: offlinetest.At(0, b.Origin.Next, c.ID)}}
			at = c.Advances[0].To
			require.NoError(t, offlinetest.Flush(t.Context(), w, c, b))
			k.rows[name] = append(k.rows[name], offlinetest.Lines(b)...)
		}
	}
	return k
}

func (k *keeping) table(t *testing.T, v *feature.View) offline.Table {
	tb, err := k.store.Table(t.Context(), v)
	require.NoError(t, err)
	return tb
}

func (k *keeping) keeper(t *testing.T, log *slog.Logger) *offline.Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	kp, err := offline.NewKeeper(offline.KeeperOptions{Tables: k.store, Config: k.cfg, Log: log, Metrics: k.reg, Now: func() time.Time { k.now = k.now.Add(k.tick); return k.now },
		Views: func(context.Context) ([]*feature.View, error) { return k.views, nil }})
	require.NoError(t, err)
	return kp
}

// metric is the value of a series with a label pair.
func (k *keeping) metric(t *testing.T, name, label, value string) (sum float64) {
	t.Helper()
	all, err := k.reg.Gather()
	require.NoError(t, err)
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// TestKeeper: a round merges files and lets old snapshots expire, all rows stay, and
// what has a tag can be read on.
func TestKeeper(t *testing.T) {
	k := newKeeping(t, 12, "one", "two")
	k.cfg.Upkeep.Pause = 0
	k.cfg.Upkeep.SnapshotAge = time.Hour
	tb := k.table(t, k.views[0])
	before, err := tb.Load(t.Context(), offline.Version{})
	require.NoError(t, err)
	old, err := tb.History(t.Context())
	require.NoError(t, err)
	require.NoError(t, tb.Tag(t.Context(), "kept", old[6].ID))
	kp := k.keeper(t, nil)
	kp.Round(t.Context())
	for _, v := range k.views {
		tb := k.table(t, v)
		st, err := tb.Load(t.Context(), offline.Version{})
		require.NoError(t, err)
		require.Less(t, len(st.Files), len(before.Files)/2)
		offlinetest.SameRows(t, k.rows[v.Meta.Name], offlinetest.Read(t, tb, st))
		h, err := tb.History(t.Context())
		require.NoError(t, err)
		require.Greater(t, len(h), 12, "nothing is an hour old")
		require.EqualValues(t, len(st.Files), k.metric(t, "weir_table_files", "view", v.Meta.Name))
		require.EqualValues(t, len(h), k.metric(t, "weir_table_snapshots", "view", v.Meta.Name))
		require.EqualValues(t, st.Rows, k.metric(t, "weir_table_rows", "view", v.Meta.Name))
	}
	require.EqualValues(t, 2*len(before.Files), k.metric(t, "weir_upkeep_files_compacted_total", "project", "shop"))
	require.EqualValues(t, 4, k.metric(t, "weir_upkeep_runs_total", "result", "ok"))

	k.now = k.now.Add(2 * time.Hour)
	kp.Round(t.Context())
	h, err := tb.History(t.Context())
	require.NoError(t, err)
	require.Len(t, h, 3, "the newest, one before it, and the one with a tag")
	st, err := tb.Load(t.Context(), offline.Version{Tag: "kept"})
	require.NoError(t, err)
	require.Len(t, offlinetest.Read(t, tb, st), int(old[6].Rows))
	require.NotZero(t, k.metric(t, "weir_upkeep_snapshots_expired_total", "view", "one"))
	require.EqualValues(t, k.now.Unix(), int64(k.metric(t, "weir_upkeep_last_success_timestamp_seconds", "view", "one")))

	k.views = k.views[1:]
	kp.Round(t.Context())
	require.Zero(t, k.metric(t, "weir_table_files", "view", "one"), "a view that is gone has no gauges")
	require.Equal(t, 1, testutil.CollectAndCount(k.reg, "weir_table_files"))
}

// TestKeeperCrowded: a table with too many snapshots loses the oldest before their
// time, but none that was the newest within the last hour.
func TestKeeperCrowded(t *testing.T) {
	k := newKeeping(t, 12, "one")
	k.cfg.Upkeep.Pause, k.cfg.Upkeep.SnapshotsKept, k.cfg.Upkeep.SnapshotsMost = 0, 0, 5
	k.cfg.Compact.MinFiles = 100 // it would add a snapshot
	k.cfg.Compact.MaxFiles = 100
	kp := k.keeper(t, nil)
	count := func() int {
		h, err := k.table(t, k.views[0]).History(t.Context())
		require.NoError(t, err)
		return len(h)
	}
	kp.Round(t.Context())
	require.Equal(t, 12, count(), "all are young")
	k.now = k.now.Add(2 * time.Hour)
	kp.Round(t.Context())
	require.Equal(t, 5, count())
}

// noExpiry is a store whose tables cannot expire for a reason.
type noExpiry struct {
	offline.Store
	err error
}

type noExpiryTable struct {
	offline.Table
	err error
}

func (f *noExpiry) Table(ctx context.Context, v *feature.View) (offline.Table, error) {
	t, err := f.Store.Table(ctx, v)
	return noExpiryTable{t, f.err}, err
}

func (f noExpiryTable) Expire(context.Context, offline.ExpireOptions) (offline.Expired, error) {
	return offline.Expired{}, f.err
}

// TestKeeperFails: a step that fails is counted and said, does not keep the others
// from being done, and ends nothing.
func TestKeeperFails(t *testing.T) {
	k := newKeeping(t, 12, "one")
	k.cfg.Upkeep.Pause, k.cfg.Upkeep.Interval, k.cfg.Upkeep.SweepInterval = 0, time.Millisecond, time.Nanosecond
	k.tick = time.Microsecond
	k.store = &noExpiry{k.store, errors.New("the disk is on fire")}
	var said syncText
	kp := k.keeper(t, slog.New(slog.NewTextHandler(&said, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- kp.Run(ctx) }()
	require.Eventually(t, func() bool { return k.metric(t, "weir_upkeep_runs_total", "result", "error") >= 3 }, 20*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	require.Contains(t, said.String(), "the disk is on fire")
	require.NotZero(t, k.metric(t, "weir_upkeep_runs_total", "step", "sweep"))
	require.NotZero(t, k.metric(t, "weir_upkeep_files_compacted_total", "view", "one"))
	require.Zero(t, k.metric(t, "weir_upkeep_last_success_timestamp_seconds", "view", "one"))

	k.store.(*noExpiry).err = feature.Errorf(feature.Conflict, "test", "", "somebody was first")
	k.keeper(t, nil).Round(t.Context())
	require.NotZero(t, k.metric(t, "weir_upkeep_runs_total", "result", "conflict"))
}

type syncText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestKeeperOff: switched off, the role shows the tables' sizes and changes nothing.
func TestKeeperOff(t *testing.T) {
	k := newKeeping(t, 6, "one")
	k.cfg.Upkeep.Enabled, k.cfg.Upkeep.SnapshotAge = false, 0
	k.now = k.now.Add(time.Hour)
	k.keeper(t, nil).Round(t.Context())
	h, err := k.table(t, k.views[0]).History(t.Context())
	require.NoError(t, err)
	require.Len(t, h, 6)
	require.EqualValues(t, 6, k.metric(t, "weir_table_snapshots", "view", "one"))
}

func TestUpkeepConfig(t *testing.T) {
	c := offline.DefaultConfig()
	require.NoError(t, c.Validate())
	c.Upkeep = offline.UpkeepConfig{Interval: -1, SnapshotAge: -1, SnapshotsKept: -1, SnapshotsMost: -1, OrphanAge: time.Minute, Pause: -1}
	err := c.Validate()
	for _, field := range []string{"interval", "snapshot_age", "snapshots_kept", "snapshots_most", "orphan_age", "sweep_interval", "pause", "concurrent"} {
		require.ErrorContains(t, err, "offline.upkeep."+field+":")
	}
}
