package offline_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/stretchr/testify/require"

	"github.com/weir-ml/weir/offline"
	"github.com/weir-ml/weir/offline/iceberg"
	memstore "github.com/weir-ml/weir/offline/memory"
	"github.com/weir-ml/weir/offline/offlinetest"
	"github.com/weir-ml/weir/registry/feature"
)

// life is a table that goes on living under a snapshot.
type life struct {
	t      *testing.T
	open   func() offline.Store // another handle, as after a restart
	store  offline.Store
	gen    *offlinetest.Gen
	next   int64
	shelf  *shelf
	maker  *offline.Snapshots
	svc    *feature.Service // of then
	spine  string
	made   feature.Snapshot
	before int64 // the table's version before the snapshot's
}

func (l *life) table(v *feature.View) offline.Table {
	tb, err := l.store.Table(ctx, v)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = tb.Close() })
	return tb
}

// more commits n rows of a view.
func (l *life) more(v *feature.View, n int) {
	tb := l.table(v)
	w := offlinetest.NewWriter(l.t, tb)
	g := *l.gen
	g.View = v
	at, err := tb.Positions(ctx)
	require.NoError(l.t, err)
	from := feature.Position{}
	if len(at) > 0 {
		from = at[0]
	}
	b := g.Batch(0, from.Next, n, false)
	c := offlinetest.Move(v, fmt.Sprint("c", l.next, "-", from.Next), from, offlinetest.At(0, from.Next+int64(n), ""))
	l.next++
	require.NoError(l.t, offlinetest.Flush(ctx, w, c, b))
}

func (l *life) verify() (offline.Verified, error) {
	return l.maker.Verify(ctx, offline.VerifyRequest{Snapshot: l.made, Service: l.svc, Tables: []offline.Table{l.table(l.svc.Views[0])},
		Spine: offline.Spine{Rows: csvSpine(l.t, l.svc, l.spine)}})
}

func (l *life) same(after string) {
	l.t.Helper()
	v, err := l.verify()
	require.NoError(l.t, err, after)
	require.True(l.t, v.Same, "%s: %v", after, v.Differences)
	require.Empty(l.t, v.Notes, after)
}

// TestSnapshotLives: whatever becomes of the table, a snapshot can be made again
// value for value, until somebody takes away what keeps it; and that is said.
func TestSnapshotLives(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) func() offline.Store{
		"memory": func(*testing.T) func() offline.Store {
			s := memstore.Open()
			return func() offline.Store { return s }
		},
		"iceberg": func(t *testing.T) func() offline.Store {
			dir := t.TempDir()
			return func() offline.Store {
				s, err := iceberg.Open(context.Background(), "sqlite:"+filepath.Join(dir, "tables.db"), filepath.Join(dir, "warehouse"), slog.New(slog.DiscardHandler))
				require.NoError(t, err)
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &life{t: t, open: open(t), shelf: &shelf{}, gen: &offlinetest.Gen{R: rand.New(rand.NewPCG(11, 12)), Keys: 12}}
			l.store = l.open()
			l.maker = offline.NewSnapshots(l.shelf, slog.New(slog.DiscardHandler), nil)
			l.run()
		})
	}
}

func (l *life) run() {
	t := l.t
	v := offlinetest.View("stats")
	l.svc = makeService(t, v)
	for range 6 {
		l.more(v, 80)
	}
	tb := l.table(v)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	l.before = st.Snapshot
	l.more(v, 80)
	var text strings.Builder
	text.WriteString("id,event_timestamp,customer_id,shop_id\n")
	for i := range 300 {
		at := feature.Time(offlinetest.Base - l.gen.R.Int64N(3*offline.Day)).Format(time.RFC3339Nano)
		fmt.Fprintf(&text, "%d,%s,customer-%05d,%d\n", i, at, l.gen.R.IntN(13), l.gen.R.IntN(3)-1)
	}
	text.WriteString("300,,customer-00001,1\n301,2024-03-09T00:00:00Z,,1\n")
	l.spine = text.String()
	made, err := l.maker.Create(ctx, offline.CreateRequest{Service: l.svc, Tables: []offline.TableAt{{Table: tb}}, Spine: offline.Spine{Rows: csvSpine(t, l.svc, l.spine)},
		Split: &feature.SnapshotSplit{Parts: []feature.SnapshotPart{{Name: "train", Share: 70}, {Name: "test", Share: 30}}, By: []string{"customer_id"}, Seed: 5}},
		func(arrow.RecordBatch) error { return nil })
	require.NoError(t, err)
	l.made = made.Snapshot
	require.Equal(t, int64(302), made.Split.Parts[0].Rows+made.Split.Parts[1].Rows)
	require.NotZero(t, made.Split.Parts[0].Rows)
	require.NotZero(t, made.Split.Parts[1].Rows)
	values := int64(0)
	for _, c := range made.Columns {
		values += made.Rows - c.Nulls
	}
	require.Greater(t, values, int64(300), "a snapshot of nulls would prove nothing")
	l.same("at once")

	for range 6 {
		l.more(v, 80)
	}
	l.same("more rows")
	require.NoError(t, l.table(v).Rollback(ctx, &offline.Rollback{ID: "back", To: l.made.Tables[0].Version, Revision: 8}))
	l.same("a rollback to it")
	require.NoError(t, l.table(v).Rollback(ctx, &offline.Rollback{ID: "further back", To: l.before, Revision: 8}))
	l.same("a rollback of it")
	for range 4 {
		l.more(v, 80)
	}
	cfg := offline.DefaultConfig()
	cfg.Compact.MinFiles = 2
	merged, err := offline.Compact(ctx, l.table(v), offline.CompactOptions{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.Greater(t, merged.Gone, merged.Made)
	l.same("compaction")
	expire := func() {
		gone, err := l.table(v).Expire(ctx, offline.ExpireOptions{Before: time.Now().Add(time.Hour).UnixMicro()})
		require.NoError(t, err)
		require.NotZero(t, gone.Snapshots)
	}
	expire()
	_, err = l.table(v).Load(ctx, offline.Version{Snapshot: l.before})
	require.Equal(t, feature.NotFound, feature.KindOf(err), "others have expired")
	l.same("expiry")

	newer := offlinetest.View("stats", feature.Field{Name: "f_new", Type: feature.String})
	newer.Version = 2
	for i := range newer.Features {
		switch f := &newer.Features[i]; f.Name {
		case "f_int64":
			f.Name, f.Column = "f_long", "f_int64"
		case "f_int32":
			f.Type = feature.Int64
		case "f_float32":
			f.Type = feature.Float64
		}
	}
	l.more(newer, 80)
	l.same("evolution")
	l.store = l.open()
	l.same("a restart")
	l.more(newer, 80)
	l.same("evolution and a restart")
	l.more(newer, 80)
	expire()
	l.same("expiry after evolution")

	// Somebody takes away what keeps it.
	tag := l.made.Tables[0].Tag
	require.NoError(t, l.table(v).Untag(ctx, tag))
	got, err := l.verify()
	require.NoError(t, err)
	require.True(t, got.Same)
	require.Len(t, got.Notes, 1)
	require.Contains(t, got.Notes[0], tag)
	require.Contains(t, got.Notes[0], fmt.Sprintf("weir table tag --view stats %s %d", tag, l.made.Tables[0].Version))
	require.NoError(t, l.table(v).Tag(ctx, tag, l.made.Tables[0].Version))
	l.same("its tag is back")
	require.NoError(t, l.table(v).Untag(ctx, tag))
	l.more(newer, 80)
	expire()
	_, err = l.verify()
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	require.ErrorContains(t, err, "has expired")
	require.ErrorContains(t, err, tag)
	require.NoError(t, l.store.Drop(ctx, "shop", "stats"))
	_, err = l.verify()
	require.Equal(t, feature.NotFound, feature.KindOf(err))
	require.ErrorContains(t, err, "it was dropped")
}

// known is what snapshots there are.
type known map[string]bool

func (k known) Snapshot(_ context.Context, _, id string) (feature.Snapshot, error) {
	if k[id] {
		return feature.Snapshot{ID: id}, nil
	}
	return feature.Snapshot{}, feature.Errorf(feature.NotFound, "test", id, "no such snapshot")
}

// TestSweepTags: what a killed creation leaves goes after a day; nothing else does.
func TestSweepTags(t *testing.T) {
	l := &life{t: t, store: memstore.Open(), gen: &offlinetest.Gen{R: rand.New(rand.NewPCG(1, 2))}}
	v := offlinetest.View("stats")
	l.more(v, 10)
	tb := l.table(v)
	st, err := tb.Load(ctx, offline.Version{})
	require.NoError(t, err)
	now := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	tags := map[string]string{}
	k := known{}
	for name, age := range map[string]time.Duration{"old, recorded": 25 * time.Hour, "old": 25 * time.Hour, "older": 900 * time.Hour, "young": 23 * time.Hour} {
		id, err := offline.NewSnapshotID(now.Add(-age))
		require.NoError(t, err)
		tags[name] = offline.SnapshotTag(id)
		k[id] = name == "old, recorded"
		require.NoError(t, tb.Tag(ctx, tags[name], st.Snapshot))
	}
	for _, other := range []string{"mine", "weir-snapshot-of-mine", "weir-snapshot-llllllllllllllll"} {
		require.NoError(t, tb.Tag(ctx, other, st.Snapshot))
	}
	gone, err := offline.SweepTags(ctx, tb, k, now, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{tags["old"], tags["older"]}, gone)
	all, err := tb.History(ctx)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{tags["old, recorded"], tags["young"], "mine", "weir-snapshot-of-mine", "weir-snapshot-llllllllllllllll"}, all[0].Tags)
	gone, err = offline.SweepTags(ctx, tb, k, now, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Empty(t, gone)
}

// TestSnapshotInterrupted: a creation that ends in the middle leaves no record and no tag.
func TestSnapshotInterrupted(t *testing.T) {
	l := &life{t: t, store: memstore.Open(), shelf: &shelf{}, gen: &offlinetest.Gen{R: rand.New(rand.NewPCG(1, 2))}}
	l.maker = offline.NewSnapshots(l.shelf, slog.New(slog.DiscardHandler), nil)
	v := offlinetest.View("stats")
	l.svc = makeService(t, v)
	l.more(v, 50)
	stopped, cancel := context.WithCancel(ctx)
	_, err := l.maker.Create(stopped, offline.CreateRequest{Service: l.svc, Tables: []offline.TableAt{{Table: l.table(v)}},
		Spine: offline.Spine{Rows: csvSpine(t, l.svc, "event_timestamp,customer_id,shop_id\n2024-03-09,customer-00001,1\n")},
		Begin: func(string) error {
			all, err := l.table(v).History(ctx)
			require.Len(t, all[0].Tags, 1)
			cancel()
			return err
		}}, func(arrow.RecordBatch) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, l.shelf.put)
	all, err := l.table(v).History(ctx)
	require.NoError(t, err)
	require.Empty(t, all[0].Tags)
}
